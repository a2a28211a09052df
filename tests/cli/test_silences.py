"""Silences over the API, from a terminal and on the console, against a daemon of its own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from daemon import DaemonProcess, alert, running, webhook_body
from fake_alertmanager import FakeAlertmanager
from peers import hanging
from waiting import eventually

from responder.cli import main
from responder.clock import SystemClock

TOKENS = [
    {"name": "look", "token": "viewer-token", "role": "viewer"},
    {"name": "do", "token": "responder-token", "role": "responder"},
]
MAY_LOOK = {"Authorization": "Bearer viewer-token"}
MAY_DO = {"Authorization": "Bearer responder-token"}


@pytest.fixture
async def am() -> AsyncIterator[FakeAlertmanager]:
    async with FakeAlertmanager(SystemClock().now).running() as one:
        yield one


@pytest.fixture
async def daemon(am: FakeAlertmanager, tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    config = {
        "alertmanager": {"urls": [am.url], "reconcile_every": "1s", "timeout": "3s"},
        "auth": {"tokens": TOKENS},
    }
    async with running(tmp_path, config) as one:
        yield one


async def opened(daemon: DaemonProcess, am: FakeAlertmanager) -> str:
    """An alert fires; its incident."""
    one = alert()
    am.fire(one["labels"])
    await daemon.alerts(webhook_body(one))

    async def listed() -> list[Any]:
        _, answer = await daemon.get("/api/v1/incidents", headers=MAY_LOOK)
        return list(answer["incidents"])

    return str((await eventually(listed))[0]["id"])


async def shown(daemon: DaemonProcess, incident: str) -> dict[str, Any]:
    _, answer = await daemon.get(f"/api/v1/incidents/{incident}", headers=MAY_LOOK)
    return dict(answer)


async def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """As a user types it, beside the servers of the test."""

    def run() -> int:
        try:
            main(arguments)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 1
        return 0

    code = await asyncio.to_thread(run)
    said = capsys.readouterr()
    return code, said.out, said.err


async def test_from_a_terminal_it_is_made_shown_and_withdrawn(
    daemon: DaemonProcess, am: FakeAlertmanager, capsys: pytest.CaptureFixture[str]
) -> None:
    incident = await opened(daemon, am)
    at = ("--url", daemon.url, "--token", "responder-token")
    code, _, err = await command(
        capsys, "incidents", "silence", incident, "2h", "--comment", "known issue", "--by", "ana", *at
    )
    assert (code, err) == (0, "")
    (made,) = am.silences.values()
    assert made["createdBy"] == "ana (token do)"
    assert made["comment"] == f"known issue (responder {daemon.url}/incidents/{incident})"
    _, out, _ = await command(capsys, "incidents", "show", incident, *at)
    assert "paging is held back (silence): silenced by ana (token do): known issue" in out
    code, _, _ = await command(capsys, "incidents", "unsilence", incident, "--by", "ana", *at)
    assert code == 0
    assert [am._state(one) for one in am.silences.values()] == ["expired"]
    code, _, err = await command(capsys, "incidents", "unsilence", incident, *at)
    assert (code, err) == (1, "responder: 409: no silence that was made from this incident is active\n")
    code, _, err = await command(capsys, "incidents", "silence", incident, "for ever", *at)
    assert (code, "body.for: expected a duration such as 90s" in err) == (1, True)


async def test_the_api_says_what_is_wrong_and_who_may(daemon: DaemonProcess, am: FakeAlertmanager) -> None:
    incident = await opened(daemon, am)
    path = f"/api/v1/incidents/{incident}/silence"
    assert (await daemon.post(path, {"for": "1h"}))[0] == 401
    assert (await daemon.post(path, {"for": "1h"}, headers=MAY_LOOK))[0] == 403
    for body, said in (
        ({}, "body: Object missing required field `for`"),
        ({"for": "1y"}, "body.for: expected a duration from 1m up to 30d"),
        ({"for": "1h", "until": "x"}, "unknown field `until`"),
    ):
        status, answer = await daemon.post(path, body, headers=MAY_DO)
        assert (status, said in answer["detail"]) == (400, True), answer
    assert (await daemon.post(path.replace(incident, "0" * 16), {"for": "1h"}, headers=MAY_DO))[0] == 404
    once = {**MAY_DO, "Idempotency-Key": "k"}
    for _ in range(2):
        assert (await daemon.post(path, {"for": "1h"}, headers=once))[0] == 200
    assert len(am.silences) == 1
    assert (await daemon.post(path, {"for": "2h"}, headers=once))[0] == 422
    assert (await daemon.call("DELETE", path, headers=MAY_LOOK))[0] == 403
    assert (await daemon.call("DELETE", path, headers=MAY_DO))[0] == 200
    am.instead["/status"] = am.instead["/alerts"] = hanging
    status, raw = await daemon.call("POST", path, data=b'{"for": "1h"}', headers=MAY_DO)
    answer = json.loads(raw)
    assert (status, answer["reason"]) == (503, "away")
    assert "nothing was recorded" in answer["detail"]


async def test_without_an_alertmanager_it_says_what_to_configure(tmp_path: Path) -> None:
    async with running(tmp_path, {}) as daemon:
        await daemon.alerts(webhook_body(alert()))
        (one,) = await eventually(daemon.incidents)
        status, answer = await daemon.post(f"/api/v1/incidents/{one['id']}/silence", {"for": "1h"})
        assert (status, answer["reason"]) == (409, "unconfigured")
        assert "alertmanager.urls" in answer["detail"]
        _, html = await daemon.get(f"/incidents/{one['id']}")
        assert "Silence</button>" not in html


async def test_the_console_offers_it_and_takes_it_back(tmp_path: Path, am: FakeAlertmanager) -> None:
    config = {"alertmanager": {"urls": [am.url], "reconcile_every": "1s", "timeout": "3s"}}
    async with running(tmp_path, config) as daemon:
        am.fire(alert()["labels"])
        await daemon.alerts(webhook_body(alert()))
        (one,) = await eventually(daemon.incidents)
        page = f"/incidents/{one['id']}"
        _, html = await daemon.get(page)
        assert ">Silence</button>" in html
        token = re.search(r'name="form_token" value="([^"]+)"', html)
        assert token is not None
        fields = {"form_token": token[1], "by": "<b>ana</b>", "note": "known", "silence_for": "1h"}
        assert await submit(daemon, f"{page}/silence", {**fields, "form_token": "forged"}) == 403
        assert await submit(daemon, f"{page}/silence", fields) == 303
        (made,) = am.silences.values()
        assert made["createdBy"] == "<b>ana</b>"
        _, html = await daemon.get(page)
        assert "paging is held back (silence): silenced by &lt;b&gt;ana&lt;/b&gt;: known until" in html
        assert "next:" not in html
        assert "<b>ana</b>" not in html
        assert ">Withdraw silence</button>" in html
        assert await submit(daemon, f"{page}/unsilence", fields) == 303
        assert await submit(daemon, f"{page}/unsilence", fields) == 409
        assert await submit(daemon, f"{page}/silence", {**fields, "silence_for": "x"}) == 400
        assert [am._state(found) for found in am.silences.values()] == ["expired"]


async def submit(daemon: DaemonProcess, path: str, fields: dict[str, str]) -> int:
    status, _ = await daemon.call(
        "POST", path, data=urlencode(fields), allow_redirects=False,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    return status
