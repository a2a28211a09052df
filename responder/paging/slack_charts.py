"""Pictures in Slack: uploaded in three steps into the thread of the page's message, beside the page and never in its way.

Sources: docs.slack.dev of ``files.getUploadURLExternal`` and ``files.completeUploadExternal``; needs ``files:write``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from responder.incident.finding import Finding
from responder.incident.message import Message, Receipt
from responder.overflow import Overflow
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.beside import Beside
from responder.paging.compose import charted
from responder.text import one_line

_STEP = 8.0  # seconds for one step
_TRIES = 3
_LONGEST_PAUSE = timedelta(seconds=10)
_ALT_LIMIT = 1_000
_TITLE_LIMIT = 200

#: Calls a method of Slack's API with a form; raises ``ChannelError``.
Call = Callable[[str, dict[str, Any]], Awaitable[Any]]


class SlackCharts:
    """Shares the pictures of messages. What fails is logged, and missing in Slack only."""

    def __init__(self, call: Call, tools: ChannelTools, api_url: str) -> None:
        self._call = call
        self._tools = tools
        self._api = URL(api_url)
        self._beside = Beside("picture not shared", partial(tools.spill, Overflow.SLACK_PICTURES))
        self._allowed = True

    def begin(self, message: Message, page: Receipt) -> Receipt:
        """Start to share what this thread does not have yet; the receipt notes it, so that nothing is shared twice."""
        shared = [one for one in page.reference.get("charts", "").split(",") if one]
        new = [finding for finding in charted(message.findings) if finding.chart not in shared]
        if not new or not self._allowed or not {"channel", "ts"} <= page.reference.keys():
            return page
        if not self._beside.begin(f"pictures of {message.id}", partial(self._share, new, page.reference)):
            return page
        noted = ",".join([*shared, *(finding.chart for finding in new)])
        return Receipt({**page.reference, "charts": noted})

    async def close(self) -> None:
        """Give up what is under way."""
        await self._beside.close()

    async def _share(self, findings: Sequence[Finding], page: dict[str, str]) -> None:
        for finding in findings:
            await self._persistently(finding, page)

    async def _persistently(self, finding: Finding, page: dict[str, str]) -> None:
        for number in range(1, _TRIES + 1):
            try:
                return await self._once(finding, page)
            except ChannelError as error:
                if "missing_scope" in str(error):
                    self._allowed = False
                    raise ChannelError(
                        f"{error}: give the app files:write; until then, no pictures"
                    ) from None
                if error.permanent or number == _TRIES:
                    raise
                pause = min(error.retry_after or timedelta(seconds=number), _LONGEST_PAUSE)
            await self._tools.clock.sleep(pause.total_seconds())
        return None

    async def _once(self, finding: Finding, page: dict[str, str]) -> None:
        png = await self._tools.chart(finding.chart)
        if png is None:
            return
        title = one_line(f"{finding.probe}: {finding.headline}", _TITLE_LIMIT)
        wanted = {
            "filename": f"{finding.chart[:12]}.png",
            "length": str(len(png)),
            "alt_txt": one_line(finding.chart_alt or title, _ALT_LIMIT),
        }
        place = await self._call("files.getUploadURLExternal", wanted)
        await self._upload(str(place.get("upload_url", "")), png)
        files = msgspec.json.encode([{"id": str(place.get("file_id", "")), "title": title}]).decode()
        await self._call(
            "files.completeUploadExternal",
            {"files": files, "channel_id": page["channel"], "thread_ts": page["ts"]},
        )

    async def _upload(self, address: str, png: bytes) -> None:
        """The bytes go to Slack itself, and nowhere that an answer might name instead."""
        url = self._slacks(address)
        try:
            async with (
                asyncio.timeout(_STEP),
                self._tools.session.post(url, data=png, allow_redirects=False) as response,
            ):
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ChannelError(f"slack: upload: {type(error).__name__}") from None
        if status != 200:
            raise ChannelError(f"slack: upload answered {status}", permanent=400 <= status < 500)

    def _slacks(self, address: str) -> URL:
        """The address where it is one of Slack's, or of the API that is configured instead."""
        with contextlib.suppress(ValueError):
            url = URL(address)
            if url.scheme == "https" and (url.host or "").endswith(".slack.com"):
                return url
            if url.origin() == self._api.origin():
                return url
        raise ChannelError("slack: the upload address is not Slack's", permanent=True)
