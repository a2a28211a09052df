"""Secrets whose files change while the daemon runs: the new one is blanked, and the former one still."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog
from waiting import until

from responder.clock import SystemClock
from responder.config import Config, HttpTarget, Targets
from responder.rulebook import rulebook
from responder.secrets import CurrentRedactor, Secret


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


async def test_the_watch_outlives_whatever_looking_at_the_files_ends_in_and_says_it_once(
    tmp_path: Path,
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("escalation: {platform: {primary: ana}}\n")
    book = rulebook(Config(rules=(str(file),)))
    looks = 0

    def odd() -> Sequence[str]:
        nonlocal looks
        looks += 1
        if 1 < looks < 10:
            raise ValueError("netloc 'u:hunter2@h' is odd")
        return ()

    book.redact = CurrentRedactor(odd)
    with structlog.testing.capture_logs() as logs:
        watching = asyncio.create_task(book.watch(Quick()))
        try:
            await until(lambda: looks > 3)
            file.write_text(
                "escalation: {platform: {primary: bo}}\ncontacts: {bo: {email: bo@example.com}}\n"
            )
            await until(lambda: any(one["event"] == "rules reloaded" for one in logs))
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    (said,) = [one for one in logs if "cannot be looked at" in one["event"]]
    assert said["error"].startswith("ValueError at test_rotation.py:")
    assert "hunter2" not in str(logs)
