"""``responder explain``: what would hold an alert's pages back, by the files alone and by a daemon that knows more."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from daemon import DaemonProcess, alert, running, webhook_body
from fake_alertmanager import FakeAlertmanager
from waiting import eventually

from responder.clock import SystemClock

RULES = """
escalation:
  database: {primary: dbteam}
  api: {primary: backend}
contacts: {dbteam: {timezone: UTC}, backend: {}}
services: {api: {depends_on: [database]}}
quiet_hours: {P3: {hours: "HOURS", timezone: UTC}}
maintenance: [{name: nightly, match: ['cluster="eu"'], starts: 2026-01-01TSTART, timezone: UTC, every: FREQ=DAILY, lasts: 23h}]
rules:
  - name: all
    match: ['alertname=~"Alert.+"']
    severity: {label: severity, map: {P1: P1, P3: P3}, default: P1}
    service: {label: service}
    group_by: [alertname, service]
default: {severity: P3, service: database}
"""
HOURS = timedelta(hours=2)


@pytest.fixture
async def am() -> AsyncIterator[FakeAlertmanager]:
    async with FakeAlertmanager(SystemClock().now).running() as one:
        yield one


@pytest.fixture
async def daemon(am: FakeAlertmanager, tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    section = {"urls": [am.url, "http://127.0.0.1:1"], "reconcile_every": "1h", "timeout": "1s"}
    now = SystemClock().now()
    before = f"{now - HOURS:%R}"
    night = RULES.replace("HOURS", f"{before}-{now + HOURS:%R}").replace("START", before)
    async with running(tmp_path, {"alertmanager": section}, night) as found:
        yield found


async def typed(*arguments: str, **environment: str) -> tuple[int, str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "RESPONDER_URL"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "responder", "explain", *arguments, env={**kept, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


async def test_the_daemon_names_all_that_holds_an_alert_back_now(
    daemon: DaemonProcess, am: FakeAlertmanager
) -> None:
    made = {"name": "move", "match": ['service="api"'], "for": "2h", "by": "ana", "note": "disks"}
    assert (await daemon.post("/api/v1/maintenance", made))[0] == 201
    am.silence(HOURS, by="ben", comment="known", service="api")
    am.silence(HOURS, by="eve", comment="elsewhere", service="other")
    withdrawn = am.silence(HOURS, by="eve", comment="over", service="api")
    am.expire(withdrawn)
    await daemon.alerts(webhook_body(alert(1)))
    labels = ("alertname=Alert2", "service=api", "cluster=eu")

    async def carried() -> str:
        found = (await typed("--url", daemon.url, *labels))[1]
        return found if "back by dependency" in found else ""

    lines = (await eventually(carried)).splitlines()
    held = [line for line in lines if line.startswith("held")]
    (window,) = (await daemon.get("/api/v1/maintenance"))[1]["maintenance"][1:]
    assert held[0].startswith("held      back by maintenance: nightly until ")
    assert (
        held[1]
        == f"held      back by maintenance: move: disks, set by ana until {window['running']['to'][:16].replace('T', ' ')} UTC"
    )
    assert held[2].startswith("held      back by silence: silenced by ben: known until ")
    assert held[3].startswith(
        "held      back by dependency: api depends on database, which has an incident already ("
    )
    assert len(held) == 4
    unknown = [line for line in lines if line.startswith("not known")]
    assert any("1 other Alertmanager(s) know: no answer" in line for line in unknown)
    _, out, _ = await typed("--json", *labels, RESPONDER_URL=daemon.url)
    assert [one["kind"] for one in json.loads(out)["held"]] == [
        "maintenance",
        "maintenance",
        "silence",
        "dependency",
    ]
    _, out, _ = await typed("--url", daemon.url, "alertname=Alert2", "service=database", "severity=P3")
    assert "held      back by quiet hours: P3 waits for the morning of dbteam until " in out
    later = f"{SystemClock().now() + 2 * HOURS:%FT%TZ}"
    _, out, _ = await typed("--url", daemon.url, "--at", later, *labels)
    assert "back by silence" not in out
    assert "set by ana" not in out
    assert "back by maintenance: nightly" in out
    assert "not known what will be paged then and carry it" in out


async def test_without_a_daemon_it_says_what_it_cannot_know(daemon: DaemonProcess) -> None:
    made = {"match": ['service="api"'], "for": "2h", "by": "ana"}
    await daemon.post("/api/v1/maintenance", made)
    config = str(daemon.folder / "responder.yaml")
    _, out, _ = await typed(
        "--config", config, "alertname=Alert2", "service=api", RESPONDER_URL="http://127.0.0.1:1"
    )
    assert "held      back by nothing that is known" in out
    assert "not known windows and overrides that people made, silences" in out
    code, out, error = await typed("--url", "http://127.0.0.1:1", "alertname=Alert2")
    assert (code, out) == (1, "")
    assert "cannot reach http://127.0.0.1:1" in error
    code, _, error = await typed("--url", daemon.url, "--config", config, "alertname=Alert2")
    assert (code, "not allowed with argument" in error) == (2, True)


async def test_a_time_without_an_offset_is_refused(daemon: DaemonProcess) -> None:
    for at, says in (
        ("2026-12-24T09:00:00", "body.at: give an offset"),
        ("noon", "body.at: expected a time"),
    ):
        status, answer = await daemon.post("/api/v1/explain", {"labels": {}, "at": at})
        assert (status, says in answer["detail"]) == (400, True)


async def test_the_form_of_a_fingerprint_is_told_and_where_to_find_one(daemon: DaemonProcess) -> None:
    for wrong in ("X", "alertname=Down", "0123"):
        code, _, error = await typed("--url", daemon.url, "--alert", wrong)
        assert code == 2
        assert (
            "expected the fingerprint of an alert: 16 hex digits, as `responder incidents show ID`" in error
        )
    code, _, error = await typed("--alert", "a" * 16, "--at", "2026-12-24T09:00:00Z")
    assert (code, "without --at and --config" in error) == (2, True)
    await daemon.alerts(webhook_body(alert(1)))

    async def shown() -> str:
        listed = await daemon.incidents()
        return str(listed[0]["id"]) if listed else ""

    incident = await eventually(shown)
    _, detail = await daemon.get(f"/api/v1/incidents/{incident}")
    found = detail["alerts"][0]["fingerprint"]
    code, out, _ = await typed("--url", daemon.url, "--alert", found.upper())
    assert (code, found in out) == (0, True)
