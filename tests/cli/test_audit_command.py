"""``responder audit`` against a daemon whose audit somebody has been at, in the store."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from daemon import DaemonProcess, running

from responder.incident.audit import AuditEntry
from responder.store.audit import Audit
from responder.store.store import Store


@pytest.fixture
async def daemon(
    tmp_path: Path, store_url: str, store: Store, store_name: str
) -> AsyncIterator[DaemonProcess]:
    """Over the test's own store."""
    async with running(tmp_path, {"name": store_name, "redis": {"url": store_url}}) as found:
        yield found


async def command(daemon: DaemonProcess, *words: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "responder", *words, "--url", daemon.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await made.communicate()
    assert made.returncode is not None
    return made.returncode, out.decode()


async def written(store: Store, count: int) -> list[str]:
    """Their hashes."""
    audit, now = Audit(store), await store.now()
    entries = [AuditEntry(number=0, at=now, event="performed", by=f"ana {one}") for one in range(count)]
    return [(await audit.append(one)).hash for one in entries]


async def test_verify_says_what_is_whole_and_what_is_not(daemon: DaemonProcess, store: Store) -> None:
    code, out = await command(daemon, "audit", "verify")
    assert (code, out) == (0, "0 entries from number 0: nothing was written down yet\nnewest hash none\n")
    hashes = await written(store, 11)
    assert await command(daemon, "audit", "verify") == (
        0,
        f"11 entries from number 1: every entry follows from the one before\nnewest hash {hashes[-1]}\n",
    )
    code, out = await command(daemon, "audit", "verify", "--head", f" {hashes[6].upper()}")
    assert (code, "your hash is that of entry 7, with 4 behind it" in out) == (0, True)
    code, out = await command(daemon, "audit", "verify", "--head", "f" * 64)
    assert (code, out.startswith("BROKEN at entry 12: no entry has your hash")) == (1, True)
    code, out = await command(daemon, "audit", "verify", "--head", hashes[6][:40])
    assert (code, "--head: expected 64 hex digits" in out) == (2, True)
    key = f"{store.base}:audit"
    newest = await store.client.rpop(key)
    code, out = await command(daemon, "audit", "verify")
    assert (code, out.startswith("BROKEN at entry 11: the store has another newest hash")) == (1, True)
    await store.client.rpush(key, newest)
    await store.client.lpop(key, 2)
    code, out = await command(daemon, "audit", "verify")
    assert (code, out.startswith("BROKEN at entry 2: entries up to this one were taken out")) == (1, True)
    code, out = await command(daemon, "audit", "verify", "--json")
    assert (code, json.loads(out)["broken_at"], json.loads(out)["sound"]) == (1, 2, False)
    await store.client.delete(key)
    code, out = await command(daemon, "audit", "verify")
    assert (code, "all were taken out" in out) == (1, True)


async def test_a_line_that_is_no_entry_is_shown_and_breaks_the_chain(
    daemon: DaemonProcess, store: Store
) -> None:
    await written(store, 3)
    await store.client.lset(f"{store.base}:audit", 1, "x \x1b[31mred")
    code, out = await command(daemon, "audit", "verify")
    assert (code, out) == (1, "BROKEN at entry 2: line 2 of the audit cannot be read\n")
    code, out = await command(daemon, "audit", "list")
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 3)
    assert lines[1] == "     2  UNREADABLE (line 2 of the audit): x [31mred"
    assert "ana 2" in lines[2]
    _, out = await command(daemon, "audit", "list", "--after", "1", "--json")
    assert [one["number"] for one in json.loads(out)] == [2, 3]
    status, page = await daemon.get("/api/v1/audit")
    assert status == 200
    assert [one["number"] for one in page["entries"]] == [1, 3]
    assert page["unreadable"] == [{"line": 2, "number": 2, "text": "x [31mred"}]
    assert page["head"] == page["entries"][-1]["hash"]
    assert "request failed" not in daemon.log()


async def test_the_kill_switch_holds_where_the_audit_was_changed_and_is_not_released_unseen(
    daemon: DaemonProcess, store: Store
) -> None:
    await written(store, 2)
    await store.client.rpop(f"{store.base}:audit")
    code, out = await command(daemon, "actions", "stop", "--by", "ana")
    assert (code, "actions were switched off by ana" in out) == (0, True)
    assert (
        "warning: actions are off, and the audit does not tell of it: the audit was changed from outside"
        in out
    )
    code, out = await command(daemon, "actions", "start")
    assert code == 1
    assert out.startswith("responder: 409: actions stay off: the audit was changed from outside")
    assert "switched off by ana" in (await command(daemon, "actions", "list"))[1]
    assert "not in the audit, which was changed from outside" in daemon.log()
    assert "Traceback" not in daemon.log()
