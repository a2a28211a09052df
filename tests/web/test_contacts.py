"""Who can be reached over what, and an owner who confirms that a channel reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from daemon import DaemonProcess, Receiver, receiver, running
from fake_twilio import SID, TOKEN, FakeTwilio, gather, said
from fake_twilio import signature as twilio_signature
from providers import serving

RULES = """
escalation: {platform: {primary: ana}}
contacts:
  ana: {phone: "+639171234567", email: ana@example.com}
  ben: {}
default: {severity: P3, service: platform}
"""
OUTSIDE = "https://pager.example.com"
TOKENS = [
    {"name": "boss", "token": "responder-token", "role": "responder"},
    {"name": "looker", "token": "viewer-token", "role": "viewer"},
]
BOSS, LOOKER = {"Authorization": "Bearer responder-token"}, {"Authorization": "Bearer viewer-token"}


class World:
    def __init__(self, daemon: DaemonProcess, hook: Receiver, twilio: FakeTwilio) -> None:
        self.daemon, self.hook, self.twilio = daemon, hook, twilio

    async def contacts(self) -> dict[str, dict[str, str | None]]:
        status, answer = await self.daemon.get("/api/v1/contacts", headers=LOOKER)
        assert status == 200, answer
        return {
            one["name"]: {channel["name"]: channel["verified_at"] for channel in one["channels"]}
            for one in answer["contacts"]
        }

    async def ask(self, contact: str, channel: str, headers: dict[str, str] = BOSS) -> tuple[int, Any]:
        return await self.daemon.post(
            f"/api/v1/contacts/{contact}/verify", {"channel": channel}, headers=headers
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    twilio = FakeTwilio()
    async with receiver() as hook, serving(twilio.app()) as url:
        account = {"account_sid": SID, "auth_token": TOKEN, "from": "+15005550006", "url": url}
        config = {
            "external_url": OUTSIDE,
            "auth": {"tokens": TOKENS},
            "channels": {
                "hook": {"type": "webhook", "url": hook.url},
                "text": {"type": "twilio.sms", **account},
                "call": {"type": "twilio.voice", **account},
                "push": {"type": "ntfy", "url": "http://127.0.0.1:9"},
            },
        }
        async with running(tmp_path, config, RULES) as daemon:
            yield World(daemon, hook, twilio)


async def test_contacts_are_listed_with_their_channels_and_without_their_addresses(world: World) -> None:
    assert await world.contacts() == {
        "ana": {"hook": None, "text": None, "call": None},
        "ben": {"hook": None},
    }
    _, raw = await world.daemon.call("GET", "/api/v1/contacts", headers=LOOKER)
    assert b"639171234567" not in raw
    assert b"example.com" not in raw
    assert (await world.daemon.get("/api/v1/contacts"))[0] == 401


async def test_an_owner_confirms_by_the_button_and_opening_the_link_changes_nothing(world: World) -> None:
    status, answer = await world.ask("ana", "hook")
    assert (status, answer["channel"]) == (200, "hook")
    sent = world.hook.bodies[0]
    assert sent["incident"]["state"] == "verify"
    assert "does channel hook reach ana" in sent["incident"]["title"]
    path = sent["ack_url"].removeprefix(OUTSIDE)
    status, page = await world.daemon.get(path)
    assert (status, "Yes, it reached me" in page) == (200, True)
    assert (await world.contacts())["ana"]["hook"] is None
    status, page = await world.daemon.post(path, b"")
    assert (status, "Confirmed, thank you" in page) == (200, True)
    listed = await world.contacts()
    assert (listed["ana"]["hook"] or "").endswith("Z")
    assert listed["ben"]["hook"] is None
    assert listed["ana"]["text"] is None


async def test_a_text_leads_to_the_link_and_a_call_takes_a_key(world: World) -> None:
    assert (await world.ask("ana", "text"))[0] == 200
    text = world.twilio.messages[0]["Body"]
    assert "ACK" not in text
    assert (await world.daemon.post(text.rpartition(OUTSIDE)[2], b""))[0] == 200
    assert (await world.ask("ana", "call"))[0] == 200
    document = world.twilio.calls[0]["Twiml"]
    assert "Press 4 to confirm" in said(document)
    path = gather(document).get("action").removeprefix(OUTSIDE)
    for digit, says in (("6", "Press 4 to confirm"), ("4", "It is confirmed that call reaches ana")):
        fields = {"CallSid": "CA1", "Digits": digit}
        signed = twilio_signature(OUTSIDE + path, fields)
        status, raw = await world.daemon.call("POST", path, data=urlencode(fields), headers=signed)
        assert (status, says in said(raw.decode())) == (200, True)
        assert ((await world.contacts())["ana"]["call"] is None) is (digit == "6")
    assert (await world.contacts())["ana"]["text"] is not None


async def test_a_link_for_one_purpose_is_none_for_another(world: World) -> None:
    await world.ask("ana", "hook")
    token = world.hook.bodies[0]["ack_url"].rpartition("/")[2]
    assert (await world.daemon.get(f"/ack/{token}"))[0] == 404
    assert (await world.daemon.post(f"/ack/{token}", b""))[0] == 404
    for bad in ("x", token[:-2] + "AA", token + "A"):
        assert (await world.daemon.post(f"/verify/{bad}", b""))[0] == 404


async def test_what_cannot_be_asked_is_said(world: World) -> None:
    assert (await world.ask("nobody", "hook"))[0] == 404
    assert (await world.ask("ana", "nowhere"))[0] == 404
    status, answer = await world.ask("ben", "text")
    assert (status, answer["detail"]) == (409, "ben has no address for channel text")
    assert (await world.ask("ana", "hook", LOOKER))[0] == 403
    assert (await world.daemon.post("/api/v1/contacts/ana/verify", {"chanel": "hook"}, headers=BOSS))[
        0
    ] == 400
    world.hook.status = 500
    status, answer = await world.ask("ana", "hook")
    assert (status, answer["detail"]) == (502, "hook: answered 500")


async def test_another_address_has_to_be_confirmed_anew(world: World) -> None:
    await world.ask("ana", "text")
    await world.daemon.post(world.twilio.messages[0]["Body"].rpartition(OUTSIDE)[2], b"")
    assert (await world.contacts())["ana"]["text"] is not None
    rules = world.daemon.folder / "rules" / "rules.yaml"
    rules.write_text(RULES.replace("+639171234567", "+639170000000"))
    async with asyncio.timeout(30):  # the daemon looks at its rule files every two seconds
        while (await world.contacts())["ana"]["text"] is not None:
            await asyncio.sleep(0.1)
