"""Secrets whose files change while the daemon runs: the new one is blanked, and the former one still."""

from __future__ import annotations

import asyncio
from pathlib import Path

from waiting import until

from responder.clock import SystemClock
from responder.config import Config, HttpTarget, Targets
from responder.rulebook import rulebook
from responder.secrets import Secret


class Quick(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


async def test_a_rotated_secret_is_blanked_everywhere_and_so_is_the_former_one(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("escalation: {platform: {primary: ana}}\n")
    file = tmp_path / "token"
    file.write_text("Bearer token-value-1\n")
    target = HttpTarget(url="https://api", headers={"Authorization": Secret(file=file)})
    rules = rulebook(Config(rules=(str(tmp_path / "rules.yaml"),), targets=Targets(http={"api": target})))
    assert rules.redact("token-value-1, token-value-2") == "<redacted>, token-value-2"
    watching = asyncio.create_task(rules.watch(Quick()))
    try:
        file.write_text("Bearer token-value-2\n")
        await until(lambda: rules.redact("token-value-1, token-value-2") == "<redacted>, <redacted>")
        file.write_bytes(b"\xff\xfe")  # half written: nothing is learnt of it, and nothing forgotten
        assert rules.redact("token-value-2") == "<redacted>"
        file.write_text("Bearer token-value-3\n")
        await until(lambda: rules.redact("token-value-3") == "<redacted>")
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
