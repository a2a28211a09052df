"""Answers of people that come through their providers, to a real daemon: by text, by key, by PagerDuty's webhook."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from daemon import DaemonProcess, alert, running, webhook_body
from fake_pagerduty import FakePagerDuty
from fake_pagerduty import signature as pagerduty_signature
from fake_pagerduty import webhook as pagerduty_webhook
from fake_twilio import SID, TOKEN, FakeTwilio, gather, refused, said
from fake_twilio import signature as twilio_signature
from providers import serving
from waiting import until

OUTSIDE = "https://pager.example.com"
PHONE = "+639171234567"
ROUTING, SECRET = "e93facc04764012d7bfb002500d5d1a6", "webhook-secret-1"
RULES = """
severities:
  P1: {title: Critical, respond_within: 30m, escalate: {secondary: 10m, executive: 20m}}
escalation:
  database: {primary: dbteam, secondary: platform}
  platform: {primary: platform}
contacts:
  dbteam: {phone: "+639171234567", channels: {P1: [CHANNELS]}}
  platform: {channels: {P1: [log]}}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database, group_by: [alertname]}
default: {severity: P3, service: platform}
"""


class Stage:
    """A daemon whose pages go to fakes, and who calls it back."""

    def __init__(self, daemon: DaemonProcess, twilio: FakeTwilio, pagerduty: FakePagerDuty) -> None:
        self.daemon, self.twilio, self.pagerduty = daemon, twilio, pagerduty

    async def fires(self, number: int = 1) -> str:
        await self.daemon.alerts(webhook_body(alert(number)))
        return str((await self.daemon.incidents())[0]["id"])

    async def incident(self, incident: str) -> dict[str, Any]:
        status, found = await self.daemon.get(f"/api/v1/incidents/{incident}")
        assert status == 200
        return found  # type: ignore[no-any-return]

    async def twilio_posts(self, path: str, fields: dict[str, str], **headers: str) -> tuple[int, str]:
        """A request of Twilio's to the address that it knows, through a proxy that has ended its TLS."""
        signed = headers or twilio_signature(OUTSIDE + path, fields)
        signed = {"Content-Type": "application/x-www-form-urlencoded", **signed}
        status, raw = await self.daemon.call("POST", path, data=urlencode(fields), headers=signed)
        return status, raw.decode()

    async def reply(self, text: str, sid: str = "SM" + "1" * 32, sender: str = PHONE) -> str:
        fields = {"MessageSid": sid, "From": sender, "To": "+15005550006", "Body": text, "AccountSid": SID}
        status, document = await self.twilio_posts("/twilio/sms", fields)
        assert status == 200
        return said(document)

    async def pagerduty_posts(self, raw: bytes, *secrets: str) -> tuple[int, Any]:
        return await self.daemon.post(
            "/pagerduty/webhook", raw, headers=pagerduty_signature(raw, *(secrets or (SECRET,)))
        )

    async def sms(self, count: int = 1) -> list[str]:
        await until(lambda: len(self.twilio.messages) >= count)
        return [sent["Body"] for sent in self.twilio.messages]

    async def timeline(self, incident: str, text: str) -> dict[str, Any]:
        """The line of the time line that has this text, when it is there."""
        async with asyncio.timeout(30):
            while True:
                for entry in (await self.incident(incident))["timeline"]:
                    if text in entry["text"]:
                        return entry  # type: ignore[no-any-return]
                await asyncio.sleep(0.02)


@asynccontextmanager
async def stage(folder: Path, *channels: str) -> AsyncIterator[Stage]:
    twilio, pagerduty = FakeTwilio(), FakePagerDuty()
    async with serving(twilio.app()) as twilio_url, serving(pagerduty.app()) as pagerduty_url:
        account = {"account_sid": SID, "auth_token": TOKEN, "from": "+15005550006", "url": twilio_url}
        config = {
            "external_url": OUTSIDE,
            "channels": {
                "text": {"type": "twilio.sms", **account},
                "call": {"type": "twilio.voice", **account},
                "phone": {
                    "type": "pagerduty", "routing_key": ROUTING, "url": pagerduty_url,
                    "webhook_secret": "an-older-secret", "webhook_secrets": {"new": SECRET},
                },
                "log": {"type": "log"},
            },
        }  # fmt: skip
        async with running(folder, config, RULES.replace("CHANNELS", ", ".join(channels))) as daemon:
            yield Stage(daemon, twilio, pagerduty)


