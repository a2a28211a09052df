"""ntfy, as far as our channel meets it: strict about what its server checks.

Facts from binwiederhier/ntfy, server/server.go, actions.go, errors.go and docs/publish.md (July 2025).
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

FIELDS = {
    "topic", "title", "message", "priority", "tags", "click", "icon", "actions", "attach", "markdown", "filename",
    "email", "call", "cache", "firebase", "delay",
}  # fmt: skip
TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")


def error(code: int, text: str) -> web.Response:
    status = code // 100
    return web.json_response({"code": code, "http": status, "error": text}, status=status)


class FakeNtfy:
    """Messages by topic; answers that a test sets come first."""

    def __init__(self, authorization: str | None = None) -> None:
        self.published: list[dict[str, Any]] = []
        self.answers: list[web.Response] = []
        self.authorization = authorization

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/", self.publish)
        return app

    async def publish(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if self.answers:
            return self.answers.pop(0)
        if self.authorization != request.headers.get("Authorization"):
            return error(40101, "unauthorized")
        if len(raw) > 2 * 4_096:
            return error(41303, "JSON body too large")
        given = await request.json()
        if wrong := self._wrong(given):
            return wrong
        self.published.append(given)
        said = {"id": f"m{len(self.published):011d}", "time": 1, "event": "message", **given}
        return web.json_response(said)

    def _wrong(self, given: dict[str, Any]) -> web.Response | None:
        assert not set(given) - FIELDS
        if not TOPIC.fullmatch(given.get("topic", "")):
            return error(40009, "invalid request: topic invalid")
        if len(given.get("message", "").encode()) > 4_096:
            raise AssertionError("this would have become an attachment")
        if given.get("priority", 3) not in range(1, 6):
            return error(40007, "invalid priority parameter")
        if not all(isinstance(tag, str) for tag in given.get("tags", [])):
            return error(40017, "invalid request: request body must be message JSON")
        if problem := _actions(given.get("actions", [])):
            return error(40018, f"invalid request: actions invalid; {problem}")
        return None


def _actions(actions: list[dict[str, Any]]) -> str:
    if len(actions) > 3:
        return "only 3 actions allowed"
    for one in actions:
        if one.get("action") not in ("view", "broadcast", "http"):
            return "action"
        if not one.get("label") or not one.get("url"):
            return "label and url are required"
        if one.get("method") in ("GET", "HEAD") and one.get("body"):
            return "body"
    return ""
