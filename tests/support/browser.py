"""Chromium, as Debian packages it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """A browser of playwright's, which is closed in the end."""
    from playwright.async_api import async_playwright

    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path="/usr/bin/chromium", args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()