def code_of(text: str) -> str:
    return text.partition("Reply ACK ")[2].split()[0]


async def test_a_text_with_the_code_of_the_page_acknowledges_and_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path, "text") as on:
        incident = await on.fires()
        code = code_of((await on.sms())[0])
        answer = await on.reply(f"ack {code.upper()}")
        assert answer.startswith("You have it. Nobody further is paged. P1 database: Alert1")
        found = await on.incident(incident)
        assert (found["state"], found["acknowledged_by"]) == ("acknowledged", "dbteam")
        assert (await on.timeline(incident, "acknowledged via sms"))["by"] == "dbteam"
        again = await on.reply(f"ack {code}")  # Twilio repeats a request that it heard no answer to
        assert again == answer
        assert (
            sum("acknowledged" in entry["text"] for entry in (await on.incident(incident))["timeline"]) == 1
        )
        assert (await on.sms(2))[1].split("\n")[-1] == "dbteam has it"


async def test_a_repeated_acknowledgement_says_what_holds_by_now(tmp_path: Path) -> None:
    async with stage(tmp_path, "text") as on:
        incident = await on.fires()
        code = code_of((await on.sms())[0])
        await on.reply(f"ACK {code}")
        await on.reply(f"ESC {code}", sid="SM" + "2" * 32)
        assert (await on.incident(incident))["state"] == "triggered"
        assert (await on.reply(f"ACK {code}")).startswith("It was noted; it is triggered by now. P1 database")


async def test_a_text_can_ask_for_the_next_person(tmp_path: Path) -> None:
    async with stage(tmp_path, "text") as on:
        incident = await on.fires()
        assert (await on.reply(f"ESC {code_of((await on.sms())[0])}")).startswith("The next person is paged.")
        await on.timeline(incident, "page to platform (secondary) over log delivered")


async def test_nothing_else_in_a_text_takes_a_page_and_the_answer_says_how(tmp_path: Path) -> None:
    async with stage(tmp_path, "text") as on:
        incident = await on.fires()
        code = code_of((await on.sms())[0])
        for text in ("ack", "yes", code, f"please ACK {code}"):
            assert "Reply ACK and the code" in await on.reply(text)
        assert "is no code of a page to this phone" in await on.reply("ACK zzzz")
        assert "is no code" in await on.reply(f"ACK {code}", sender="+15005550001")  # another phone
        fields = {"MessageSid": "SM2", "From": PHONE, "Body": "STOP", "OptOutType": "STOP"}
        _, document = await on.twilio_posts("/twilio/sms", fields)
        assert said(document) == ""  # Twilio has answered that itself
        assert (await on.incident(incident))["state"] == "triggered"
        await on.daemon.post(f"/api/v1/incidents/{incident}/resolve", {"by": "ben"})
        assert (await on.reply(f"ACK {code}", sid="SM3")).startswith("Too late: it is resolved.")


async def test_only_what_twilio_signed_for_our_address_is_taken(tmp_path: Path) -> None:
    async with stage(tmp_path, "text") as on:
        incident = await on.fires()
        fields = {"MessageSid": "SM1", "From": PHONE, "Body": f"ACK {code_of((await on.sms())[0])}"}
        good = twilio_signature(f"{OUTSIDE}/twilio/sms", fields)["X-Twilio-Signature"]
        for bad in (
            "",
            "x",
            good[:-4] + "AAA=",
            twilio_signature(f"{on.daemon.url}/twilio/sms", fields)["X-Twilio-Signature"],
        ):
            status, _ = await on.twilio_posts("/twilio/sms", fields, **{"X-Twilio-Signature": bad})
            assert status == 401
        status, _ = await on.twilio_posts(
            "/twilio/sms", {**fields, "From": "+1"}, **{"X-Twilio-Signature": good}
        )
        assert status == 401
        status, _ = await on.twilio_posts("/twilio/voice?incident=x", {}, **{"X-Twilio-Signature": good})
        assert status == 401
        assert (await on.incident(incident))["state"] == "triggered"
        with_port = twilio_signature("https://pager.example.com:443/twilio/sms", fields)["X-Twilio-Signature"]
        status, document = await on.twilio_posts("/twilio/sms", fields, **{"X-Twilio-Signature": with_port})
        assert (status, said(document).startswith("You have it.")) == (200, True)


