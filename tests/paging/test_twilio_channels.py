"""Text messages and calls through Twilio: what it would refuse, what is unclear, and what it posts back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web
from fake_twilio import SID, TOKEN, FakeTwilio, check_twiml, gather, refused, said, signature
from hypothesis import given
from hypothesis import strategies as st
from pages import AT, message, tools
from providers import serving

from responder.incident.message import Contact, MessageKind, Receipt
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.twilio_requests import Lost, Reply, fields_of, lost, read_reply, verify
from responder.paging.twilio_sms import TwilioSmsChannel, TwilioSmsSettings
from responder.paging.twilio_twiml import TWIML_LIMIT, Keys, announcement, spoken, text_back
from responder.paging.twilio_voice import TwilioVoiceChannel, TwilioVoiceSettings
from responder.secrets import Secret
from responder.store.codes import Codes
from responder.store.store import Store

__all__ = ["tools"]
ANA = Contact(name="ana", addresses={"phone": "+639171234567"})
FROM = "+15005550006"


@asynccontextmanager
async def fake() -> AsyncIterator[FakeTwilio]:
    twilio = FakeTwilio()
    async with serving(twilio.app()) as url:
        twilio.url = url
        yield twilio


def sms(twilio: FakeTwilio, tools: ChannelTools, **more: Any) -> TwilioSmsChannel:
    settings = {"account_sid": SID, "auth_token": Secret(TOKEN), "sender": FROM, "url": twilio.url, **more}
    return TwilioSmsChannel("text", TwilioSmsSettings(**settings), tools)


def voice(twilio: FakeTwilio, tools: ChannelTools, **more: Any) -> TwilioVoiceChannel:
    settings = {"account_sid": SID, "auth_token": Secret(TOKEN), "sender": FROM, "url": twilio.url, **more}
    return TwilioVoiceChannel("call", TwilioVoiceSettings(**settings), tools)


async def test_a_page_is_one_text_that_is_of_use_until_its_promise_ends(tools: ChannelTools) -> None:
    async with fake() as twilio:
        page = await sms(twilio, tools).send(message(respond_by=AT + timedelta(minutes=15)), ANA, Receipt())
    sent = twilio.messages[0]
    assert sent["Body"].startswith("P1 database: PostgresTooManyConnections")
    assert (sent["To"], sent["From"], sent["ValidityPeriod"]) == ("+639171234567", FROM, "900")
    assert sent["StatusCallback"] == (
        "https://responder.example/twilio/status?channel=text&incident=1f1f1f1f1f1f1f1f&page=abababababababab"
        "&effect=abababababababab&kind=page"
    )
    assert page.reference == {"sid": sent["sid"]}


async def test_a_code_leads_back_to_the_page_for_that_number_only(tools: ChannelTools, store: Store) -> None:
    codes = Codes(store)
    tools = msgspec.structs.replace(tools, codes=codes)
    async with fake() as twilio:
        await sms(twilio, tools).send(message(), ANA, Receipt())
        await sms(twilio, tools).send(message(page_id="c" * 16), ANA, Receipt())
    first, second = (one["Body"].partition("Reply ACK ")[2].split()[0] for one in twilio.messages)
    assert first != second
    assert len(first) == 4
    found = await codes.find("+639171234567", first.upper())
    assert found is not None
    assert (found.incident, found.contact, found.page) == ("1f" * 8, "dbteam", "ab" * 8)
    assert await codes.find("+15005550001", first) is None
    assert await codes.find("+639171234567", "zzzz") is None
    assert await codes.find("+639171234567", "../../") is None


async def test_a_senders_name_takes_no_replies_so_its_text_leads_to_the_link(
    tools: ChannelTools, store: Store
) -> None:
    tools = msgspec.structs.replace(tools, codes=Codes(store))
    async with fake() as twilio:
        await sms(twilio, tools, sender="Responder").send(message(), ANA, Receipt())
        await sms(twilio, tools, sender="55501").send(message(), ANA, Receipt())
    assert "Reply" not in twilio.messages[0]["Body"]
    assert twilio.messages[0]["Body"].endswith("https://responder.example/ack/token")
    assert "Reply ACK" in twilio.messages[1]["Body"]


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(timedelta(hours=24), "36000"), (timedelta(minutes=-3), "300"), (timedelta(hours=1), "3600")],
)
async def test_a_late_text_is_worse_than_none(left: timedelta, seconds: str, tools: ChannelTools) -> None:
    async with fake() as twilio:
        await sms(twilio, tools).send(message(respond_by=AT + left), ANA, Receipt())
    assert twilio.messages[0]["ValidityPeriod"] == seconds


async def test_findings_that_come_later_cost_no_text_but_who_has_it_does(tools: ChannelTools) -> None:
    async with fake() as twilio:
        one = sms(twilio, tools)
        page = await one.send(message(), ANA, Receipt())
        assert await one.send(message(MessageKind.UPDATE, id="c" * 16), ANA, page) == page
        await one.send(message(MessageKind.ACKNOWLEDGED, id="d" * 16, by="ben"), ANA, page)
        await one.send(message(MessageKind.RESOLVED, id="e" * 16), ANA, page)
    assert [sent["Body"].split("\n")[-1] for sent in twilio.messages[1:]] == ["ben has it", "Resolved"]
    assert {sent["ValidityPeriod"] for sent in twilio.messages[1:]} == {"3600"}


@pytest.mark.parametrize("kind", [MessageKind.PAGE, MessageKind.RESOLVED])
async def test_d5_after_an_unclear_answer_the_text_is_looked_for_before_it_is_sent_again(
    kind: MessageKind, tools: ChannelTools, store: Store
) -> None:
    tools = msgspec.structs.replace(tools, codes=Codes(store))
    async with fake() as twilio:
        one = sms(twilio, tools)
        twilio.answers_after.append(web.Response(status=502))
        sent_at = message().sent_at.replace(year=2020)  # the text was made after this attempt began
        with pytest.raises(ChannelError):
            await one.send(message(kind, sent_at=sent_at), ANA, Receipt())
        again = await one.send(message(kind, attempt=2, sent_at=sent_at), ANA, Receipt())
        assert again.reference == {"sid": twilio.messages[0]["sid"]}
        assert len(twilio.messages) == 1
        # Another page of the same incident is another text.
        await one.send(message(attempt=2, sent_at=sent_at, page_id="c" * 16), ANA, Receipt())
        assert len(twilio.messages) == 2


async def test_a_text_that_failed_before_is_sent_again(tools: ChannelTools, store: Store) -> None:
    tools = msgspec.structs.replace(tools, codes=Codes(store))
    async with fake() as twilio:
        one = sms(twilio, tools)
        sent_at = message().sent_at.replace(year=2020)
        await one.send(message(sent_at=sent_at), ANA, Receipt())
        twilio.messages[0]["status"] = "failed"
        await one.send(message(attempt=2, sent_at=sent_at), ANA, Receipt())
    assert len(twilio.messages) == 2


async def test_where_it_may_not_be_looked_for_it_is_sent_again(tools: ChannelTools) -> None:
    async with fake() as twilio:
        twilio.may_list = False
        await sms(twilio, tools).send(message(attempt=2), ANA, Receipt())
    assert len(twilio.messages) == 1


async def test_who_has_replied_stop_is_a_loud_failure_for_good(tools: ChannelTools) -> None:
    async with fake() as twilio:
        twilio.stopped.add("+639171234567")
        with pytest.raises(
            ChannelError, match="replied STOP: nothing reaches it until they send START"
        ) as caught:
            await sms(twilio, tools).send(message(), ANA, Receipt())
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        (lambda: refused(20003, "Authenticate", 401), True),
        (lambda: refused(21211, "Invalid To"), True),
        (lambda: refused(21408, "Permission to send"), True),
        (
            lambda: refused(21611, "This From number has exceeded the maximum number of queued messages"),
            False,
        ),
        (lambda: refused(20429, "Too Many Requests", 429), False),
        (lambda: refused(20500, "Internal Server Error", 500), False),
        (lambda: refused(99999, "something\nnew <b>"), True),
    ],
)
async def test_twilios_errors_are_told_apart_by_code_and_status(
    answer: Any, permanent: bool, tools: ChannelTools
) -> None:
    async with fake() as twilio:
        twilio.answers.append(answer())
        with pytest.raises(ChannelError, match="twilio: answered") as caught:
            await sms(twilio, tools).send(message(), ANA, Receipt())
    assert caught.value.permanent is permanent
    assert "\n" not in str(caught.value)


async def test_a_message_that_has_failed_at_once_is_not_delivered(tools: ChannelTools) -> None:
    async with fake() as twilio:
        made = {"sid": "SM1", "status": "failed", "error_code": 30006}
        twilio.answers.append(web.json_response(made, status=201))
        with pytest.raises(ChannelError, match="landline") as caught:
            await sms(twilio, tools).send(message(), ANA, Receipt())
    assert caught.value.permanent


async def test_an_api_key_is_what_is_signed_in_with_where_there_is_one(tools: ChannelTools) -> None:
    async with fake() as twilio:
        twilio.user = ("SKkey", "key-secret")
        await sms(twilio, tools, api_key="SKkey", api_secret=Secret("key-secret")).send(
            message(), ANA, Receipt()
        )
    assert len(twilio.messages) == 1


async def test_a_daemon_that_only_this_machine_reaches_asks_for_no_callback(tools: ChannelTools) -> None:
    local = msgspec.structs.replace(tools, external_url="http://localhost:8080")
    async with fake() as twilio:
        await sms(twilio, local).send(message(), ANA, Receipt())
        await voice(twilio, local).send(message(), ANA, Receipt())
    assert "StatusCallback" not in twilio.messages[0]
    assert "Gather" not in twilio.calls[0]["Twiml"]


async def test_a_call_says_it_twice_and_takes_a_key(tools: ChannelTools) -> None:
    async with fake() as twilio:
        await voice(twilio, tools, ring_for=timedelta(seconds=20)).send(message(), ANA, Receipt())
    made = twilio.calls[0]
    assert (made["To"], made["Timeout"], made["MachineDetection"], made["AsyncAmd"]) == (
        "+639171234567", "20", "Enable", "true",
    )  # fmt: skip
    assert said(made["Twiml"]) == (
        "This is responder. P1, service database. PostgresTooManyConnections: 97 of 100 connections used. "
        "5 alerts firing since 03:00 U T C. Press 4 to acknowledge. Press 6 for the next person. "
        "No key was pressed. Goodbye."
    )
    keys = gather(made["Twiml"])
    assert (keys.get("numDigits"), keys.get("method")) == ("1", "POST")
    assert keys.get("action") == (
        "https://responder.example/twilio/voice?incident=1f1f1f1f1f1f1f1f&page=abababababababab&contact=dbteam"
    )
    assert keys.find("Say").get("loop") == "2"


async def test_nobody_is_called_to_hear_that_it_is_over(tools: ChannelTools) -> None:
    async with fake() as twilio:
        one = voice(twilio, tools)
        page = await one.send(message(), ANA, Receipt())
        for kind in (MessageKind.UPDATE, MessageKind.ACKNOWLEDGED, MessageKind.RESOLVED):
            assert await one.send(message(kind), ANA, page) == page
        await one.send(message(MessageKind.REMINDER, id="c" * 16, page_id="c" * 16), ANA, page)
    assert len(twilio.calls) == 2
    assert "Still nobody has answered." in said(twilio.calls[1]["Twiml"])


async def test_after_an_unclear_answer_a_call_waits_for_the_one_that_may_be_ringing(
    tools: ChannelTools,
) -> None:
    async with fake() as twilio:
        one = voice(twilio, tools)
        twilio.answers_after.append(web.Response(status=502))
        with pytest.raises(ChannelError):
            await one.send(message(), ANA, Receipt())
        with pytest.raises(ChannelError, match="under way") as caught:
            await one.send(message(attempt=2), ANA, Receipt())
        assert caught.value.retry_after == timedelta(seconds=30)
        twilio.calls[0]["status"] = "no-answer"
        await one.send(message(attempt=3), ANA, Receipt())
    assert len(twilio.calls) == 2


async def test_calls_are_placed_side_by_side_without_losing_one(tools: ChannelTools) -> None:
    async with fake() as twilio:
        one = sms(twilio, tools)
        await asyncio.gather(*(one.send(message(page_id=f"{n:016x}"), ANA, Receipt()) for n in range(20)))
    assert len({sent["sid"] for sent in twilio.messages}) == 20


def test_only_a_number_in_e164_form_is_reached(tools: ChannelTools) -> None:
    one = sms(FakeTwilio(), tools, url="http://127.0.0.1:9")
    assert one.reaches(ANA)
    for number in (
        "",
        "09171234567",
        "+0917123456",
        "+63 917 123 4567",
        "+639171234567\n",
        "whatsapp:+639171234567",
    ):
        assert not one.reaches(Contact(name="x", addresses={"phone": number}))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"account_sid": "AC123"}, "32 hex digits"),
        ({"sender": None}, "give from"),
        ({"sender": "0917"}, None),
        ({"sender": "my sender is too long"}, "expected a number"),
        ({"sender": "Responder"}, None),
        ({"sender": None, "messaging_service_sid": "MG" + "0" * 32}, None),
        ({"messaging_service_sid": "MG" + "0" * 32}, "give from, or"),
        ({"api_key": "SK1"}, "both or neither"),
        ({"url": "api.twilio.com"}, "expected http"),
    ],
)
def test_settings_that_could_not_work_are_refused(more: dict[str, Any], says: str | None) -> None:
    settings = {"account_sid": SID, "auth_token": Secret(TOKEN), "sender": FROM, **more}
    if says is None:
        TwilioSmsSettings(**settings)
        return
    with pytest.raises(ValueError, match=says):
        TwilioSmsSettings(**settings)


def test_a_call_is_refused_a_sender_that_cannot_call() -> None:
    account = {"account_sid": SID, "auth_token": Secret(TOKEN)}
    with pytest.raises(ValueError, match="from"):
        TwilioVoiceSettings(**account, sender="Responder")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ring_for"):
        TwilioVoiceSettings(**account, sender=FROM, ring_for=timedelta(0))  # type: ignore[arg-type]


@given(st.text(max_size=5_000))
def test_whatever_a_sender_wrote_a_call_stays_well_formed_and_short(title: str) -> None:
    incident = msgspec.structs.replace(message().incident, title=title, service=title)
    text = announcement(spoken(message(incident=incident)), Keys(action="https://x.example/?a=1&b=<2>\"'"))
    assert len(text) <= TWIML_LIMIT
    assert len(list(check_twiml(text))) == 2
    check_twiml(text_back(title))


def test_what_twilio_signed_is_the_address_that_it_called_with_its_port_or_without() -> None:
    fields = {"From": "+1", "Body": "ACK 7f3k", "Empty": ""}
    for signed in ("https://r.example/twilio/sms?a=b", "https://r.example:443/twilio/sms?a=b"):
        header = signature(signed, fields)["X-Twilio-Signature"]
        for url in ("https://r.example/twilio/sms?a=b", "https://r.example:443/twilio/sms?a=b"):
            assert verify(["other", TOKEN], header, url, fields)
        assert not verify(["other"], header, "https://r.example/twilio/sms?a=b", fields)
        assert not verify([TOKEN], header, "http://r.example/twilio/sms?a=b", fields)
        assert not verify([TOKEN], header, "https://r.example/twilio/sms?a=c", fields)
        assert not verify([TOKEN], header, "https://r.example/twilio/sms?a=b", {**fields, "Body": "ACK 7f3x"})
    port = signature("https://r.example:8443/x", fields)["X-Twilio-Signature"]
    assert verify([TOKEN], port, "https://r.example:8443/x", fields)
    six = signature("https://[2001:db8::1]/x", fields)["X-Twilio-Signature"]
    assert verify([TOKEN], six, "https://[2001:db8::1]:443/x", fields)
    for bad in ("", "é", "A" * 10_000):
        assert not verify([TOKEN], bad, "https://r.example/", fields)


def test_the_signature_is_the_one_of_twilios_own_example() -> None:
    fields = {
        "CallSid": "CA1234567890ABCDE", "Caller": "+12349013030", "Digits": "1234", "From": "+12349013030",
        "To": "+18005551212",
    }  # fmt: skip
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert verify(["12345"], "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", url, fields)


def test_a_form_that_names_a_field_twice_is_none_of_twilios() -> None:
    assert fields_of(b"a=1&b=&c=%C3%A9") == {"a": "1", "b": "", "c": "é"}
    for raw in (b"a=1&a=2", b"\xff", b"&".join(b"f%d=1" % n for n in range(200)), b"a=%FF"):
        assert fields_of(raw) is None


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("ACK 7f3k", Reply(False, "7f3k")),
        ("  ack 7F3K.", Reply(False, "7f3k")),
        ("Acknowledge: 7f3k", Reply(False, "7f3k")),
        ("Esc 7f3k", Reply(True, "7f3k")),
        ("escalate 7f3k2", Reply(True, "7f3k2")),
        ("ack", None),
        ("7f3k", None),
        ("ok thanks", None),
        ("ACK 7f3k please", None),
        ("do not ACK 7f3k", None),
        ("", None),
        ("STOP", None),
        ("ack " + "x" * 2_000, None),
    ],
)
def test_only_an_explicit_reply_is_one(text: str, reply: Reply | None) -> None:
    assert read_reply(text) == reply


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"MessageSid": "SM1", "MessageStatus": "sent"}, None),
        ({"MessageSid": "SM1", "MessageStatus": "delivered"}, None),
        (
            {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"},
            Lost("SM1 undelivered", "twilio: undelivered: the phone is switched off or out of reach (error 30003)"),
        ),
        ({"MessageSid": "SM1", "MessageStatus": "failed"}, Lost("SM1 failed", "twilio: failed: error unknown")),
        ({"CallSid": "CA1", "CallStatus": "completed"}, None),
        ({"CallSid": "CA1", "CallStatus": "completed", "AnsweredBy": "human"}, None),
        ({"CallSid": "CA1", "CallStatus": "in-progress", "AnsweredBy": "unknown"}, None),
        (
            {"CallSid": "CA1", "CallStatus": "completed", "AnsweredBy": "machine_start"},
            Lost("CA1 machine", "twilio: a mailbox answered the call"),
        ),
        ({"CallSid": "CA1", "AnsweredBy": "fax"}, Lost("CA1 machine", "twilio: a mailbox answered the call")),
        ({"CallSid": "CA1", "CallStatus": "busy"}, Lost("CA1 busy", "twilio: the line was busy")),
        ({"CallSid": "CA1", "CallStatus": "no-answer"}, Lost("CA1 no-answer", "twilio: nobody picked up")),
        ({}, None),
    ],
)  # fmt: skip
def test_a_page_that_reached_nobody_is_known_by_its_status(
    fields: dict[str, str], found: Lost | None
) -> None:
    assert lost(fields) == found
