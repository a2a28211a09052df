"""People, snoozes and what comes next, as the API, the console and the acknowledge page show them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from site_of import Site, site

RULES = """
severities:
  P1: {respond_within: 15m, acknowledgement: {lapse_after: 45m}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto, everybody: true}
  platform: {primary: platform}
contacts:
  dbteam: {members: [ana, ben]}
  ana: {channels: {P1: [chat, {channel: phone, after: 2m}]}}
  ben: {channels: {P1: [chat, {channel: phone, after: 2m}]}}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database}
default: {severity: P3, service: platform}
"""
Stage = tuple[Site, str]


@pytest.fixture
async def stage(tmp_path: Path, turned: Any) -> AsyncIterator[Stage]:
    """One incident; a team of two, each with a later channel, who both have to acknowledge."""
    async with site(tmp_path, turned, RULES) as found:
        yield found, await found.fire()


async def test_the_api_lists_the_people_of_each_level(stage: Stage) -> None:
    site, incident = stage
    await site.api("POST", f"/incidents/{incident}/acknowledge", {"by": "ana"})
    status, shown = await site.api("GET", f"/incidents/{incident}")
    assert status == 200
    [reach] = shown["reached"]
    assert (reach["level"], reach["to"], reach["everybody"]) == ("primary", "dbteam", True)
    assert [(p["name"], p["channels"], p["status"]) for p in reach["people"]] == [
        ("ana", ["chat", "phone after 2m"], "acknowledged"),
        ("ben", ["chat", "phone after 2m"], "delivered"),
    ]
    assert [(p["to"], p["channel"], p["status"]) for p in shown["pages"]] == [
        ("ana", "chat", "delivered"), ("ben", "chat", "delivered"),
    ]  # fmt: skip
    assert shown["next_step"]["level"] == "secondary"
    assert shown["next_step"]["to"] == "platform"


async def test_a_snooze_over_the_api_is_shown_and_ends(stage: Stage, turned: Any) -> None:
    site, incident = stage
    status, shown = await site.api(
        "POST", f"/incidents/{incident}/snooze", {"for": "30m", "by": "ana", "note": "after lunch"}
    )
    assert (status, shown["state"], shown["acknowledged_by"]) == (200, "acknowledged", "ana")
    assert shown["snoozed_until"] == shown["next_step"]["at"]
    turned.turn(minutes=31)
    shown = await site.until_state(incident, "triggered")
    assert shown["snoozed_until"] is None
    assert any(
        "snoozed until" in entry["text"] and "after lunch" in entry["text"] for entry in shown["timeline"]
    )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "`for`"),
        ({"for": "soon"}, "body.for: expected a duration such as 90s, 15m or 1h30m"),
        ({"for": "25h"}, "body.for: expected a duration up to 1d, got '25h'"),
        ({"for": "0"}, "body.for: expected a duration up to 1d"),
        ({"for": 30}, "Expected `str`"),
        ({"for": "30m", "until": "x"}, "unknown field `until`"),
    ],
)
async def test_a_snooze_that_cannot_be_taken_names_the_field_and_the_fix(
    stage: Stage, body: Any, says: str
) -> None:
    site, incident = stage
    status, answer = await site.api("POST", f"/incidents/{incident}/snooze", body)
    assert status == 400
    assert says in answer["detail"]


async def test_a_snooze_is_taken_once_under_its_key_and_refused_where_it_is_too_late(
    stage: Stage, turned: Any
) -> None:
    site, incident = stage
    path = f"/incidents/{incident}/snooze"
    for _ in range(2):
        status, first = await site.api("POST", path, {"for": "30m"}, **{"Idempotency-Key": "k"})
        assert status == 200
        turned.turn(minutes=1)
    _, shown = await site.api("GET", f"/incidents/{incident}")
    assert shown["snoozed_until"] == first["snoozed_until"]
    assert (await site.api("POST", path, {"for": "1h"}, **{"Idempotency-Key": "k"}))[0] == 422
    await site.api("POST", f"/incidents/{incident}/resolve", {})
    status, answer = await site.api("POST", path, {"for": "30m"})
    assert (status, answer["state"]) == (409, "resolved")


async def test_the_console_snoozes_and_shows_people(stage: Stage) -> None:
    site, incident = stage
    path = f"/incidents/{incident}"
    shown = await site.page(path)
    assert "<h2>People</h2>" in shown
    assert "ana" in shown
    assert "phone after 2m" in shown
    status, _ = await site.form(path, "snooze", **{"for": "1h", "by": "ana"})
    assert status == 200
    assert "snoozed until" in await site.page(path)
    assert "snoozed until" in await site.page("/")
    status, text = await site.form(path, "snooze", **{"for": "a while", "by": "ana"})
    assert status == 400
    assert "Snooze: expected a duration" in text


async def test_the_acknowledge_page_says_who_has_to_answer_still(stage: Stage) -> None:
    site, incident = stage
    said = await site.press(await site.ack_link(incident, "ana"))
    assert "ana, your acknowledgement is taken. Still to come: ben." in said
    assert "Acknowledge as ben" in await site.page(await site.ack_link(incident, "ben"))
    said = await site.press(await site.ack_link(incident, "ben"))
    assert "Acknowledged by ana, ben" in said


async def test_who_has_it_can_say_from_the_link_that_they_are_still_at_it(
    tmp_path: Path, turned: Any
) -> None:
    async with site(tmp_path, turned, RULES.replace(", everybody: true", "")) as found:
        incident = await found.fire()
        link = await found.ack_link(incident, "ana")
        await found.press(link)
        assert "I am still at work on it" in await found.page(link)
        turned.turn(minutes=40)
        await found.press(link)
        turned.turn(minutes=40)
        _, shown = await found.api("POST", f"/incidents/{incident}/assign", {"to": "ana", "by": "ana"})
        assert shown["state"] == "acknowledged"
        turned.turn(minutes=46)
        await found.until_state(incident, "triggered")
