"""The console's forms, pressed in a real browser: with a login, and on the daemon's own machine without tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import chromium
from daemon import FAST_RULES, DaemonProcess, alert, running, webhook_body
from waiting import eventually

RULES = FAST_RULES.replace(
    "respond_within: 6s, escalate: {secondary: 2s, executive: 4s}", "respond_within: 1h"
)
TOKENS = [{"name": "ana", "token": "ana-has-this-token", "role": "admin"}]


async def entered(page: Any, daemon: DaemonProcess) -> None:
    await page.goto(f"{daemon.url}/login")
    await page.locator("input[name=token]").fill("ana-has-this-token")
    await page.get_by_role("button").click()


@pytest.mark.debian("chromium")
@pytest.mark.parametrize("tokens", [[], TOKENS], ids=["without tokens", "with a login"])
async def test_what_is_pressed_in_a_browser_happens(tmp_path: Path, tokens: list[dict[str, str]]) -> None:
    bearer = {"Authorization": "Bearer ana-has-this-token"} if tokens else {}
    settings = {"channels": {"log": {"type": "log"}}, "auth": {"tokens": tokens}}
    async with running(tmp_path, settings, RULES) as daemon, chromium() as browser:
        await daemon.alerts(webhook_body(alert(1)))
        _, listed = await daemon.get("/api/v1/incidents", headers=bearer)
        address = f"/incidents/{listed['incidents'][0]['id']}"

        async def shown() -> dict[str, Any]:
            _, found = await daemon.get(f"/api/v1{address}", headers=bearer)
            assert isinstance(found, dict)
            return found

        page = await browser.new_page()
        if tokens:
            await entered(page, daemon)
        await page.goto(daemon.url + address)
        await page.get_by_role("button", name="Acknowledge").first.click()

        async def acknowledged() -> bool:
            return bool((await shown())["state"] == "acknowledged")

        await eventually(acknowledged)
        await page.goto(daemon.url + address)
        await page.locator("[name=note]").first.fill("<b>looked</b> at it")
        await page.get_by_role("button", name="Add note").click()

        async def noted() -> bool:
            return any(entry["text"] == "<b>looked</b> at it" for entry in (await shown())["timeline"])

        await eventually(noted)
        await page.goto(daemon.url + address)
        assert await page.get_by_text("<b>looked</b> at it").count() >= 1
