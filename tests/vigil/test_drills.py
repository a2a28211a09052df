"""Exercises: whom they page, that they say what they are, and that each occurrence is run once and judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon import alert, webhook_body
from house import RULES, House, Replica, house
from structlog.testing import capture_logs

from responder.incident.effects import SendMessage
from responder.incident.facts import AcknowledgedBy, ResolvedBy
from responder.incident.state import Incident
from responder.paging.compose import Words, compose
from responder.store.signs import DrillRun
from responder.store.store import Store
from responder.vigil.drills import EVERY, Drills

WEEK = timedelta(days=7)


@pytest.fixture
async def home(store: Store, turned: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with house(store, turned, tmp_path) as found:
        yield found


async def drilling(
    home: House, in_minutes: float = 10, severity: str = "P1", window: tuple[float, float] | None = None
) -> tuple[Replica, Drills, datetime]:
    """A replica with a weekly drill whose next occurrence is in so many minutes; a window runs so many after that."""
    due = (await home.store.now() + timedelta(minutes=in_minutes + 1)).replace(second=0, microsecond=0)
    drill = f"drills: [{{name: weekly, service: database, severity: {severity}, at: '{due:%a %H:%M}'}}]"
    if window is not None:
        begin, end = (f"{due + timedelta(minutes=one):%Y-%m-%dT%H:%MZ}" for one in window)
        drill += (
            f"\nmaintenance: [{{name: disks, match: ['service=\"database\"'], from: {begin}, to: {end}}}]"
        )
    replica = await home.replica(rules=RULES + drill)
    drills = Drills(replica.road)
    await drills.once()
    return replica, drills, due


async def until(home: House, at: datetime, *drills: Drills) -> None:
    """Time passes up to then; every replica looks each few seconds."""
    while await home.store.now() < at:
        home.turned.turn(
            seconds=max(EVERY.total_seconds(), (at - await home.store.now()).total_seconds() / 20)
        )
        for one in drills:
            await one.once()
        await home.settle()


async def last(replica: Replica) -> DrillRun:
    run = await replica.signs.drill("weekly")
    assert run is not None
    return run


async def acknowledge(replica: Replica, incident: Incident) -> None:
    await replica.desk.record(incident.id, AcknowledgedBy(at=await replica.store.now(), by="dbteam"))


async def test_it_pages_as_in_earnest_and_is_over_once_a_person_has_acknowledged(home: House) -> None:
    replica, drills, due = await drilling(home)
    await until(home, due - timedelta(seconds=40), drills)
    assert await replica.listed() == []
    await until(home, due + timedelta(minutes=6), drills)
    assert home.pages() == ["primary dbteam", "secondary platform"]
    [incident] = await replica.listed()
    assert (incident.drill, incident.severity, incident.service) == (True, "P1", "database")
    await acknowledge(replica, incident)
    await until(home, due + timedelta(minutes=8), drills)
    [incident] = await replica.listed()
    assert (incident.state_name, incident.acknowledged_by) == ("resolved", "dbteam")
    run = await last(replica)
    assert (run.met, run.incident) == (True, "")
    assert run.seconds is not None
    assert 300 < run.seconds < 600


async def test_what_became_of_its_alert_says_that_it_is_a_drill_of_ours(home: House) -> None:
    replica, drills, due = await drilling(home)
    await until(home, due + timedelta(seconds=40), drills)
    [incident] = await replica.listed()
    ((shown, *_), _) = await replica.reader.alerts(incident.id, 10)
    found = await replica.desk.account(shown.fingerprint)
    assert found is not None
    (remark,) = found.remarks
    assert remark == (
        "our own drill weekly: an exercise, nothing is broken; severity and service are those of the drill in the rule "
        "files, no rule was asked"
    )


async def test_one_that_nobody_acknowledges_reaches_everybody_is_not_met_and_ends_by_itself(
    home: House,
) -> None:
    replica, drills, due = await drilling(home)
    await until(home, due + timedelta(minutes=17), drills)
    assert (await last(replica)).met is False
    assert home.pages() == ["primary dbteam", "secondary platform", "executive cto"]
    [incident] = await replica.listed()
    assert incident.state_name == "triggered"
    await until(home, due + timedelta(minutes=32), drills)
    [incident] = await replica.listed()
    assert incident.state_name == "resolved"
    assert (await last(replica)).seconds is None


async def test_one_that_a_window_holds_back_is_not_run_and_says_nothing_of_anybody(home: House) -> None:
    replica, drills, due = await drilling(home, window=(-5, 60))
    known = msgspec.structs.replace(await last(replica), met=True, seconds=42.0, began_at=due - WEEK)
    await replica.signs.set_drill("weekly", known)
    with capture_logs() as logs:
        await until(home, due + timedelta(minutes=14), drills)
        [incident] = await replica.listed()
        assert (incident.open, [one.kind for one in incident.holds]) == (True, ["maintenance"])
        assert not (await last(replica)).judged
        await until(home, due + timedelta(minutes=17), drills)
    assert home.pages() == []
    [incident] = await replica.listed()
    assert incident.state_name == "resolved"
    lines = [entry.text for entry in await replica.reader.timeline(incident.id)]
    assert any("the drill was not run: nobody was paged" in one for one in lines)
    run = await last(replica)
    assert (run.met, run.seconds, run.began_at, run.incident) == (True, 42.0, due - WEEK, "")
    said = [one for one in logs if one["event"] == "drill not run: nobody was paged"]
    assert [(one["log_level"], one["drill"], one["incident"]) for one in said] == [
        ("warning", "weekly", incident.id)
    ]
    assert said[0]["why"].startswith("disks")
    assert (
        replica.value("responder_pages_held_total", kind="maintenance", service="database", severity="P1")
        is None
    )
    await until(home, due + timedelta(minutes=70), drills)
    assert home.pages() == []


async def test_one_whose_window_ends_in_time_is_run_and_judged_from_then_on(home: House) -> None:
    replica, drills, due = await drilling(home, window=(-5, 10))
    await until(home, due + timedelta(minutes=11), drills)
    assert home.pages() == ["primary dbteam"]
    [incident] = await replica.listed()
    await until(home, due + timedelta(minutes=24), drills)
    assert not (await last(replica)).judged
    await acknowledge(replica, incident)
    await until(home, due + timedelta(minutes=25), drills)
    assert (await last(replica)).met is True


async def test_one_that_reached_somebody_before_a_window_began_is_judged(home: House) -> None:
    replica, drills, due = await drilling(home, window=(3, 60))
    await until(home, due + timedelta(minutes=17), drills)
    assert home.pages() == ["primary dbteam"]
    assert (await last(replica)).met is False


async def test_one_that_somebody_closes_before_its_page_is_not_run_either(home: House) -> None:
    replica, drills, due = await drilling(home, window=(-5, 60))
    await until(home, due + timedelta(minutes=2), drills)
    [incident] = await replica.listed()
    await replica.desk.record(incident.id, ResolvedBy(at=await replica.store.now(), by="ana"))
    await until(home, due + timedelta(minutes=4), drills)
    run = await last(replica)
    assert (run.met, run.incident, run.began_at) == (None, "", None)


async def test_two_replicas_run_an_occurrence_once_and_the_next_week_again(home: House) -> None:
    replica, first, due = await drilling(home)
    second = Drills((await home.replica(rules=(home.folder / "rules.yaml").read_text())).road)
    for week in range(2):
        await until(home, due + timedelta(days=7 * week, minutes=1), first, second)
        incidents = await replica.listed()
        assert len(incidents) == week + 1
        await acknowledge(replica, incidents[-1])
        await until(home, due + timedelta(days=7 * week, minutes=3), first, second)
    assert home.pages() == ["primary dbteam"] * 2


async def test_a_restart_neither_repeats_nor_loses_it(home: House) -> None:
    replica, drills, due = await drilling(home)
    await until(home, due - timedelta(minutes=1), drills)
    await replica.die()
    home.turned.turn(minutes=30)  # down over its time
    again = await home.replica(rules=(home.folder / "rules.yaml").read_text())
    for _ in range(3):
        await until(home, await home.store.now() + timedelta(seconds=30), Drills(again.road))
    assert home.pages() == ["primary dbteam"]


async def test_one_that_was_missed_for_over_an_hour_is_not_made_up(home: House) -> None:
    replica, drills, due = await drilling(home)
    await until(home, due - timedelta(minutes=1), drills)
    home.turned.turn(minutes=70)
    await until(home, await home.store.now() + timedelta(minutes=1), drills)
    assert await replica.listed() == []
    assert (await last(replica)).occurrence == due


async def test_a_crash_between_the_alert_and_its_note_is_a_duplicate_and_no_second_page(home: House) -> None:
    replica, drills, due = await drilling(home)
    before = await last(replica)
    await until(home, due + timedelta(seconds=30), drills)
    await replica.signs.set_drill("weekly", before)
    await until(home, due + timedelta(minutes=2), drills)
    assert home.pages() == ["primary dbteam"]
    [incident] = await replica.listed()
    assert (await last(replica)).incident == incident.id


async def test_a_drill_that_is_new_or_moved_waits_for_its_next_occurrence(home: House) -> None:
    replica, drills, due = await drilling(home, in_minutes=-20)
    await until(home, await home.store.now() + timedelta(minutes=2), drills)
    assert await replica.listed() == []


async def test_it_is_in_no_figure_of_how_promises_are_kept(home: House) -> None:
    replica, drills, due = await drilling(home)
    await until(home, due + timedelta(minutes=6), drills)
    [incident] = await replica.listed()
    await acknowledge(replica, incident)
    await until(home, due + timedelta(minutes=8), drills)
    left_out = (
        "responder_sla_response_total", "responder_time_to_page_seconds_count", "responder_escalations_total",
        "responder_time_to_acknowledge_seconds_count", "responder_time_to_resolve_seconds_count",
    )  # fmt: skip
    counted = {
        sample.name
        for metric in replica.metrics.registry.collect()
        for sample in metric.samples
        if sample.name in left_out and sample.value
    }
    assert counted == set()
    assert replica.value("responder_incidents_opened_total", service="database", severity="P1") == 1


async def test_an_alert_that_says_it_is_a_drill_is_one_and_shares_no_incident_with_what_is_in_earnest(
    home: House,
) -> None:
    replica = await home.replica()
    await replica.take(webhook_body(alert(1, drill="true"), alert(1), alert(1, drill="false")))
    await home.settle()
    found = sorted((one.drill, one.totals.firing_now) for one in await replica.listed())
    assert found == [(False, 2), (True, 1)]


async def test_every_message_says_that_it_is_a_drill(home: House) -> None:
    replica = await home.replica()
    await replica.take(webhook_body(alert(1, drill="true")))
    await home.settle()
    [incident] = await replica.listed()
    await acknowledge(replica, incident)
    await home.settle()
    [incident] = await replica.listed()
    for one in home.world.sent:
        assert isinstance(one.effect, SendMessage)
        words = Words(attempt=1, sent_at=one.at, external_url="http://r")
        message = compose(incident, one.effect, words)
        assert message.incident.title == "DRILL: Alert1: number 1 is in trouble"
        assert message.incident.drill
        assert message.summary.startswith("P1 database: DRILL: Alert1")
        asks = one.effect.kind == "page"
        assert ("This is a DRILL: nothing is broken." in message.summary) is asks
    assert [one.effect.kind for one in home.world.sent] == ["page", "acknowledged"]


async def test_in_a_drill_no_action_starts_by_itself(home: House) -> None:
    rules = RULES.replace("severity: P1, service: database}", "severity: P1, service: database, runbook: r}")
    rules += """
runbooks: {r: {summary: s, offer: [call]}}
probes: {health: {type: http, target: api, path: /health}}
actions:
  call:
    {type: http, target: api, path: /restart, approval: automatic, precondition: {probe: health, status: [critical]}}
"""
    replica = await home.replica(rules=rules)
    await replica.take(webhook_body(alert(1), alert(2, drill="true")))
    await home.settle()
    automatic = {one.drill: one.automatic for one in await replica.listed()}
    assert automatic == {False: ("call",), True: ()}
