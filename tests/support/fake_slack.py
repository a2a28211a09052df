"""Slack as its published descriptions have it: the Web API, answers to people, and Socket Mode; on loopback.

It refuses what Slack refuses and keeps a list of ``complaints``: arguments that a method does not know, Block Kit over
its limits, requests without the right token. Sources: slackapi/slack-api-specs, docs.slack.dev.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import block_kit
from aiohttp import WSMsgType, web
from providers import serving

TOKEN, APP_TOKEN, TEAM = "xoxb-test", "xapp-1-test", "T0OURS"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"

_FORM = "application/x-www-form-urlencoded"
#: Method -> what it needs, what else it knows, and whether it takes JSON.
METHODS: dict[str, tuple[set[str], set[str], bool]] = {
    "chat.postMessage": (
        {"channel", "text"},
        {"blocks", "attachments", "thread_ts", "reply_broadcast", "unfurl_links", "unfurl_media", "metadata"},
        True,
    ),
    "chat.update": ({"channel", "ts", "text"}, {"blocks", "attachments", "metadata"}, True),
    "conversations.history": (
        {"channel"}, {"latest", "oldest", "inclusive", "limit", "cursor", "include_all_metadata"}, False,
    ),
    "conversations.replies": (
        {"channel", "ts"}, {"latest", "oldest", "inclusive", "limit", "cursor", "include_all_metadata"}, False,
    ),
    "conversations.open": (set(), {"channel", "users", "return_im"}, True),
    "users.lookupByEmail": ({"email"}, set(), False),
    "users.info": ({"user"}, {"include_locale"}, False),
    "usergroups.list": (set(), {"include_users", "include_count", "include_disabled"}, False),
    "auth.test": (set(), set(), True),
    "views.open": ({"trigger_id", "view"}, set(), True),
    "apps.connections.open": (set(), set(), False),
    "files.getUploadURLExternal": ({"filename", "length"}, {"alt_txt", "snippet_type"}, False),
    "files.completeUploadExternal": (
        {"files"}, {"channel_id", "thread_ts", "initial_comment", "channels", "blocks"}, False,
    ),
}  # fmt: skip
_RINGS = re.compile(r"<(@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+|!here|!channel)>")


class FakeSlack:
    """A workspace with channels, people and messages."""

    def __init__(self) -> None:
        self.url = self.hooks = ""
        self.channels: dict[str, dict[str, Any]] = {
            "C0123456": {"name": "database"}, "C999": {"name": "pages"}, "C0OLD01": {"name": "old", "archived": True},
        }  # fmt: skip
        self.users: dict[str, dict[str, Any]] = {
            "U0ANA01": {"name": "ana", "email": "ana@example.com"}, "U0BEN01": {"name": "ben"},
            "U0GUEST": {"name": "gus", "is_ultra_restricted": True},
        }  # fmt: skip
        self.groups = {"platform": "S0PLATF"}
        self.messages: dict[str, dict[str, Any]] = {}  # by time stamp, with their channel
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.rings: list[tuple[str, str]] = []  # who, and the time stamp of the message that rang
        self.answers: list[web.Response] = []
        self.only = ""  # the one method that the answers are for
        self.loses: list[str] = []  # methods whose next answer is lost after they were done
        self.denied: set[str] = set()  # methods for which a scope is missing
        self.hangs: set[str] = set()
        self.limits: Callable[[str, str], int] = lambda _method, _channel: 0  # seconds to wait
        self.waiting: dict[str, dict[str, Any]] = {}  # uploads by the id of their file
        self.uploads: dict[str, bytes] = {}
        self.shared: list[dict[str, Any]] = []
        self.elsewhere = ""  # where an upload is sent instead
        self.views: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []  # answers to people
        self.complaints: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.tickets: set[str] = set()
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        self._over = asyncio.Event()

    # What the test looks at.

    def tops(self, channel: str = "") -> list[dict[str, Any]]:
        """Messages of a channel that are in no thread."""
        return [
            one for one in self.messages.values()
            if "thread_ts" not in one and channel in ("", one["channel"])
        ]  # fmt: skip

    def thread(self, ts: str) -> list[str]:
        """The texts of a thread."""
        return [one["text"] for one in self.messages.values() if one.get("thread_ts") == ts]

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    def gone(self, ts: str) -> None:
        """Somebody deletes a message."""
        self.messages.pop(ts)

    # The Web API.

    async def handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        given = await self._arguments(request, method)
        self.calls.append((method, given))
        if method in self.hangs:
            await self._over.wait()
        if self.answers and (not self.only or method == self.only):
            return self.answers.pop(0)
        if wait := self.limits(method, str(given.get("channel", ""))):
            return web.json_response(
                {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": str(wait)}
            )
        expected = APP_TOKEN if method == "apps.connections.open" else TOKEN
        if request.headers.get("Authorization") != f"Bearer {expected}":
            return _error("invalid_auth")
        if method in self.denied:
            return _error("missing_scope")
        answer = self._answer(method, given)
        if method in self.loses:
            self.loses.remove(method)
            assert request.transport is not None
            request.transport.abort()
        return answer

    async def _arguments(self, request: web.Request, method: str) -> dict[str, Any]:
        if method not in METHODS:
            self.complaints.append(f"unknown method {method}")
            return {}
        needed, known, takes_json = METHODS[method]
        if request.content_type == "application/json":
            given: dict[str, Any] = await request.json()
            if not takes_json:
                self.complaints.append(f"{method} takes a form")
        else:
            given = {name: str(value) for name, value in (await request.post()).items()}
        if not needed <= set(given):
            self.complaints.append(f"{method} without {needed - set(given)}")
        if unknown := set(given) - needed - known:
            self.complaints.append(f"{method}: invalid_arg_name {unknown}")
        return given

    def _answer(self, method: str, given: dict[str, Any]) -> web.Response:
        return getattr(self, "_" + method.replace(".", "_"))(given)  # type: ignore[no-any-return]

    def _channel(self, given: dict[str, Any], *, by_name: bool) -> str:
        wanted = str(given.get("channel", ""))
        if by_name and wanted.startswith("#"):
            return next((i for i, one in self.channels.items() if one["name"] == wanted[1:]), "")
        if by_name and wanted in self.users:
            return self._direct(wanted)
        return wanted if wanted in self.channels else ""

    def _direct(self, user: str) -> str:
        self.channels.setdefault(f"D{user[1:]}", {"name": "", "user": user})
        return f"D{user[1:]}"

    def _checked(self, given: dict[str, Any]) -> str:
        """The error of a message's content."""
        if not given.get("text"):
            return "no_text"
        if len(given["text"]) >= 4_000:
            self.complaints.append("text over 4,000 characters")
        if "blocks" in given and (found := block_kit.complaints(given["blocks"])):
            self.complaints += found
            return "invalid_blocks"
        payload = given.get("metadata", {"event_type": "a", "event_payload": {}})
        if not re.fullmatch(r"[a-z0-9_]{1,255}", payload["event_type"]):
            return "invalid_metadata_schema"
        return ""

    def _chat_postMessage(self, given: dict[str, Any]) -> web.Response:
        channel = self._channel(given, by_name=True)
        if not channel:
            return _error("channel_not_found")
        if self.channels[channel].get("archived"):
            return _error("is_archived")
        if error := self._checked(given):
            return _error(error)
        thread = given.get("thread_ts")
        if thread is not None and thread not in self.messages:
            return _error("thread_not_found")
        ts = f"1700000000.{next(self._numbers):06d}"
        self.messages[ts] = {**given, "channel": channel}
        parsed = given["text"] if "blocks" not in given else json.dumps(_parsed(given["blocks"]))
        self.rings += [(who, ts) for who in _RINGS.findall(parsed)]
        if user := self.channels[channel].get("user"):
            self.rings.append((f"@{user}", ts))
        return web.json_response(
            {"ok": True, "channel": channel, "ts": ts, "message": {"text": given["text"]}}
        )

    def _chat_update(self, given: dict[str, Any]) -> web.Response:
        channel = self._channel(given, by_name=False)
        if not channel:
            return _error("channel_not_found")
        if self.channels[channel].get("archived"):
            return _error("is_archived")
        if error := self._checked(given):
            return _error(error)
        if self.messages.get(given["ts"], {}).get("channel") != channel:
            return _error("message_not_found")
        self.messages[given["ts"]].update({**given, "edited": True})
        return web.json_response({"ok": True, "channel": channel, "ts": given["ts"], "text": given["text"]})

    def _conversations_history(self, given: dict[str, Any]) -> web.Response:
        channel = self._channel(given, by_name=False)
        found = [_seen(ts, one, given) for ts, one in self.messages.items() if one["channel"] == channel]
        return (
            web.json_response({"ok": True, "messages": found[::-1]})
            if channel
            else _error("channel_not_found")
        )

    def _conversations_replies(self, given: dict[str, Any]) -> web.Response:
        if given["ts"] not in self.messages:
            return _error("thread_not_found")
        found = [
            _seen(ts, one, given)
            for ts, one in self.messages.items()
            if given["ts"] in (ts, one.get("thread_ts"))
        ]
        return web.json_response({"ok": True, "messages": found})

    def _conversations_open(self, given: dict[str, Any]) -> web.Response:
        if given.get("users") not in self.users:
            return _error("user_not_found")
        return web.json_response({"ok": True, "channel": {"id": self._direct(given["users"])}})

    def _users_lookupByEmail(self, given: dict[str, Any]) -> web.Response:
        found = next((i for i, one in self.users.items() if one.get("email") == given["email"]), None)
        return web.json_response({"ok": True, "user": {"id": found}}) if found else _error("users_not_found")

    def _users_info(self, given: dict[str, Any]) -> web.Response:
        user = self.users.get(given["user"])
        if user is None:
            return _error("user_not_found")
        return web.json_response({"ok": True, "user": {"id": given["user"], "team_id": TEAM, **user}})

    def _usergroups_list(self, _given: dict[str, Any]) -> web.Response:
        return web.json_response(
            {"ok": True, "usergroups": [{"id": i, "handle": handle} for handle, i in self.groups.items()]}
        )

    def _auth_test(self, _given: dict[str, Any]) -> web.Response:
        return web.json_response({"ok": True, "team_id": TEAM, "user_id": "U0BOT01", "bot_id": "B0BOT01"})

    def _views_open(self, given: dict[str, Any]) -> web.Response:
        self.complaints += block_kit.view_complaints(given["view"])
        self.views.append(given["view"])
        return web.json_response({"ok": True, "view": {"id": f"V{len(self.views)}"}})

    def _files_getUploadURLExternal(self, given: dict[str, Any]) -> web.Response:
        assert int(given["length"]) > 0
        assert len(given.get("alt_txt", "")) <= 1_000
        file_id = f"F{len(self.waiting) + 1:08d}"
        self.waiting[file_id] = given
        address = self.elsewhere or f"{self.url.removesuffix('/api/')}/upload/{file_id}"
        return web.json_response({"ok": True, "upload_url": address, "file_id": file_id})

    def _files_completeUploadExternal(self, given: dict[str, Any]) -> web.Response:
        files = json.loads(given["files"])
        if not all(set(one) <= {"id", "title"} and one["id"] in self.uploads for one in files):
            return _error("file_not_found")
        if given["channel_id"] not in self.channels:
            return _error("channel_not_found")
        if given["thread_ts"] not in self.messages:
            return _error("invalid_thread_ts")
        self.shared.append({**given, "files": files})
        return web.json_response({"ok": True, "files": files})

    async def upload(self, request: web.Request) -> web.Response:
        """Slack's upload address: the bytes themselves, without credentials, of the announced length."""
        assert "Authorization" not in request.headers
        raw, file_id = await request.read(), request.match_info["id"]
        if len(raw) != int(self.waiting[file_id]["length"]):
            return web.Response(status=400, text="length mismatch")
        self.uploads[file_id] = raw
        return web.Response(text=f"OK - {len(raw)}")

    async def hook(self, request: web.Request) -> web.Response:
        """An answer to a person: five times, with what only they see."""
        given = await request.json()
        self.complaints += block_kit.complaints(given["blocks"])
        used = sum(one["address"] == request.path for one in self.told)
        if used >= 5:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        self.told.append({**given, "address": request.path})
        return web.Response(text="ok")

    # Socket Mode.

    def _apps_connections_open(self, _given: dict[str, Any]) -> web.Response:
        ticket = f"t{next(self._numbers)}"
        self.tickets.add(ticket)
        address = self.url.removesuffix("/api/").replace("http", "ws")
        return web.json_response({"ok": True, "url": f"{address}/link?ticket={ticket}"})

    async def link(self, request: web.Request) -> web.StreamResponse:
        """A connection; its address is good for one use."""
        ticket = request.query.get("ticket", "")
        if ticket not in self.tickets:
            return web.Response(status=403)
        self.tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": len(self.sockets) + 1})
        self.sockets.append(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    answer = json.loads(message.data)
                    if not set(answer) <= {"envelope_id", "payload"}:
                        self.complaints.append(f"socket: {set(answer)}")
                    self.acknowledged[answer["envelope_id"]] = answer
        finally:
            self.sockets.remove(socket)
        return socket

    async def push(self, kind: str, payload: dict[str, Any]) -> str:
        """A request to one of the connections, the newest."""
        envelope = f"e{next(self._numbers)}"
        await self.sockets[-1].send_json(
            {
                "envelope_id": envelope, "type": kind, "payload": payload,
                "accepts_response_payload": kind == "slash_commands",
            }
        )  # fmt: skip
        return envelope

    def over(self) -> None:
        self._over.set()


def _error(code: str) -> web.Response:
    more = {"needed": "some:scope", "provided": "chat:write"} if code == "missing_scope" else {}
    return web.json_response({"ok": False, "error": code, **more})


def _seen(ts: str, one: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    meta = (
        {"metadata": one["metadata"]}
        if given.get("include_all_metadata") == "true" and "metadata" in one
        else {}
    )
    return {"ts": ts, "text": one["text"], **meta}


def _parsed(blocks: list[dict[str, Any]]) -> list[str]:
    """What Slack looks for mentions in."""
    return [
        block["text"]["text"]
        for block in blocks
        if block["type"] == "section" and block["text"]["type"] == "mrkdwn"
    ]


def pressed(
    action: str, incident: str, *, user: str = "U0ANA01", team: str = TEAM, hooks: str = "", **more: Any
) -> dict[str, Any]:
    """A pressed button, as Slack sends it."""
    at = more.pop("at", "1548426417.840180")
    return {
        "type": "block_actions",
        "user": {"id": user, "username": user[2:5].lower(), "team_id": team},
        "team": {"id": TEAM, "domain": "ours"},
        "api_app_id": "A1", "trigger_id": "12345.98765.abcd",
        "container": {"type": "message", "message_ts": "1.2", "channel_id": "C999"},
        "actions": [
            {
                "action_id": action, "block_id": "b", "type": "button", "action_ts": at,
                "value": json.dumps({"incident": incident, "name": more.pop("name", "")}),
            }
        ],
        "response_url": f"{hooks}actions/T1/{at}/x",
        **more,
    }  # fmt: skip


def typed(
    text: str, *, user: str = "U0ANA01", team: str = TEAM, hooks: str = "", trigger: str = "1.2"
) -> dict[str, str]:
    """A slash command, as Slack sends it."""
    return {
        "token": "old", "team_id": team, "team_domain": "ours", "channel_id": "C999", "channel_name": "pages",
        "user_id": user, "user_name": user[2:5].lower(), "command": "/incident", "text": text, "api_app_id": "A1",
        "response_url": f"{hooks}commands/T1/{trigger}/x", "trigger_id": trigger,
    }  # fmt: skip


def as_form(payload: dict[str, Any]) -> bytes:
    """An interaction over HTTP."""
    return f"payload={quote(json.dumps(payload))}".encode()


@contextlib.asynccontextmanager
async def fake_slack() -> AsyncIterator[FakeSlack]:
    """A workspace on loopback; at the end it must have had nothing to complain of."""
    slack = FakeSlack()
    app = web.Application()
    app.router.add_post("/api/{method}", slack.handle)
    app.router.add_post("/upload/{id}", slack.upload)
    app.router.add_post("/hooks/{rest:.*}", slack.hook)
    app.router.add_get("/link", slack.link)
    async with serving(app) as url:
        slack.url, slack.hooks = f"{url}/api/", f"{url}/hooks/"
        try:
            yield slack
        finally:
            slack.over()
            for socket in list(slack.sockets):
                await socket.close()
    assert slack.complaints == []
