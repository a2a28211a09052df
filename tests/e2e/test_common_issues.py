"""The runbook's three common issues, played with the shipped rules: alert in, findings in the page, the offered fix
approved, verified and written down. Postgres is real; Kubernetes, Superset and Supabase are strict fakes over HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from daemon import DaemonProcess, Receiver, receiver, webhook_body
from fake_supabase import INGEST, REF, TOKEN, FakeSupabase
from fake_superset import FakeSuperset
from kubernetes_api import FakeCluster, fake_cluster, kubeconfig
from kubernetes_objects import deployment, pod, usage
from peers import serving
from postgres_fixtures import Clusters
from waiting import eventually

RULES = Path(__file__).parents[2] / "rules"


class Kubelet:
    """Carries out in the fake cluster what was asked of it: every rollout completes a moment later."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def run(self) -> None:
        while True:
            for found in self._cluster.objects.get(("apps", "deployments"), {}).values():
                replicas = found["spec"]["replicas"]
                found["status"] |= {
                    "observedGeneration": found["metadata"]["generation"],
                    **dict.fromkeys(
                        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas
                    ),
                }
            await asyncio.sleep(0.05)


class World:
    """What the shipped rules' targets name, and a daemon before it."""

    daemon: DaemonProcess

    def __init__(self, hook: Receiver, cluster: FakeCluster) -> None:
        self.hook, self.cluster = hook, cluster
        self.superset = FakeSuperset()
        self.supabase = FakeSupabase()

    async def fire(self, **labels: str) -> str:
        alert = {
            "status": "firing", "labels": labels, "annotations": {"summary": "in trouble"},
            "startsAt": "2026-11-24T03:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
        }  # fmt: skip
        status, answer = await self.daemon.alerts(webhook_body(alert))
        assert (status, answer["changed"]) == (200, 1)
        (incident,) = await self.daemon.incidents("?state=triggered")
        found: str = incident["id"]
        return found

    async def told(self, *wanted: str) -> dict[str, dict[str, Any]]:
        """What the primary has been told of the findings, once these are in."""

        async def whole() -> Any:
            bodies = [b for b in self.hook.bodies if b["level"] == "primary"]
            seen = {f["probe"]: f for f in bodies[-1]["findings"]} if bodies else {}
            return seen if seen.keys() >= set(wanted) else None

        found: dict[str, dict[str, Any]] = await eventually(whole)
        return found

    async def approve(self, incident: str, name: str) -> dict[str, Any]:
        """A person approves the offered fix; the run as it ended."""
        status, _ = await self.daemon.post(
            f"/api/v1/incidents/{incident}/actions/{name}", {"by": "ana", "note": "as the runbook says"}
        )
        assert status == 202

        async def ended() -> Any:
            _, detail = await self.daemon.get(f"/api/v1/incidents/{incident}")
            run: dict[str, Any] = detail["action_runs"][-1]
            return run if run["status"] not in {"requested", "verifying"} else None

        found: dict[str, Any] = await eventually(ended)
        return found

    async def written_down(self, incident: str, name: str) -> list[str]:
        """What the audit has of it; it must hold together."""
        _, audit = await self.daemon.get("/api/v1/audit")
        return [e["event"] for e in audit["entries"] if e["action"] == name and e["incident"] == incident]

    async def timeline(self, incident: str) -> str:
        _, detail = await self.daemon.get(f"/api/v1/incidents/{incident}")
        return "\n".join(entry["text"] for entry in detail["timeline"])


def settings(world: World, postgres: str, api: str, config: Path) -> dict[str, Any]:
    """Every target that the shipped rules name, and what may be changed on it."""
    superset, supabase = world.superset, world.supabase
    return {
        "hold_down": "1s",
        "channels": {"hook": {"type": "webhook", "url": world.hook.url}},
        "targets": {
            "postgres": {"main": {"url": postgres, "allow": ["sessions"]}},
            "kubernetes": {
                "prod": {"kubeconfig": str(config), "context": "test", "namespace": "analytics", "allow": ["deployment/*"]}
            },
            "superset": {
                "main": {"url": superset.url, "username": "robot", "password": superset.password, "allow": ["cache"]}
            },
            "supabase": {"main": {"url": supabase.url, "project_ref": REF, "access_token": TOKEN}},
            "http": {"api": {"url": api}},
        },
    }  # fmt: skip


def shipped_rules(folder: Path) -> None:
    """The shipped rules; what has been idle for ten minutes there has been idle for a second here."""
    for path in RULES.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text().replace("older_than: 10m", "older_than: 1s"))


