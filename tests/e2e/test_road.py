"""The whole road on real parts: Prometheus, Alertmanager, the daemon, Postgres, a mail server, an HTTP receiver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from daemon import DaemonProcess, Receiver, free_port, running
from mail import Mailbox, mail_server
from postgres_fixtures import Clusters
from prometheus import alertmanager, prometheus
from waiting import until

pytestmark = pytest.mark.debian("prometheus-alertmanager", "prometheus")

RULES = """
severities:
  P1: {title: Critical, respond_within: 10m, escalate: {secondary: 3s, executive: 9m}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
contacts:
  dbteam: {email: db@example.com, channels: {P1: [hook]}}
  platform: {email: platform@example.com, channels: {P1: [mail]}}
rules:
  - name: database-connections
    match: ['alertname="PostgresTooManyConnections"']
    severity: P1
    service: database
    group_by: [alertname, database]
    runbook: connections
runbooks:
  connections:
    summary: End sessions that have been idle for long, then restart the pooler.
    diagnose: [postgres-connections, postgres-version, api-health]
    offer: [terminate-idle-connections]
probes:
  postgres-connections: {type: postgres, target: main, query: connections}
  postgres-version: {type: postgres, target: main, query: version}
  api-health: {type: http, target: api, path: /health, expect_json: {status: ok}}
actions:
  terminate-idle-connections: {type: postgres.terminate_idle, target: main}
"""

PROMETHEUS_RULES = {
    "groups": [
        {
            "name": "database",
            "rules": [
                {
                    "alert": "PostgresTooManyConnections",
                    "expr": "pg_connections > 90",
                    "labels": {"severity": "critical", "database": "main"},
                    "annotations": {"summary": "{{ $value }} of 100 connections used"},
                }
            ],
        }
    ]
}


@pytest.fixture
def postgres_url(clusters: Clusters) -> str:
    return clusters["18"].url()


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mail_server() as found:
        yield found


class App:
    """The system under watch: its metric is what the test says."""

    def __init__(self) -> None:
        self.connections = 10
        self.port = free_port()

    async def __aenter__(self) -> App:
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text=f"pg_connections {self.connections}\n")

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok" if self.connections < 90 else "degraded"})


async def test_from_a_prometheus_rule_to_an_acknowledged_page_and_the_resolve(
    hook: Receiver, box: Mailbox, postgres_url: str, tmp_path: Path
) -> None:
    async with App() as app:
        config = {
            "channels": {
                "hook": {"type": "webhook", "url": hook.url},
                "mail": {
                    "type": "email",
                    "host": "127.0.0.1",
                    "port": box.port,
                    "from": "r@example.com",
                    "starttls": False,
                },
            },
            "targets": {
                "postgres": {"main": {"url": postgres_url}},
                "http": {"api": {"url": f"http://127.0.0.1:{app.port}"}},
            },
            "monitor_for": "2s",
            "triage_wait": "30s",  # the findings are in the page, however slow the machine is
            "auth": {"webhook": {"bearer_token": "s3cret"}},
        }
        am_auth: dict[str, Any] = {"authorization": {"type": "Bearer", "credentials": "s3cret"}}
        async with (
            running(tmp_path / "daemon", config, RULES) as daemon,
            alertmanager(tmp_path / "am", f"{daemon.url}/webhooks/alertmanager", **am_auth) as am,
            prometheus(tmp_path / "prom", am.url, PROMETHEUS_RULES, f"127.0.0.1:{app.port}"),
        ):
            app.connections = 97
            page = (await until(hook.pages))[0]
            assert page["incident"]["title"] == "PostgresTooManyConnections: 97 of 100 connections used"
            findings = {finding["probe"]: finding for finding in page["findings"]}
            assert "connections used" in findings["postgres-connections"]["headline"]
            assert "PostgreSQL 18" in findings["postgres-version"]["headline"]
            assert "status is 'degraded'" in findings["api-health"]["headline"]
            assert page["actions"] == ["terminate-idle-connections"]
            # Nobody answers: the secondary gets a mail, with the findings in it.
            mail = (await until(lambda: box.mails))[0]
            assert mail["Subject"] == "[P1] database: PostgresTooManyConnections: 97 of 100 connections used"
            text = mail.get_body(("plain",)).get_content()
            assert "connections used" in text
            assert text.startswith("P1 database: PostgresTooManyConnections")
            link = next(line for line in text.splitlines() if line.startswith("Acknowledge: ")).removeprefix(
                "Acknowledge: "
            )
            await daemon.call("POST", link.removeprefix(daemon.url))
            assert (await daemon.incidents())[0]["acknowledged_by"] == "platform"
            # The fix: Prometheus sees it, Alertmanager says so, and after the watch it is over.
            app.connections = 12
            await state_of(daemon, "resolved")
            assert [page["level"] for page in hook.pages()] == ["primary"]
            names = [mail["Message-ID"] for mail in await until(lambda: box.mails[1:] and box.mails)]
            assert len(set(names)) == len(names)  # each was written down, and sent once
            assert {mail["In-Reply-To"] for mail in box.mails[1:]} == {names[0]}
            assert {page["status"] for page in await pages_of(daemon)} == {"delivered"}
            _, metrics = await daemon.get("/metrics")
            for line in (
                'responder_incidents_opened_total{service="database",severity="P1"} 1.0',
                'responder_sla_response_total{outcome="met",service="database",severity="P1"} 1.0',
                'responder_escalations_total{level="secondary",service="database",severity="P1"} 1.0',
                'responder_time_to_resolve_seconds_count{service="database",severity="P1"} 1.0',
                'responder_pages_total{channel="mail",outcome="delivered"}',
                "responder_store_up 1.0",
            ):
                assert line in metrics


async def pages_of(daemon: DaemonProcess) -> list[dict[str, Any]]:
    """Of its one incident."""
    (incident,) = await daemon.incidents()
    found: list[dict[str, Any]] = (await daemon.get(f"/api/v1/incidents/{incident['id']}"))[1]["pages"]
    return found


async def state_of(daemon: DaemonProcess, state: str, limit: float = 60) -> dict[str, Any]:
    async with asyncio.timeout(limit):
        while True:
            found = await daemon.incidents(f"?state={state}")
            if found:
                return found[0]
            await asyncio.sleep(0.05)


def in_seconds(seconds: float) -> str:
    return (datetime.now(tz=UTC) + timedelta(seconds=seconds)).isoformat()  # noqa: TID251 - Alertmanager's clock


async def test_what_alertmanager_lets_expire_is_taken_as_resolved_and_the_same_alert_again_as_a_re_fire(
    hook: Receiver, tmp_path: Path
) -> None:
    config = {"channels": {"hook": {"type": "webhook", "url": hook.url}}}
    rules = RULES.replace("[mail]", "[hook]").replace("    runbook: connections\n", "")
    rules = rules[: rules.index("runbooks:")]
    labels = {"alertname": "PostgresTooManyConnections", "database": "main"}
    async with (
        running(tmp_path / "daemon", config, rules) as daemon,
        alertmanager(tmp_path / "am", f"{daemon.url}/webhooks/alertmanager") as am,
    ):
        await am.fire(labels, ends=in_seconds(8))
        await state_of(daemon, "triggered")
        await state_of(daemon, "monitoring")
        await am.fire(labels, ends=in_seconds(60))
        incident = await state_of(daemon, "triggered")
        assert len(await daemon.incidents()) == 1
        await until(lambda: len([p for p in hook.pages() if p["level"] == "primary"]) == 2)
        _, one = await daemon.get(f"/api/v1/incidents/{incident['id']}")
        assert any("fired again" in entry["text"] for entry in one["timeline"])


async def test_a_store_away_is_answered_503_and_alertmanager_brings_the_alert_again_by_itself(
    hook: Receiver, tmp_path: Path
) -> None:
    config = {"channels": {"hook": {"type": "webhook", "url": hook.url}}}
    rules = RULES.replace("[mail]", "[hook]")
    rules = rules[: rules.index("runbooks:")].replace("    runbook: connections\n", "")
    daemon = DaemonProcess(tmp_path / "daemon", config, rules)
    await daemon.start()
    async with alertmanager(tmp_path / "am", f"{daemon.url}/webhooks/alertmanager") as am:
        await daemon.kill()
        await am.fire({"alertname": "PostgresTooManyConnections", "database": "main"}, ends=in_seconds(120))
        await asyncio.sleep(1)  # Alertmanager tries, in vain
        await daemon.start()
        page = (await until(hook.pages))[0]
        assert page["level"] == "primary"
    await daemon.stop()