async def test_a_pressed_key_takes_the_page_and_is_confirmed_aloud(tmp_path: Path) -> None:
    async with stage(tmp_path, "call") as on:
        incident = await on.fires()
        await until(lambda: on.twilio.calls)
        path = gather(on.twilio.calls[0]["Twiml"]).get("action").removeprefix(OUTSIDE)
        call = {"CallSid": "CA" + "1" * 32, "To": PHONE, "CallStatus": "in-progress"}
        _, document = await on.twilio_posts(path, {**call, "Digits": "9"})
        assert "Press 4 to acknowledge." in said(document)
        again = gather(document).get("action").removeprefix(OUTSIDE)
        _, document = await on.twilio_posts(again, {**call, "Digits": "4"})
        assert said(document).startswith("You have it. Nobody further is paged.")
        found = await on.incident(incident)
        assert (found["state"], found["acknowledged_by"]) == ("acknowledged", "dbteam")
        await on.timeline(incident, "acknowledged via voice")


async def test_six_is_for_the_next_person_and_wrong_keys_come_to_an_end(tmp_path: Path) -> None:
    async with stage(tmp_path, "call") as on:
        incident = await on.fires()
        await until(lambda: on.twilio.calls)
        action = path = gather(on.twilio.calls[0]["Twiml"]).get("action").removeprefix(OUTSIDE)
        for count in range(3):
            _, document = await on.twilio_posts(path, {"CallSid": "CA1", "Digits": ""})
            if count < 2:
                path = gather(document).get("action").removeprefix(OUTSIDE)
        assert said(document) == "Nobody has taken it. Goodbye."
        assert (await on.incident(incident))["state"] == "triggered"
        _, document = await on.twilio_posts(action, {"CallSid": "CA1", "Digits": "6"})
        assert said(document).startswith("The next person is paged.")
        await on.timeline(incident, "page to platform (secondary) over log delivered")


