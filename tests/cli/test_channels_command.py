"""``responder channels``: a test message from here, and the owner's confirmation through the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from daemon import Receiver, receiver, running
from fake_pagerduty import FakePagerDuty
from fake_twilio import SID, TOKEN, FakeTwilio
from providers import serving
from test_commands import command, on_terminal

RULES = """
escalation: {platform: {primary: ana}}
contacts: {ana: {phone: "+639171234567"}, ben: {}}
default: {severity: P3, service: platform}
"""


class Providers:
    """The fakes in a loop of their own, since the command runs one itself."""

    def __init__(self) -> None:
        self.hook: Receiver | None = None
        self.twilio, self.pagerduty = FakeTwilio(), FakePagerDuty()
        self.urls: dict[str, str] = {}


@pytest.fixture
def providers() -> Iterator[Providers]:
    import asyncio

    found, loop, ready = Providers(), asyncio.new_event_loop(), asyncio.Event()
    over = asyncio.Event()

    async def serve() -> None:
        async with (
            receiver() as hook,
            serving(found.twilio.app()) as twilio,
            serving(found.pagerduty.app()) as pagerduty,
        ):
            found.hook = hook
            found.urls = {"hook": hook.url, "twilio": twilio, "pagerduty": pagerduty}
            ready.set()
            await over.wait()

    thread = Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    asyncio.run_coroutine_threadsafe(ready.wait(), loop).result(10)
    yield found
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


@pytest.fixture
def config(providers: Providers, tmp_path: Path) -> str:
    (tmp_path / "rules.yaml").write_text(RULES)
    account = {"account_sid": SID, "auth_token": TOKEN, "from": "+15005550006"}
    key = "e93facc04764012d7bfb002500d5d1a6"
    channels: dict[str, Any] = {
        "hook": {"type": "webhook", "url": providers.urls["hook"]},
        "dead": {"type": "webhook", "url": "http://127.0.0.1:9/?key=hunter2-secret"},
        "text": {"type": "twilio.sms", **account, "url": providers.urls["twilio"]},
        "phone": {"type": "pagerduty", "routing_key": key, "url": providers.urls["pagerduty"]},
    }
    file = tmp_path / "responder.yaml"
    file.write_text(yaml.safe_dump({"rules": ["rules.yaml"], "channels": channels}))
    return str(file)


def test_a_test_says_that_it_is_one_in_every_part_that_may_be_seen_alone(
    capsys: pytest.CaptureFixture[str], providers: Providers, config: str
) -> None:
    code, out, _ = command(capsys, "channels", "test", "hook", "--to", "ana", "--config", config)
    assert (code, out) == (0, "hook: taken. Whether it arrived, its reader knows.\n")
    assert providers.hook is not None
    sent = providers.hook.bodies[0]
    assert sent["incident"]["title"] == "TEST of channel hook: nothing is broken"
    assert sent["summary"].startswith("P4 responder: TEST of channel hook: nothing is broken")
    assert (sent["to"], sent["ack_url"], sent["incident"]["state"]) == ("ana", "", "test")
    code, out, _ = command(
        capsys, "channels", "test", "text", "--to", "ana", "--severity", "P1", "--config", config
    )
    assert code == 0
    assert providers.twilio.messages[0]["Body"] == (
        "P1 responder: TEST of channel text: nothing is broken\nNothing to do."
    )
    assert f"sid {providers.twilio.messages[0]['sid']}" in out


def test_what_a_test_opens_elsewhere_can_be_closed_again(
    capsys: pytest.CaptureFixture[str], providers: Providers, config: str
) -> None:
    assert command(capsys, "channels", "test", "phone", "--resolve", "--config", config)[0] == 0
    assert [event["event_action"] for event in providers.pagerduty.events] == ["trigger", "resolve"]
    assert providers.pagerduty.open == {}


def test_a_failure_says_whether_trying_again_may_help_and_hides_secrets(
    capsys: pytest.CaptureFixture[str], providers: Providers, config: str
) -> None:
    code, out, error = command(capsys, "channels", "test", "dead", "--config", config)
    assert (code, out) == (1, "")
    assert error.startswith("responder: dead: not delivered, for now: trying again may help: not reachable")
    assert "hunter2" not in error
    providers.twilio.stopped.add("+639171234567")
    code, _, error = command(capsys, "channels", "test", "text", "--to", "ana", "--config", config)
    assert code == 1
    assert "not delivered, for good: twilio: answered 400: the owner of the number has replied STOP" in error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("hok",), "no channel 'hok' (did you mean \"hook\"?)"),
        (("hook", "--to", "anna"), "no contact 'anna' (did you mean \"ana\"?)"),
        (("text", "--to", "ben"), "ben has no address for channel text: set phone, or --to"),
        (("text",), "nobody in particular has no address for channel text: set phone, or --to"),
        (("hook", "--severity", "P9"), "invalid choice"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_what_there_is(
    capsys: pytest.CaptureFixture[str], config: str, arguments: tuple[str, ...], says: str
) -> None:
    code, _, error = command(capsys, "channels", "test", *arguments, "--config", config)
    assert code == 2
    assert says in error


def test_a_broken_configuration_is_told_and_nothing_is_sent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "responder.yaml"
    file.write_text("channels: {phone: {type: pagerduty}}\n")
    code, _, error = command(capsys, "channels", "test", "phone", "--config", str(file))
    assert code == 1
    assert "give routing_key" in error


async def test_owners_are_asked_and_listed_through_the_daemon(tmp_path: Path) -> None:
    async with receiver() as hook:
        config = {"channels": {"hook": {"type": "webhook", "url": hook.url}}}
        async with running(tmp_path, config, RULES) as daemon:
            code, out, _ = await on_terminal(daemon, "channels", "list")
            assert code == 0
            assert [line.split() for line in out.splitlines()] == [
                ["ana", "hook", "never", "confirmed"],
                ["ben", "hook", "never", "confirmed"],
            ]
            code, out, _ = await on_terminal(daemon, "channels", "verify", "hook", "--to", "ana")
            assert (code, out.startswith("sent to ana over hook; the link holds until")) == (0, True)
            await daemon.post(hook.bodies[0]["ack_url"].removeprefix(daemon.url), b"")
            _, out, _ = await on_terminal(daemon, "channels", "list")
            assert out.splitlines()[0].split()[2] == "confirmed"
            code, _, error = await on_terminal(daemon, "channels", "verify", "nowhere", "--to", "ana")
            assert code == 1
            assert "404: no channel nowhere" in error
