"""A plan of channels from the rule file to the page, in a real daemon."""

from __future__ import annotations

import time
from pathlib import Path

from daemon import FAST_RULES, alert, receiver, running, webhook_body
from waiting import until

PLAN = FAST_RULES.replace(
    "dbteam: {email: db@example.com}", "dbteam: {channels: {P1: [first, {channel: second, after: 10s}]}}"
).replace("respond_within: 6s, escalate: {secondary: 2s, executive: 4s}", "respond_within: 90s")


async def test_a_later_channel_pages_at_its_time_and_not_after_an_answer(tmp_path: Path) -> None:
    async with receiver() as first, receiver() as second:
        config = {
            "channels": {
                "first": {"type": "webhook", "url": first.url},
                "second": {"type": "webhook", "url": second.url},
            }
        }
        async with running(tmp_path, config, PLAN) as daemon:
            await daemon.alerts(webhook_body(alert(1)))
            await until(first.pages)
            begun = time.monotonic()
            assert second.pages() == []
            await until(second.pages)
            assert time.monotonic() - begun > 2  # we may have looked late
            assert second.pages()[0]["to"] == "dbteam"
            await daemon.alerts(webhook_body(alert(2)))
            await until(lambda: len(first.pages()) > 1)
            listed = {one["title"]: one["id"] for one in await daemon.incidents()}
            answered = next(listed[title] for title in listed if "Alert2" in title)
            status, _ = await daemon.post(f"/api/v1/incidents/{answered}/acknowledge", {"by": "ana"})
            assert status == 200
            end = time.monotonic() + 11
            await until(lambda: time.monotonic() > end)
            assert answered not in [page["incident"]["id"] for page in second.pages()]