@pytest.mark.parametrize(
    ("channel", "fields", "says"),
    [
        ("text", {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"}, "switched off"),
        ("text", {"MessageSid": "SM1", "MessageStatus": "failed", "ErrorCode": "21610"}, "has replied STOP"),
        ("call", {"CallSid": "CA1", "CallStatus": "no-answer"}, "nobody picked up"),
        (
            "call",
            {"CallSid": "CA1", "CallStatus": "completed", "AnsweredBy": "machine_start"},
            "a mailbox answered",
        ),
    ],
)
async def test_a_page_that_reached_nobody_becomes_a_fact_of_its_incident(
    channel: str, fields: dict[str, str], says: str, tmp_path: Path
) -> None:
    async with stage(tmp_path, channel, "log") as on:
        incident = await on.fires()
        made = on.twilio.messages if channel == "text" else on.twilio.calls
        await until(lambda: made)
        path = made[0]["StatusCallback"].removeprefix(OUTSIDE)
        await on.timeline(incident, "delivered")
        good = {
            "text": {"MessageSid": "SM1", "MessageStatus": "sent"},
            "call": {"CallSid": "CA1", "CallStatus": "completed"},
        }
        for each in (good[channel], fields, fields):  # in whatever order, however often
            assert (await on.twilio_posts(path, each))[0] == 204
        await on.timeline(incident, says)
        lines = [entry["text"] for entry in (await on.incident(incident))["timeline"]]
        assert sum(says in line for line in lines) == 1
        _, metrics = await on.daemon.get("/metrics")
        assert f'responder_pages_total{{channel="{channel}",outcome="unreachable"}} 0.0' not in metrics
        assert (await on.incident(incident))["state"] == "triggered"


async def test_l9_a_provider_that_fails_once_is_tried_again_and_the_page_goes_out_once(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, "text") as on:
        on.twilio.answers += [
            refused(20500, "Internal Server Error", 500),
            refused(20429, "Too Many Requests", 429),
        ]
        incident = await on.fires()
        await on.timeline(incident, "page to dbteam (primary) over text delivered")
        assert len(on.twilio.messages) == 1
        assert on.twilio.lists >= 1  # what was unclear was looked for first
        delayed = await on.timeline(incident, "trying again")
        assert "twilio: answered 500: error 20500: Internal Server Error" in delayed["text"]


async def test_l10_a_number_that_is_refused_is_no_page_and_the_next_channel_is_tried_at_once(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, "text", "phone") as on:
        on.twilio.stopped.add(PHONE)
        incident = await on.fires()
        await on.timeline(incident, "page to dbteam (primary) over phone delivered")
        failed = await on.timeline(incident, "has replied STOP")
        assert failed["reason"] == "failed"
        assert len(on.pagerduty.called) == 1


async def test_a_channel_that_is_down_shows_in_the_metrics_and_in_the_time_line(tmp_path: Path) -> None:
    async with stage(tmp_path, "text", "log") as on:
        on.twilio.answers += [refused(20500, "Internal Server Error", 500) for _ in range(3)]
        incident = await on.fires()
        await on.timeline(incident, "channel text is down since")
        await on.timeline(incident, "page to dbteam (primary) over text delivered")
        _, metrics = await on.daemon.get("/metrics")
        assert 'responder_channel_up{channel="text"} 1.0' in metrics
        assert 'responder_channel_up{channel="log"} 1.0' in metrics
        assert 'responder_pages_total{channel="text",outcome="retried"} 3.0' in metrics


async def test_a_status_of_something_unknown_is_taken_and_ignored(tmp_path: Path) -> None:
    async with stage(tmp_path, "text") as on:
        for path in (
            "/twilio/status",
            "/twilio/status?incident=nonsense&page=x&effect=y&kind=page&channel=evil",
            "/twilio/status?incident=0123456789abcdef&page=x&effect=y&kind=odd&channel=text",
            "/twilio/status?incident=0123456789abcdef&page=x&effect=y&kind=page&channel=text",
        ):
            fields = {"MessageSid": "SM1", "MessageStatus": "failed"}
            assert (await on.twilio_posts(path, fields))[0] == 204
        _, metrics = await on.daemon.get("/metrics")
        assert "evil" not in metrics


async def test_who_acknowledged_in_pagerduty_has_it_here_and_the_events_own_time_counts(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, "phone") as on:
        incident = await on.fires()
        await until(lambda: on.pagerduty.called)
        key = on.pagerduty.called[0]
        assert key.startswith(f"{incident}-primary-")
        raw = pagerduty_webhook("incident.acknowledged", key)
        for _ in range(3):  # at least once, says PagerDuty
            assert await on.pagerduty_posts(raw, "other", SECRET) == (200, {"taken": 1})
        found = await on.incident(incident)
        assert (found["state"], found["acknowledged_by"]) == ("acknowledged", "pagerduty:Tenex Engineer")
        lines = [
            entry["text"] for entry in found["timeline"] if "acknowledged via pagerduty" in entry["text"]
        ]
        assert len(lines) == 1
        assert not any("already acknowledged" in entry["text"] for entry in found["timeline"])
        await until(lambda: list(on.pagerduty.open.values()) == ["acknowledged"])


async def test_resolved_and_reopened_there_is_so_here_and_escalated_is_a_note(tmp_path: Path) -> None:
    async with stage(tmp_path, "phone") as on:
        incident = await on.fires()
        await until(lambda: on.pagerduty.called)
        key = on.pagerduty.called[0]
        await on.pagerduty_posts(pagerduty_webhook("incident.escalated", key, id="E1"))
        assert (await on.timeline(incident, "escalated in PagerDuty"))["by"] == "pagerduty:Tenex Engineer"
        assert (await on.incident(incident))["state"] == "triggered"
        await on.pagerduty_posts(pagerduty_webhook("incident.resolved", key, id="E2"))
        assert (await on.incident(incident))["state"] == "resolved"
        await on.pagerduty_posts(pagerduty_webhook("incident.reopened", key, id="E3"))
        assert (await on.incident(incident))["state"] == "triggered"
        await until(lambda: len(on.pagerduty.called) == 2)  # a new episode calls anew, under a new key


async def test_what_an_earlier_page_was_told_does_not_take_the_present_one(tmp_path: Path) -> None:
    async with stage(tmp_path, "phone") as on:
        incident = await on.fires()
        await until(lambda: on.pagerduty.called)
        old = on.pagerduty.called[0]
        await on.daemon.post(f"/api/v1/incidents/{incident}/resolve", {"by": "ben"})
        await on.daemon.post(f"/api/v1/incidents/{incident}/reopen", {"by": "ben"})
        await until(lambda: len(on.pagerduty.called) == 2)
        earlier = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()  # noqa: TID251
        await on.pagerduty_posts(pagerduty_webhook("incident.acknowledged", old, occurred_at=earlier))
        await on.timeline(incident, "acknowledged in PagerDuty: an earlier page")
        assert (await on.incident(incident))["state"] == "triggered"


async def test_what_is_not_a_persons_answer_is_taken_and_ignored(tmp_path: Path) -> None:
    async with stage(tmp_path, "phone") as on:
        incident = await on.fires()
        await until(lambda: on.pagerduty.called)
        key = on.pagerduty.called[0]
        ignored = [
            pagerduty_webhook("pagey.ping", None, data={"message": "Hello", "type": "ping"}),
            pagerduty_webhook("incident.priority_updated", key),
            pagerduty_webhook("something.new", key),
            pagerduty_webhook("incident.resolved", key, agent=None),  # PagerDuty's own time-out
            pagerduty_webhook("incident.resolved", key, agent={"type": "inbound_integration_reference"}),
            pagerduty_webhook("incident.acknowledged", "srv01/mysql"),  # another monitor's
            pagerduty_webhook("incident.acknowledged", f"{'0' * 16}-primary-{'0' * 16}"),
            b"not json",
            b'{"event": {}}',
        ]
        for raw in ignored:
            assert await on.pagerduty_posts(raw) == (200, {"taken": 0})
        assert (await on.incident(incident))["state"] == "triggered"


async def test_only_what_pagerduty_signed_is_taken(tmp_path: Path) -> None:
    async with stage(tmp_path, "phone") as on:
        incident = await on.fires()
        await until(lambda: on.pagerduty.called)
        raw = pagerduty_webhook("incident.acknowledged", on.pagerduty.called[0])
        for headers in (
            {},
            {"X-PagerDuty-Signature": "v1="},
            pagerduty_signature(raw + b" ", SECRET),
            pagerduty_signature(raw, "wrong"),
        ):
            status, answer = await on.daemon.post("/pagerduty/webhook", raw, headers=headers)
            assert status == 401, answer
        assert (await on.incident(incident))["state"] == "triggered"
        assert (await on.pagerduty_posts(raw, "an-older-secret"))[1] == {"taken": 1}


async def test_without_such_channels_nobody_can_post_there(tmp_path: Path) -> None:
    async with running(tmp_path, {}) as daemon:
        fields = {"MessageSid": "SM1", "From": PHONE, "Body": "ACK 7f3k"}
        for path, raw, headers in (
            (
                "/twilio/sms",
                urlencode(fields).encode(),
                twilio_signature(f"{daemon.url}/twilio/sms", fields, ""),
            ),
            ("/pagerduty/webhook", b"{}", pagerduty_signature(b"{}", "")),
        ):
            status, answer = await daemon.post(path, raw, headers=headers)
            assert status == 401, answer
        assert json.dumps(answer)
