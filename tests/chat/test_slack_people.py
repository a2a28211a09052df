"""People in Slack, to a real daemon: buttons, forms and commands over HTTP and over a socket; who may, and what they hear."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from daemon import DaemonProcess, alert, running, webhook_body
from fake_slack import APP_TOKEN, SECRET, TOKEN, FakeSlack, as_form, fake_slack, pressed, typed
from waiting import until

RULES = """
severities:
  P1: {title: Critical, respond_within: 30m, escalate: {secondary: 10m, executive: 20m}}
escalation:
  database: {primary: dbteam, secondary: ben}
  platform: {primary: dbteam}
contacts:
  dbteam: {slack: "@dbteam", channels: {P1: [chat]}}
  ben: {slack: U0BEN01, channels: {P1: [chat]}}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database, group_by: [alertname], runbook: db}
default: {severity: P3, service: platform}
runbooks:
  db: {summary: Too many connections, offer: [restart]}
actions:
  restart: {type: http, target: api, method: POST, path: /restart, approval: required, role: admin}
"""
PEOPLE = [
    {"name": "ana", "slack": "U0ANA01", "role": "responder"},
    {"name": "vic", "slack": "U0VIC01", "role": "viewer"},
]


class Stage:
    """A daemon whose app is in a fake workspace."""

    def __init__(self, daemon: DaemonProcess, slack: FakeSlack) -> None:
        self.daemon, self.slack = daemon, slack
        self._events = 0

    async def fires(self, number: int = 1) -> str:
        await self.daemon.alerts(webhook_body(alert(number)))
        found = str((await self.daemon.incidents())[0]["id"])
        await until(lambda: any(found in json.dumps(one["blocks"]) for one in self.slack.tops()))
        return found

    async def incident(self, incident: str) -> dict[str, Any]:
        return (await self.daemon.get(f"/api/v1/incidents/{incident}"))[1]  # type: ignore[no-any-return]

    async def post(self, path: str, raw: bytes, secret: str = SECRET) -> tuple[int, Any]:
        stamp = str(int(time.time()))  # noqa: TID251 - Slack's clock
        digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + raw, hashlib.sha256).hexdigest()
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}
        return await self.daemon.post(path, raw, headers=headers)

    async def presses(self, action: str, incident: str, **more: Any) -> str:
        """Press a button; what the person hears."""
        self._events += 1
        payload = pressed(
            action, incident, hooks=self.slack.hooks, at=more.pop("at", str(self._events)), **more
        )
        heard = len(self.slack.told)
        began = time.monotonic()
        assert (await self.post("/slack/interactions", as_form(payload)))[0] == 200
        assert time.monotonic() - began < 10  # Slack waits three seconds, on a machine of its own
        await until(lambda: len(self.slack.told) > heard)
        return str(self.slack.told[-1]["text"])

    async def types(self, text: str, **more: Any) -> str:
        """Type a command; what the person hears."""
        self._events += 1
        heard = len(self.slack.told)
        payload = typed(text, hooks=self.slack.hooks, trigger=str(self._events), **more)
        status, _ = await self.post("/slack/commands", urlencode(payload).encode())
        assert status == 200
        await until(lambda: len(self.slack.told) > heard)
        return str(self.slack.told[-1]["text"])


@asynccontextmanager
async def stage(
    folder: Path, *, people: list[dict[str, str]] | None = None, socket: bool = False, **more: Any
) -> AsyncIterator[Stage]:
    async with fake_slack() as slack:
        slack.users["U0VIC01"] = {"name": "vic"}
        chat = {
            "type": "slack", "token": TOKEN, "signing_secret": SECRET, "channel": "C999", "api_url": slack.url,
            "hooks_url": slack.hooks, **({"app_token": APP_TOKEN} if socket else {}),
        }  # fmt: skip
        config = {
            "channels": {"chat": chat},
            "auth": {"people": PEOPLE if people is None else people},
            "targets": {"http": {"api": {"url": "http://127.0.0.1:9", "allow": ["POST /restart"]}}},
            **more,
        }
        async with running(folder, config, RULES) as daemon:
            yield Stage(daemon, slack)


async def test_whoever_presses_hears_what_really_happened(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        incident = await on.fires()
        assert (await on.presses("acknowledge", incident)).endswith(
            "acknowledged: you have it, and nobody further is paged"
        )
        found = await on.incident(incident)
        assert (found["state"], found["acknowledged_by"]) == ("acknowledged", "ana")
        assert (await on.presses("acknowledge", incident, user="U0BEN01")).endswith(
            "already acknowledged by ana"
        )
        [top] = on.slack.tops("C999")
        await until(lambda: "ana has it" in json.dumps(top["blocks"]))
        assert (await on.presses("command", incident)).endswith("you have command")
        await until(lambda: "Command: ana" in json.dumps(top["blocks"]))
        assert (await on.presses("run-action-0", incident, name="restart")).endswith(
            "refused (role): it needs the role admin"
        )
        assert (await on.presses("silence", incident)).startswith("refused: no Alertmanager")
        await on.daemon.post(f"/api/v1/incidents/{incident}/resolve", {"by": "cyd"})
        assert (await on.presses("acknowledge", incident)).endswith("refused: the incident is resolved")
        assert "there is no such incident" in await on.presses("acknowledge", "0" * 16)
        assert len(on.slack.tops("C999")) == 1


async def test_the_same_press_that_comes_twice_is_taken_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        incident = await on.fires()
        for _ in range(2):
            assert "you have it" in await on.presses("acknowledge", incident, at="1.1")
        lines = [entry["text"] for entry in (await on.incident(incident))["timeline"]]
        assert sum("acknowledged" in line for line in lines) == 1


async def test_a_person_can_ask_for_the_next_level_and_hears_who_it_is(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        incident = await on.fires()
        assert (await on.presses("escalate", incident)).endswith("escalated: secondary is paged (ben)")
        await until(lambda: on.slack.tops("D0BEN01"))
        [top] = on.slack.tops("C999")
        await until(
            lambda: "ben (secondary)" in json.dumps(top["blocks"])
        )  # the other conversation is kept true


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ({"user": "U0STRNG", "team": "T0THEIRS"}, "refused (who): you are of another workspace"),
        ({"user": "U0ANA01", "team": "T0THEIRS"}, "refused (who): you are of another workspace"),
        ({"user": "U0GUEST"}, "refused (who): auth.people does not name you"),
        ({"user": "U0VIC01"}, "refused (role): it needs the role responder"),
    ],
)
async def test_who_may_not_is_told_so_and_changes_nothing(
    more: dict[str, str], refused: str, tmp_path: Path
) -> None:
    async with stage(tmp_path) as on:
        incident = await on.fires()
        for action in ("acknowledge", "escalate", "command"):
            assert await on.presses(action, incident, **more) == refused
        assert await on.types(f"ack {incident}", **more) == refused
        found = await on.incident(incident)
        assert (found["state"], found["assignee"]) == ("triggered", None)


async def test_without_people_anybody_of_the_workspace_may_but_no_guest(tmp_path: Path) -> None:
    async with stage(tmp_path, people=[]) as on:
        incident = await on.fires()
        assert await on.presses("acknowledge", incident, user="U0GUEST") == "refused (who): guests may not"
        assert "another workspace" in await on.presses("acknowledge", incident, team="T0THEIRS")
        assert "you have it" in await on.presses("acknowledge", incident)
        assert (await on.incident(incident))["acknowledged_by"] == "slack:ana"
        assert "refused (role)" in await on.presses("run-action-0", incident, name="restart")


async def test_only_slacks_own_signature_and_answer_address_are_taken(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        incident = await on.fires()
        raw = as_form(pressed("acknowledge", incident, hooks=on.slack.hooks))
        assert (await on.post("/slack/interactions", raw, "wrong"))[0] == 401
        assert (await on.daemon.post("/slack/interactions", raw))[0] == 401
        assert (await on.post("/slack/interactions", b"payload=%7B"))[0] == 400
        assert (await on.incident(incident))["state"] == "triggered"
        elsewhere = as_form(pressed("acknowledge", incident, hooks="https://hooks.slack.com.evil.example/"))
        assert (await on.post("/slack/interactions", elsewhere))[0] == 200

        async def acknowledged() -> bool:
            return (await on.incident(incident))["state"] == "acknowledged"  # type: ignore[no-any-return]

        async with asyncio.timeout(30):
            while not await acknowledged():
                await asyncio.sleep(0.05)
        assert on.slack.told == []


async def test_the_command_lists_shows_and_does(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        assert await on.types("list") == "Nothing is open."
        incident = await on.fires()
        listed = await on.types("list")
        assert incident in listed
        assert "triggered, 1 firing" in listed
        shown = await on.types(f"show {incident[:6]}")
        assert shown.startswith("P1 database: ")
        assert "the first level is paged at once" in shown
        assert (await on.types(f"note {incident[:6]} looking at <it>")).endswith("noted")
        [top] = [ts for ts, one in on.slack.messages.items() if "thread_ts" not in one]
        await until(lambda: "ana: looking at &lt;it&gt;" in on.slack.thread(top))
        assert "you have it" in await on.types(f"ack {incident[:6]} on it")
        assert (await on.types(f"assign {incident[:6]} @ben")).endswith("assigned to ben")
        assert "database: primary dbteam, secondary ben" in await on.types("oncall")
        assert await on.types("oncall database") == "database: primary dbteam, secondary ben"
        assert "escalated: secondary is paged (ben)" in await on.types(f"escalate {incident}")
        assert (await on.types(f"resolve {incident} done")).endswith("resolved")
        found = await on.incident(incident)
        assert (found["state"], found["assignee"]) == ("resolved", "ben")


NOT_UNDERSTOOD = [
    ("", "list: what is open"),
    ("help", "An ID may be given by its first characters."),
    ("lst", "no command 'lst' (did you mean \"list\"?)"),
    ("ack", "type: ack ID [NOTE]"),
    ("ack xyz", "expected an incident's id or its first characters, got 'xyz'"),
    ("ack 1f1", "expected an incident's id or its first characters, got '1f1'"),
    ("ack 0000000000000000", "no incident 0000000000000000"),
    ("show ffff more", "type: show ID"),
    ("note ffff", "type: note ID TEXT"),
    ("list everything", "list takes nothing more"),
    ("oncall nothing", "no service 'nothing' in the matrix"),
]


async def test_what_is_not_understood_is_answered_with_what_would_be(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        for text, said in NOT_UNDERSTOOD:
            assert said in await on.types(text), text


async def test_over_a_socket_everything_is_acknowledged_at_once_and_done(tmp_path: Path) -> None:
    async with stage(tmp_path, socket=True) as on:
        await until(lambda: on.slack.sockets)
        incident = await on.fires()
        envelope = await on.slack.push("interactive", pressed("acknowledge", incident, hooks=on.slack.hooks))
        await until(lambda: envelope in on.slack.acknowledged)
        await until(lambda: on.slack.told)
        assert "you have it" in on.slack.told[-1]["text"]
        assert (await on.incident(incident))["acknowledged_by"] == "ana"
        await on.slack.push("slash_commands", typed("list", hooks=on.slack.hooks))
        await until(lambda: len(on.slack.told) == 2)
        assert incident in on.slack.told[-1]["text"]
        strange = await on.slack.push("events_api", {"event": {"type": "message"}})
        broken = await on.slack.push("interactive", {"type": "block_actions"})
        await until(lambda: {strange, broken} <= on.slack.acknowledged.keys())
        _, metrics = await on.daemon.get("/metrics")
        assert 'responder_slack_socket_connected{channel="chat"} 1.0' in metrics


async def test_a_socket_that_slack_ends_or_that_breaks_is_opened_anew(tmp_path: Path) -> None:
    async with stage(tmp_path, socket=True) as on:
        await until(lambda: on.slack.sockets)
        [first] = on.slack.sockets
        await first.send_json({"type": "disconnect", "reason": "refresh_requested"})
        await until(lambda: len(on.slack.sockets) == 2)  # the new one is there before the old one goes
        await first.close()
        await until(lambda: len(on.slack.sockets) == 1 and on.slack.sockets[0] is not first)
        [second] = on.slack.sockets
        assert second._req is not None
        assert second._req.transport is not None
        second._req.transport.abort()
        await until(lambda: on.slack.sockets and on.slack.sockets[0] is not second)
        await on.slack.push("slash_commands", typed("list", hooks=on.slack.hooks))
        await until(lambda: on.slack.told)


async def test_without_a_socket_the_metric_says_so_and_the_daemon_pages_all_the_same(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        pass
    async with fake_slack() as slack:
        slack.denied = {"apps.connections.open"}
        chat = {
            "type": "slack",
            "token": TOKEN,
            "app_token": APP_TOKEN,
            "channel": "C999",
            "api_url": slack.url,
        }
        async with running(tmp_path / "other", {"channels": {"chat": chat}}, RULES) as daemon:
            on = Stage(daemon, slack)
            await on.fires()
            _, metrics = await daemon.get("/metrics")
            assert 'responder_slack_socket_connected{channel="chat"} 0.0' in metrics
            assert slack.methods().count("apps.connections.open") < 5
        assert await daemon.stop() == 0
