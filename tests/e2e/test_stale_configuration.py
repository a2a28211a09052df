"""``responder.yaml`` is read at the start: what has changed in it since, or is wrong with it, is said and not used."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from daemon import DaemonProcess, running
from waiting import eventually


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    channels = {
        "hook": {"type": "webhook", "url": "http://127.0.0.1:1/hook", "secret": "s3cret"},
        "shaped": {
            "type": "webhook",
            "url": "http://127.0.0.1:1/hook",
            "template": "{{ incident.id|tojson }}",
        },
    }
    async with running(tmp_path, {"channels": channels}) as found:
        yield found


async def stale(daemon: DaemonProcess) -> bool:
    _, metrics = await daemon.get("/metrics")
    return "responder_config_stale 1.0" in metrics


async def test_a_file_that_is_as_it_was_is_not_stale(daemon: DaemonProcess) -> None:
    file = daemon.folder / "responder.yaml"
    file.write_text("# looked through\n" + file.read_text())
    assert await daemon.post("/-/reload") == (200, "rules reloaded.\n")
    assert not await stale(daemon)


async def test_a_changed_configuration_is_told_with_its_keys_until_it_is_what_runs_again(
    daemon: DaemonProcess,
) -> None:
    file = daemon.folder / "responder.yaml"
    before = file.read_text()
    file.write_text(before.replace("s3cret", "0ther-s3cret") + "stale_after: 1h\n")
    status, answer = await daemon.post("/-/reload")
    assert status == 200
    said, _, keys = answer.removesuffix("\n").partition(" has changed; restart for: ")
    assert said == f"rules reloaded.\n{file}"
    assert set(keys.split(", ")) == {"channels", "stale_after"}
    assert await stale(daemon)
    assert "0ther-s3cret" not in daemon.log() + answer
    file.write_text(before)

    async def as_it_runs() -> bool:
        return not await stale(daemon)

    await eventually(as_it_runs)  # nobody had to ask


@pytest.mark.parametrize("how", ["by itself", "signal"])
async def test_a_broken_configuration_on_disk_is_told_and_changes_nothing(
    daemon: DaemonProcess, how: str
) -> None:
    file = daemon.folder / "responder.yaml"
    file.write_text(file.read_text() + "lisen: 127.0.0.1:1\n")
    if how == "signal":
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)

    async def told() -> bool:
        return await stale(daemon)

    await eventually(told)
    assert "would not start" in daemon.log()
    assert "lisen" in daemon.log()
    status, answer = await daemon.post("/-/reload")
    assert status == 200
    assert "has errors" in answer
    assert 'did you mean "listen"' in answer
    assert (await daemon.get("/-/ready"))[0] == 200


async def test_an_address_that_cannot_be_read_is_told_without_it_and_the_daemon_goes_on(
    daemon: DaemonProcess,
) -> None:
    file = daemon.folder / "responder.yaml"
    lines = file.read_text().count("\n")
    file.write_text(
        file.read_text() + 'targets: {postgres: {main: {url: "postgresql://u:hunter2℀pw@h/db"}}}\n'
    )

    async def told() -> bool:
        return await stale(daemon)

    await eventually(told)
    status, answer = await daemon.post("/-/reload")
    assert status == 200
    assert f"{file}:{lines + 1}:34: error: targets.postgres.main.url: expected postgresql://" in answer
    assert "hunter2" not in daemon.log() + answer
    assert (await daemon.get("/-/ready"))[0] == 200
