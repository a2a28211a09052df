"""Performing: what was begun is never repeated blindly, what does not help is given up, what was done can be undone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from action_fixtures import Make
from action_world import ANA, ActionWorld
from structlog.testing import capture_logs
from waiting import eventually, until
from world import settle

from responder.actions.base import Limit
from responder.incident.action import Gate, RunKind, RunStatus
from responder.incident.audit import Elsewhere, verify
from responder.incident.decision import Reason
from responder.incident.finding import FindingStatus
from responder.targets.http import UnclearError, UnreachableError


async def died_at_it(world: ActionWorld) -> str:
    """The replica is at it, and dies: its attempt is cancelled in the middle, as a kill would end it."""
    incident = await world.fire()
    world.lever.hangs = True
    await world.people.ask(incident, _wanted(), ANA)
    await until(lambda: world.lever.pulls)
    await world.die()
    return incident


async def test_e8_an_action_whose_replica_died_is_unknown_looked_at_and_never_repeated(
    make_world: Make, turned: Any
) -> None:
    world = await make_world()
    incident = await died_at_it(world)
    world.lever.hangs = False
    turned.turn(seconds=60)  # the lease of the dead one runs out
    await world.rise()
    run = await world.last(incident)
    assert run.status is RunStatus.UNKNOWN
    assert len(world.lever.pulls) == 1
    reasons = [entry.reason for entry in await world.timeline(incident)]
    assert Reason.ACTION_UNKNOWN in reasons
    assert any("nobody can say whether it was done" in sent.effect.text for sent in world.world.sent)
    assert run.after == "the lever is down"


async def test_a_replica_that_died_before_it_began_leaves_nothing_and_another_does_it(
    make_world: Make, turned: Any
) -> None:
    world = await make_world(verify="gauge")
    incident = await world.fire()
    world.see(FindingStatus.OK, "all is well")
    world.hang_before = True
    await world.people.ask(incident, _wanted(), ANA)
    await world.until_looking()
    await world.die()
    world.hang_before = False
    turned.turn(seconds=60)
    await world.rise()
    assert (await world.last(incident)).status is RunStatus.EFFECTIVE
    assert len(world.lever.pulls) == 1


async def test_what_was_begun_is_unknown_also_where_its_rule_is_gone(make_world: Make, turned: Any) -> None:
    world = await make_world()
    incident = await died_at_it(world)
    world.forget_rule("pull")
    turned.turn(seconds=60)
    await world.rise()
    run = await world.last(incident)
    assert run.status is RunStatus.UNKNOWN
    assert "cut off before it could tell" in run.text
    assert "cannot be looked at any more" in run.after


async def test_what_died_in_its_gates_costs_no_place(make_world: Make, turned: Any) -> None:
    world = await make_world(verify="gauge", limit=Limit(count=1))
    incident = await world.fire()
    world.hang_before = True
    await world.people.ask(incident, _wanted(), ANA)
    await world.until_looking()
    await world.die()
    world.hang_before = False
    world.see(FindingStatus.OK, "all is well")
    turned.turn(minutes=6)
    await world.rise()
    assert (await world.last(incident)).status is RunStatus.FAILED
    await world.ask(incident)
    assert (await world.last(incident)).status is RunStatus.EFFECTIVE


async def test_the_gates_take_nothing_from_the_time_in_which_the_effect_may_show(make_world: Make) -> None:
    world = await make_world(verify="gauge", verify_within=timedelta(minutes=2))
    incident = await world.fire()
    world.hang_before = True
    await world.people.ask(incident, _wanted(), ANA)
    await world.until_looking()
    asked_at, passed = (await world.last(incident)).requested_at, timedelta(milliseconds=50)

    async def has_passed() -> bool:
        return await world.store.now() > asked_at + passed

    await eventually(has_passed)
    world.go.set()
    await settle(world.engine)
    run = await world.last(incident)
    assert run.performed_at is not None
    assert run.performed_at > asked_at + passed - timedelta(milliseconds=2)
    assert run.verify_until == run.performed_at + timedelta(minutes=2)
    (performing, performed) = (await world.people.audit(after=0)).entries
    assert asked_at + passed - timedelta(milliseconds=2) < performing.at <= performed.at


async def test_an_answer_that_does_not_come_is_unknown_and_no_second_try(make_world: Make) -> None:
    world = await make_world(timeout=timedelta(seconds=1))
    incident = await world.fire()
    world.lever.hangs = True
    await world.people.ask(incident, _wanted(), ANA)
    async with asyncio.timeout(30):
        while (await world.last_or_none(incident)) is None or not (await world.last(incident)).status.final:
            await settle(world.engine)
    assert (await world.last(incident)).status is RunStatus.UNKNOWN
    assert len(world.lever.pulls) == 1


async def test_a_refusal_of_the_other_side_is_a_failure_for_certain_and_frees_the_object(
    make_world: Make,
) -> None:
    world = await make_world()
    incident = await world.fire()
    world.lever.refuses = "deployment pgbouncer is paused"
    await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.text) == (RunStatus.FAILED, "deployment pgbouncer is paused")
    world.lever.refuses = ""
    await world.ask(incident)
    assert (await world.last(incident)).status is RunStatus.EFFECTIVE


async def test_a_target_that_could_not_be_reached_is_a_failure_for_certain_and_a_cut_answer_is_not(
    make_world: Make,
) -> None:
    world = await make_world()
    incident = await world.fire()
    world.lever.breaks = UnreachableError("cannot reach main: Connection refused")
    await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.text) == (RunStatus.FAILED, "cannot reach main: Connection refused")
    world.lever.breaks = UnclearError("main broke off: its answer ended in the middle")
    await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.text) == (RunStatus.UNKNOWN, "main broke off: its answer ended in the middle")


async def test_a_mistake_of_our_own_is_told_in_words_and_the_log_has_the_rest(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    world.lever.breaks = KeyError("spec")
    with capture_logs() as logs:
        await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.text) == (
        RunStatus.UNKNOWN,
        "it broke off by an error of our own; the log has it",
    )
    assert not [sent for sent in world.world.sent if "KeyError" in sent.effect.text]
    assert [line["exc_info"] for line in logs if line["event"] == "action broke off"] == [True]


async def test_before_and_after_are_shown_and_a_probe_that_is_no_better_means_no_effect(
    make_world: Make, turned: Any
) -> None:
    world = await make_world(verify="gauge", verify_within=timedelta(minutes=2))
    incident = await world.fire()
    await world.ask(incident)
    assert (await world.last(incident)).status is RunStatus.VERIFYING
    world.see(FindingStatus.OK, "12 of 100 used")
    turned.turn(seconds=5)
    await settle(world.engine)
    run = await world.last(incident)
    assert (run.status, run.before, run.after) == (RunStatus.EFFECTIVE, "97 of 100 used", "12 of 100 used")
    assert "97 of 100 used → 12 of 100 used" in (await world.timeline(incident))[-1].text


async def test_the_same_action_without_effect_stops_and_says_that_it_does_not_help(
    make_world: Make, turned: Any
) -> None:
    world = await make_world(verify="gauge", verify_within=timedelta(minutes=2), cooldown=timedelta(0))
    incident = await world.fire()
    for _ in range(2):
        await world.ask(incident)
        turned.turn(minutes=3)
        await settle(world.engine)
        assert (await world.last(incident)).status is RunStatus.INEFFECTIVE
    await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.NO_EFFECT)
    assert len(world.lever.pulls) == 2
    assert any("does not help" in sent.effect.text for sent in world.world.sent)


async def test_it_is_told_once_an_episode_that_an_action_does_not_help(make_world: Make, turned: Any) -> None:
    world = await make_world(verify="gauge", verify_within=timedelta(minutes=2), cooldown=timedelta(0))
    incident = await world.fire()
    for _ in range(2):
        await world.ask(incident)
        turned.turn(minutes=3)
        await settle(world.engine)
    for _ in range(3):
        await world.ask(incident)
    told = [sent for sent in world.world.sent if "does not help" in sent.effect.text]
    assert len({sent.effect.text for sent in told}) == 1
    assert len(told) == len({(sent.effect.contact, sent.effect.channel) for sent in told})
    reasons = [entry.reason for entry in await world.timeline(incident)]
    assert reasons.count(Reason.ACTION_GIVEN_UP) == 1
    assert reasons.count(Reason.ACTION_REFUSED) == 3


async def test_taking_back_says_nothing_of_what_the_action_is_good_for(make_world: Make, turned: Any) -> None:
    world = await make_world(verify="gauge", verify_within=timedelta(minutes=2), cooldown=timedelta(0))
    incident = await world.fire()
    for kind in (RunKind.PERFORM, RunKind.UNDO):
        await world.ask(incident, kind=kind)
        turned.turn(minutes=3)
        await settle(world.engine)
        assert (await world.last(incident)).status is RunStatus.INEFFECTIVE
    assert not [sent for sent in world.world.sent if "does not help" in sent.effect.text]
    await world.ask(incident)
    assert len(world.lever.pulls) == 2  # given up after two tries, not after one


async def test_a_probe_that_is_worse_afterwards_is_told_aloud(make_world: Make, turned: Any) -> None:
    world = await make_world(verify="gauge", verify_within=timedelta(minutes=2))
    incident = await world.fire()
    world.see(FindingStatus.WARNING, "80 of 100 used")
    await world.ask(incident)
    world.see(FindingStatus.CRITICAL, "100 of 100 used")
    turned.turn(minutes=3)
    await settle(world.engine)
    (told,) = {
        (sent.effect.kind, sent.effect.text) for sent in world.world.sent if "worse" in sent.effect.text
    }
    assert told == (
        "reminder",
        "pull: worse than before: the lever is down: 80 of 100 used → 100 of 100 used",
    )


async def test_rules_that_change_while_it_is_verified_leave_the_effect_unknown_and_the_object_free(
    make_world: Make, turned: Any
) -> None:
    world = await make_world(verify="gauge", verify_within=timedelta(minutes=2), cooldown=timedelta(0))
    incident = await world.fire()
    await world.ask(incident)
    assert (await world.last(incident)).status is RunStatus.VERIFYING
    world.forget_rule("pull")
    turned.turn(seconds=5)
    await settle(world.engine)
    run = await world.last(incident)
    assert (run.status, run.text) == (RunStatus.UNKNOWN, "pulled it down")
    assert "the rules have changed" in run.after
    assert not [sent for sent in world.world.sent if "no effect" in sent.effect.text]
    assert (await world.people.audit(after=0)).entries[-1].event == "out of sight"
    await world.ask(incident, "other")
    assert len(world.lever.pulls) == 2


async def test_what_was_done_can_be_taken_back_once(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    await world.ask(incident, kind=RunKind.UNDO)
    assert await world.runs(incident) == []  # there is nothing to undo yet
    await world.ask(incident)
    await world.ask(incident, kind=RunKind.UNDO)
    assert world.lever.undone == 1
    assert (await world.last(incident)).text == "put it up again"
    assert (await world.runs(incident))[0].undone
    await world.ask(incident, kind=RunKind.UNDO)
    assert world.lever.undone == 1


async def test_a_wish_that_could_not_be_begun_in_time_is_not_meant_any_more(
    make_world: Make, turned: Any
) -> None:
    world = await make_world()
    incident = await world.fire()
    await world.die()
    await world.people.ask(incident, _wanted(), ANA)
    turned.turn(minutes=6)
    await world.rise()
    run = await world.last(incident)
    assert run.status is RunStatus.FAILED
    assert "could not be begun in time" in run.text
    assert world.lever.pulls == []


async def test_pressed_twice_it_is_done_once(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    await asyncio.gather(*(world.people.ask(incident, _wanted(), ANA) for _ in range(5)))
    await settle(world.engine)
    assert len(world.lever.pulls) == 1


async def test_the_audit_tells_who_what_and_what_came_of_it_and_a_changed_line_is_found(
    make_world: Make,
) -> None:
    world = await make_world()
    incident = await world.fire()
    await world.ask(incident)
    await world.ask(incident, "unoffered")
    entries = (await world.people.audit(after=0)).entries
    told = [(e.event, e.by, e.action, e.object) for e in entries]
    assert told[:2] == [
        ("performing", "ana", "pull", "lever/brake"),
        ("performed", "ana", "pull", "lever/brake"),
    ]
    assert ("denied", "ana", "unoffered", "") in told
    assert verify(entries, Elsewhere(hash=entries[-1].hash)).sound
    # Somebody changes a line in the store.
    key = f"{world.store.base}:audit"
    raw = await world.store.client.lindex(key, 1)
    await world.store.client.lset(key, 1, raw.replace(b'"by":"ana"', b'"by":"eve"'))
    assert verify((await world.people.audit(after=0)).entries).broken_at == 2


async def test_nothing_is_done_that_cannot_be_written_down(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    await world.store.client.set(f"{world.store.base}:audit", "not a list")
    with capture_logs() as logs:
        await world.people.ask(incident, _wanted(), ANA)
        await settle(world.engine)
    assert world.lever.pulls == []
    told = [line for line in logs if line["event"] in {"effect failed", "effect not performed; it stays due"}]
    assert told
    assert [line["log_level"] for line in told] == ["warning"] * len(told)
    await world.store.client.delete(f"{world.store.base}:audit")


def _wanted() -> Any:
    from responder.actions.desk import Wanted

    return Wanted(name="pull")