@pytest.fixture
async def world(tmp_path: Path, clusters: Clusters) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        found = World(
            await stack.enter_async_context(receiver()), await stack.enter_async_context(fake_cluster())
        )
        names = ("api-gateway", "pgbouncer", "superset-worker")
        found.cluster.apps("deployments", *(deployment(name) for name in names))
        found.cluster.pods(pod("superset-1", labels={"app": "superset"}))
        found.cluster.logs["superset-1", "app", False] = [(timedelta(minutes=1), b"ERROR: worker lost")]
        found.cluster.add("metrics.k8s.io", "pods", usage("superset-1"))
        await stack.enter_async_context(found.superset.running())
        await stack.enter_async_context(found.supabase.running())
        api = await stack.enter_async_context(serving(_gateway))
        config = settings(found, clusters["18"].url(), api, kubeconfig(tmp_path, found.cluster.url))
        found.daemon = DaemonProcess(tmp_path / "daemon", config)
        (found.daemon.folder / "rules" / "rules.yaml").unlink()
        shipped_rules(found.daemon.folder / "rules")
        kubelet = asyncio.create_task(Kubelet(found.cluster).run())
        await found.daemon.start()
        yield found
        await found.daemon.stop()
        kubelet.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await kubelet


async def test_database_connection_errors_from_the_alert_to_the_ended_sessions(
    world: World, clusters: Clusters
) -> None:
    postgres = clusters["18"]
    admin = await asyncpg.connect(postgres.url())
    await admin.execute("DROP ROLE IF EXISTS idler")
    await admin.execute("CREATE ROLE idler LOGIN")
    idle = [await asyncpg.connect(postgres.url("idler")) for _ in range(6)]
    try:
        await eventually(lambda: _idle_for_a_second(admin, 6))
        incident = await world.fire(alertname="PostgresTooManyConnections", severity="critical")
        findings = await world.told("postgres-idle", "postgres-connections", "recent-deployments")
        assert "idle for over 1s" in findings["postgres-idle"]["headline"]
        assert "connections used" in findings["postgres-connections"]["headline"]
        (page,) = [body for body in world.hook.pages() if body["level"] == "primary"]
        assert page["actions"] == ["terminate-idle-connections", "restart-pgbouncer"]

        run = await world.approve(incident, "terminate-idle-connections")
        assert (run["status"], run["text"][:15]) == ("effective", "Ended 6 session")
        assert await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE usename = 'idler'") == 0
        assert await world.written_down(incident, run["name"]) == ["performing", "performed", "effective"]

        run = await world.approve(incident, "restart-pgbouncer")
        assert run["status"] == "effective"
        annotations = world.cluster.deployment("pgbouncer")["spec"]["template"]["metadata"]["annotations"]
        assert "kubectl.kubernetes.io/restartedAt" in annotations
    finally:
        for one in idle:
            one.terminate()
        await admin.execute("DROP ROLE IF EXISTS idler")
        await admin.close()


async def test_high_api_latency_from_the_alert_to_five_replicas_and_back(world: World) -> None:
    world.supabase.calls = [(INGEST, 500, 9_800.0)] * 3 + [(INGEST, 200, 120.0)] * 9
    incident = await world.fire(alertname="HighAPILatency", severity="warning")
    findings = await world.told("supabase-edge-function-logs", "api-health")
    assert "3 of 12" in findings["supabase-edge-function-logs"]["headline"]
    assert findings["api-health"]["status"] == "ok"
    run = await world.approve(incident, "scale-api-gateway")
    assert run["status"] == "effective", run
    assert world.cluster.deployment("api-gateway")["spec"]["replicas"] == 5
    assert "3" in run["text"]
    assert "5" in run["text"]
    assert run["can_undo"]
    status, _ = await world.daemon.post(
        f"/api/v1/incidents/{incident}/actions/scale-api-gateway", {"by": "ana", "undo": True}
    )
    assert status == 202
    await eventually(lambda: _replicas(world, 3))


async def test_superset_dashboard_errors_from_the_alert_to_an_empty_cache_and_new_workers(
    world: World,
) -> None:
    incident = await world.fire(alertname="SupersetDashboardError", severity="critical")
    findings = await world.told("superset-health", "superset-logs", "analytics-pods-top")
    assert findings["superset-health"]["status"] == "ok"
    assert "ERROR" in json.dumps(findings["superset-logs"])
    run = await world.approve(incident, "clear-superset-cache")
    assert (run["status"], world.superset.cache) == ("effective", {}), run
    run = await world.approve(incident, "restart-superset-worker")
    assert run["status"] == "effective", run
    text = await world.timeline(incident)
    assert "clear-superset-cache asked for via api: as the runbook says" in text
    assert "restart-superset-worker: helped" in text


async def _replicas(world: World, wanted: int) -> bool:
    return bool(world.cluster.deployment("api-gateway")["spec"]["replicas"] == wanted)


async def _idle_for_a_second(admin: Any, wanted: int) -> bool:
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'idler' AND state = 'idle' "
        "AND state_change < now() - interval '1.1s'"
    )
    return bool(await admin.fetchval(sql) == wanted)


async def _gateway(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "path": request.path})
