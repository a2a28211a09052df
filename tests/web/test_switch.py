"""The kill switch on the console: a responder switches off, an admin on again, and nobody sees a button that refuses."""

from __future__ import annotations

from pathlib import Path

from daemon import DaemonProcess, running

ROLES = ("viewer", "responder", "admin")
AUTH = {"tokens": [{"name": role, "token": f"{role}-token", "role": role} for role in ROLES]}


async def console_of(daemon: DaemonProcess, role: str) -> str:
    status, raw = await daemon.call("GET", "/", headers={"Authorization": f"Bearer {role}-token"})
    assert status == 200
    return raw.decode()


async def test_the_console_offers_the_kill_switch_to_whoever_may_throw_it(tmp_path: Path) -> None:
    off, on = "Switch every action off", "Switch them on"
    async with running(tmp_path, {"auth": AUTH}) as daemon:
        assert [off in await console_of(daemon, role) for role in ROLES] == [False, True, True]
        body = {"engaged": True, "note": "migration"}
        boss = {"Authorization": "Bearer admin-token"}
        status, _ = await daemon.post("/api/v1/actions/kill-switch", body, headers=boss)
        assert status == 200
        shown = {role: await console_of(daemon, role) for role in ROLES}
        assert all("migration" in page for page in shown.values())
        assert [on in shown[role] for role in ROLES] == [False, False, True]
