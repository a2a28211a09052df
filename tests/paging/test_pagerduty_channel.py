"""PagerDuty: events that it would take, keys that call somebody at each level, and its webhooks read with care."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from conftest import body
from fake_pagerduty import API_KEY, FakePagerDuty, problems, signature, webhook
from pages import message, tools
from providers import serving

from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import Contact, MessageKind, Receipt
from responder.incident.severity import Level, Severity
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.pagerduty import PagerDutyChannel, PagerDutySettings
from responder.paging.pagerduty_events import PageKey, encode, read_key, trigger
from responder.paging.pagerduty_requests import decode_event, verify
from responder.secrets import Secret

__all__ = ["tools"]
KEY, OTHER = "e93facc04764012d7bfb002500d5d1a6", "0123456789abcdef0123456789abcdef"
DB = Contact(name="dbteam")


@asynccontextmanager
async def fake() -> AsyncIterator[FakePagerDuty]:
    pagerduty = FakePagerDuty()
    async with serving(pagerduty.app()) as url:
        pagerduty.url = url
        yield pagerduty


def channel(pagerduty: FakePagerDuty, tools: ChannelTools, **more: Any) -> PagerDutyChannel:
    settings = {"routing_key": Secret(KEY), "url": pagerduty.url, "api_url": pagerduty.url, **more}
    return PagerDutyChannel("phone", PagerDutySettings(**settings), tools)


async def test_a_page_opens_an_alert_and_what_follows_goes_to_the_same_one(tools: ChannelTools) -> None:
    async with fake() as pagerduty:
        one = channel(pagerduty, tools)
        page = await one.send(message(), DB, Receipt())
        await one.send(message(MessageKind.UPDATE, id="c" * 16), DB, page)
        await one.send(message(MessageKind.ACKNOWLEDGED, id="d" * 16, by="ana"), DB, page)
        assert list(pagerduty.open.values()) == ["acknowledged"]
        await one.send(message(MessageKind.RESOLVED, id="e" * 16), DB, page)
    assert pagerduty.open == {}
    assert [event["event_action"] for event in pagerduty.events] == [
        "trigger",
        "trigger",
        "acknowledge",
        "resolve",
    ]
    assert len(pagerduty.called) == 1
    first = pagerduty.events[0]
    assert (
        first["payload"]["summary"] == "P1 database: PostgresTooManyConnections: 97 of 100 connections used"
    )
    assert first["payload"]["severity"] == "critical"
    assert first["payload"]["custom_details"]["findings"][0].startswith("[critical] connections: 97 of 100")
    assert [link["text"] for link in first["links"]] == ["Open the incident", "Acknowledge"]


@pytest.mark.parametrize(
    ("severity", "said"), [("P1", "critical"), ("P2", "error"), ("P3", "warning"), ("P4", "info")]
)
async def test_the_four_severities_have_a_name_each(severity: str, said: str, tools: ChannelTools) -> None:
    incident = msgspec.structs.replace(message().incident, severity=Severity(severity))
    async with fake() as pagerduty:
        await channel(pagerduty, tools).send(message(incident=incident), DB, Receipt())
    assert pagerduty.events[0]["payload"]["severity"] == said


async def test_each_level_calls_somebody_though_the_first_alert_is_still_open(tools: ChannelTools) -> None:
    async with fake() as pagerduty:
        one = channel(pagerduty, tools)
        await one.send(message(), DB, Receipt())
        again = message(attempt=2)  # the answer to the first attempt was lost
        await one.send(again, DB, Receipt())
        assert len(pagerduty.called) == 1
        second = message(level=Level.SECONDARY, id="c" * 16, page_id="c" * 16)
        await one.send(second, Contact(name="platform"), Receipt())
    assert len(pagerduty.called) == 2


async def test_a_reminder_calls_again_and_takes_the_place_of_the_alert_before_it(tools: ChannelTools) -> None:
    async with fake() as pagerduty:
        one = channel(pagerduty, tools)
        page = await one.send(message(), DB, Receipt())
        reminder = message(MessageKind.REMINDER, id="c" * 16, page_id="c" * 16)
        page = await one.send(reminder, DB, page)
        assert len(pagerduty.called) == 2
        assert len(pagerduty.open) == 1  # one open alert, however often it was paged
        await one.send(message(MessageKind.RESOLVED, id="e" * 16, page_id="c" * 16), DB, page)
    assert pagerduty.open == {}


async def test_an_alert_that_could_not_be_closed_then_is_closed_at_the_end(tools: ChannelTools) -> None:
    async with fake() as pagerduty:
        one = channel(pagerduty, tools)
        page = await one.send(message(), DB, Receipt())
        reminder = message(MessageKind.REMINDER, id="c" * 16, page_id="c" * 16)

        real = pagerduty.enqueue.__func__  # type: ignore[attr-defined]
        count = 0

        async def fails_second(request: web.Request) -> web.Response:
            nonlocal count
            count += 1
            if count == 2:
                return web.Response(status=500)
            return await real(pagerduty, request)  # type: ignore[no-any-return]

        app = web.Application()
        app.router.add_post("/v2/enqueue", fails_second)
        async with serving(app) as url:
            flaky = PagerDutyChannel("phone", PagerDutySettings(routing_key=Secret(KEY), url=url), tools)
            page = await flaky.send(reminder, DB, page)  # the page itself is out: no error
        assert len(pagerduty.open) == 2
        await one.send(message(MessageKind.RESOLVED, id="e" * 16, page_id="c" * 16), DB, page)
    assert pagerduty.open == {}


async def test_a_contact_names_its_own_key_and_what_follows_keeps_to_it(tools: ChannelTools) -> None:
    platform = Contact(name="platform", addresses={"pagerduty": "platform"})
    async with fake() as pagerduty:
        one = channel(pagerduty, tools, routing_keys={"platform": Secret(OTHER)})
        page = await one.send(message(), platform, Receipt())
        moved = Contact(name="platform", addresses={})  # the rules have changed meanwhile
        await one.send(message(MessageKind.RESOLVED, id="e" * 16), moved, page)
    assert {event["routing_key"] for event in pagerduty.events} == {OTHER}
    assert pagerduty.open == {}


async def test_a_contact_that_names_an_entry_that_is_not_there_is_not_reached(tools: ChannelTools) -> None:
    async with fake() as pagerduty:
        one = channel(pagerduty, tools)
        assert one.reaches(DB)
        assert not one.reaches(Contact(name="x", addresses={"pagerduty": "nowhere"}))


async def test_nothing_is_sent_of_an_incident_that_is_only_watched(tools: ChannelTools) -> None:
    watched = msgspec.structs.replace(message().incident, state="monitoring")
    async with fake() as pagerduty:
        await channel(pagerduty, tools).send(message(MessageKind.UPDATE, incident=watched), DB, Receipt())
    assert pagerduty.events == []  # a trigger would call somebody because it is getting better


async def test_with_an_api_key_accepted_is_not_yet_delivered(
    tools: ChannelTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responder.paging.pagerduty.LOOK_PAUSE", 0.01)
    async with fake() as pagerduty:
        one = channel(pagerduty, tools, api_key=Secret(API_KEY))
        await one.send(message(), DB, Receipt())
        assert pagerduty.looks == 1
        pagerduty.swallows = True
        with pytest.raises(ChannelError, match="no incident came of it") as caught:
            await one.send(message(page_id="c" * 16), DB, Receipt())
        assert not caught.value.permanent


async def test_an_api_key_that_is_not_taken_does_not_fail_a_page_that_was(tools: ChannelTools) -> None:
    async with fake() as pagerduty:
        await channel(pagerduty, tools, api_key=Secret("wrong")).send(message(), DB, Receipt())
    assert len(pagerduty.called) == 1


async def test_an_api_that_hangs_does_not_fail_a_page_that_was_taken(
    tools: ChannelTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responder.paging.pagerduty.CONFIRM_LIMIT", 0.1)
    async with fake() as pagerduty:
        pagerduty.looking_hangs = True
        await channel(pagerduty, tools, api_key=Secret(API_KEY)).send(message(), DB, Receipt())
        assert len(pagerduty.called) == 1


async def test_an_error_names_what_is_wrong_but_never_the_key(tools: ChannelTools) -> None:
    async with fake() as pagerduty:
        said = {"status": "invalid event", "message": "Event object is invalid", "errors": [f"bad key {KEY}"]}
        pagerduty.answers.append(web.json_response(said, status=400))
        with pytest.raises(ChannelError) as caught:
            await channel(pagerduty, tools).send(message(), DB, Receipt())
    assert caught.value.permanent
    assert "Event object is invalid; bad key <redacted>" in str(caught.value)


def test_an_event_stays_within_the_limits_whatever_was_found() -> None:
    huge = tuple(
        Finding(
            probe=f"p{n}", status=FindingStatus.CRITICAL, headline="\x01" * 200, detail="\x01" * 2_000,
            link="javascript:alert(1)" if n % 2 else "http://plain.example/",
        )
        for n in range(20)
    )  # fmt: skip
    labels = {f"l{n}" * 100: "v" * 10_000 for n in range(200)}
    incident = msgspec.structs.replace(message().incident, title="t" * 5_000, labels=labels)
    made = message(findings=huge, incident=incident, summary="s" * 100_000)
    raw = encode(trigger(made, "k"), KEY)
    assert len(raw) <= 512_000
    event = json.loads(raw)
    assert problems(event) == []
    assert len(event["payload"]["summary"]) == 1_024
    assert [link["text"] for link in event["links"]] == ["Open the incident", "Acknowledge"]


def test_over_the_limit_the_details_go_and_the_page_stays() -> None:
    event = trigger(message(), "k")
    event["payload"]["custom_details"]["more"] = "x" * 600_000
    left = json.loads(encode(event, KEY))
    assert "custom_details" not in left["payload"]
    assert left["payload"]["summary"]


def test_hostile_labels_pass_as_values_only() -> None:
    labels = json.loads(body("hostile"))["alerts"][0]["labels"]
    incident = msgspec.structs.replace(message().incident, labels=labels, title=" ".join(labels.values()))
    event = json.loads(encode(trigger(message(incident=incident), "k"), KEY))
    assert problems(event) == []
    assert "\n" not in event["payload"]["summary"]


def test_a_key_of_ours_is_read_back_and_no_other_is() -> None:
    assert read_key(f"{'1f' * 8}-primary-{'ab' * 8}") == PageKey("1f" * 8, "ab" * 8)
    for text in (
        "",
        "srv01/mysql",
        f"{'1f' * 8}-boss-{'ab' * 8}",
        f"{'1F' * 8}-primary-{'ab' * 8}\n",
        "x" * 300,
    ):
        assert read_key(text) is None


def test_any_of_several_signatures_with_any_of_our_secrets_is_good() -> None:
    raw = webhook("incident.acknowledged", "k")
    header = signature(raw, "old", "new")["X-PagerDuty-Signature"]
    assert verify(["new"], header, raw)
    assert verify(["other", "old"], header.replace(",", ", "), raw)
    assert not verify(["other"], header, raw)
    assert not verify([], header, raw)
    assert not verify(["new"], header, raw + b" ")
    for bad in ("", "v1=", header.replace("v1=", "v0="), "v1=\xff", header.upper(), "," * 1_000):
        assert not verify(["new"], bad, raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"{}", b"\xff", b'{"event": null}', b'{"event": {"id": 1, "event_type": "x"}}',
        b"[" * 100_000, b'{"event": {"id": "x", "event_type": "y", "occurred_at": "yesterday"}}',
    ],
)  # fmt: skip
def test_what_pagerduty_would_not_send_is_no_event(raw: bytes) -> None:
    assert decode_event(raw) is None


def test_an_event_without_a_person_names_none() -> None:
    for agent in (
        None,
        {"type": "inbound_integration_reference", "summary": "Events API"},
        {"type": "service_reference"},
    ):
        event = decode_event(webhook("incident.resolved", None, agent=agent))
        assert event is not None
        assert (event.person, event.incident_key) == ("", "")
    event = decode_event(webhook("incident.acknowledged", "k"))
    assert event is not None
    assert (event.person, event.incident_key, event.their_incident) == ("Tenex Engineer", "k", "PGR0VU2")


async def test_grouped_alerts_are_found_by_asking_for_their_keys(tools: ChannelTools) -> None:
    keys = [f"{'1f' * 8}-primary-{'ab' * 8}", "somebody else's", f"{'2e' * 8}-secondary-{'cd' * 8}"]
    async with fake() as pagerduty:
        pagerduty.alerts["PGR0VU2"] = keys
        one = channel(pagerduty, tools, api_key=Secret(API_KEY))
        found = await one.pages_of("", "PGR0VU2")
        assert [page.incident for page in found] == ["1f" * 8, "2e" * 8]
        assert await one.pages_of("", "../users") == ()
        assert await channel(pagerduty, tools).pages_of("", "PGR0VU2") == ()
