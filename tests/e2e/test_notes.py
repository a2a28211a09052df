"""What people write down is kept as they wrote it, or refused with the limit; never cut without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from daemon import alert, running, webhook_body

LONGEST = "x" * 1_990 + " the end."[:10]


@pytest.mark.parametrize("command", ["notes", "acknowledge", "escalate", "resolve"])
async def test_a_long_note_is_kept_whole_and_one_that_is_too_long_is_refused_with_the_limit(
    tmp_path: Path, command: str
) -> None:
    async with running(tmp_path, {"channels": {"log": {"type": "log"}}}) as daemon:
        await daemon.alerts(webhook_body(alert(1)))
        incident = (await daemon.incidents())[0]["id"]
        path = f"/api/v1/incidents/{incident}/{command}"
        status, answer = await daemon.post(path, {"by": "ana", "note": LONGEST + "and more"})
        assert status == 422, answer
        assert "limit of 2,000" in answer["detail"]
        assert answer["detail"].startswith("body.note: ")
        status, answer = await daemon.post(path, {"by": "ana", "note": LONGEST})
        assert status in (200, 202), answer
        _, shown = await daemon.get(f"/api/v1/incidents/{incident}")
        assert any(one["text"].endswith(LONGEST) for one in shown["timeline"])
