"""The console on a phone and on a desk, with an incident that has a lot to show, as Chromium lays it out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from browser import chromium
from daemon import FAST_RULES, DaemonProcess, alert, running, webhook_body

WORD = "averyveryverylongvaluewithoutanyplacetobreakit" * 6
RULES = FAST_RULES.replace("group_by: [alertname]", "group_by: [cluster]").replace(
    "respond_within: 6s, escalate: {secondary: 2s, executive: 4s}", "respond_within: 1h"
)
#: Sticks out to the right: then the page scrolls sideways, or cuts something off.
WIDE = """() => [...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !one.closest('.wide'))
    .map(one => one.tagName + '.' + one.className + ': ' + one.textContent.slice(0, 60))"""


async def filled(daemon: DaemonProcess) -> str:
    """An incident of 120 alerts, long words and many notes."""
    members = [
        alert(
            number, cluster="main", instance=f"10.0.0.{number}:9100", path=WORD if number % 20 == 0 else "/"
        )
        for number in range(120)
    ]
    members[0]["annotations"]["summary"] = (
        f"{WORD} " + "many words that say at length what is wrong here " * 30
    )
    for start in range(0, 120, 40):
        await daemon.alerts(webhook_body(*members[start : start + 40]))
    incident = str((await daemon.incidents())[0]["id"])
    for number in range(60):
        note = f"{number}: {WORD if number % 10 == 0 else 'looked at the pooler, ' * (number % 30)}"
        status, _ = await daemon.post(f"/api/v1/incidents/{incident}/notes", {"by": "ana", "note": note})
        assert status in (200, 202)
    return incident


@pytest.mark.debian("chromium")
@pytest.mark.parametrize("width", [390, 1280])
async def test_a_long_incident_scrolls_down_never_sideways_and_its_buttons_come_first(
    tmp_path: Path, width: int
) -> None:
    """RESPONDER_SHOTS names a folder to keep what it looks like."""
    async with running(tmp_path, {"channels": {"log": {"type": "log"}}}, RULES) as daemon:
        incident = await filled(daemon)
        async with chromium() as browser:
            page = await browser.new_page(viewport={"width": width, "height": 844})
            for name, path in (("list", "/"), ("incident", f"/incidents/{incident}")):
                await page.goto(daemon.url + path)
                if folder := os.environ.get("RESPONDER_SHOTS"):
                    await page.screenshot(path=f"{folder}/{name}-{width}.png")
                    await page.screenshot(path=f"{folder}/{name}-{width}-whole.png", full_page=True)
                assert await page.evaluate(WIDE) == []
                assert await page.evaluate("document.documentElement.scrollWidth") <= width
            button = await page.get_by_role("button", name="Acknowledge").bounding_box()
            assert button is not None
            assert button["y"] + button["height"] < 844, "who is paged at night has to scroll for the button"
            height = await page.evaluate("document.documentElement.scrollHeight")
            assert height > 844
            assert height < 12_000, "what is of later use is folded up"
            await page.mouse.wheel(0, 600)
            await scrolled(page, "window.scrollY > 0")
            await page.get_by_role("link", name="Time line").click()
            await scrolled(page, "document.getElementById('time-line').getBoundingClientRect().top < 844")
            for fold in await page.locator("summary").all():
                await fold.click()
            assert await page.evaluate(WIDE) == []
            await page.keyboard.press("End")
            await scrolled(page, "window.scrollY + window.innerHeight > document.body.scrollHeight - 50")
            if folder := os.environ.get("RESPONDER_SHOTS"):
                await page.screenshot(path=f"{folder}/end-{width}.png")


async def scrolled(page: Any, true: str) -> None:
    """Poll: the page's own policy lets nothing be evaluated in it for long."""
    async with asyncio.timeout(30):
        while not await page.evaluate(true):
            await asyncio.sleep(0.05)
