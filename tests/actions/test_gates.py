"""The gates before an action, in their order: each refuses with its own reason, in the time line and in the audit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from action_fixtures import Make
from action_world import ANA, ROOT
from world import settle

from responder.actions.base import Condition, Limit
from responder.actions.desk import Person
from responder.incident.action import ActionRole, Approval, Gate, RunKind, RunStatus
from responder.incident.decision import Reason
from responder.incident.finding import FindingStatus

VIEWER = Person(name="eve", role=None, via="api")


async def refusals(world: Any, incident: str) -> list[str]:
    return [entry.text for entry in await world.timeline(incident) if entry.reason is Reason.ACTION_REFUSED]


async def test_what_passes_every_gate_is_done_once_and_told(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.by, run.text) == (RunStatus.EFFECTIVE, "ana", "pulled it down")
    assert world.lever.pulls == [run.id]
    assert ("pull", "performed") in world.counted
    texts = [entry.text for entry in await world.timeline(incident)]
    assert any("asked for via api" in text for text in texts)
    assert any("helped: the lever is down" in text for text in texts)
    assert any(sent.effect.kind == "update" and "helped" in sent.effect.text for sent in world.world.sent)


async def test_gate_1_the_kill_switch_stops_everybody_and_says_who_threw_it(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    await world.people.switch_off("ben", "the cluster is being moved")
    asked = await world.ask(incident, person=ROOT)
    assert asked.refusal is not None
    assert asked.refusal[0] is Gate.KILL_SWITCH
    assert "ben" in asked.refusal[1]
    assert "the cluster is being moved" in asked.refusal[1]
    assert "kill switch" in (await refusals(world, incident))[0]
    await world.people.switch_on("root", "")
    await world.ask(incident)
    assert len(world.lever.pulls) == 1


async def test_gate_1_holds_for_what_was_asked_for_before_it_was_thrown(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    world.lever.busy = None
    # It is recorded, and thrown before any replica gets to it.
    await world.people._ledger.set_kill_switch(None)
    asked = await world.people.ask(incident, wanted(), ANA)
    assert asked.refusal is None
    await world.people.switch_off("ben", "")
    await settle(world.engine)
    run = await world.last(incident)
    assert (run.status, run.gate) in [(RunStatus.REFUSED, Gate.KILL_SWITCH), (RunStatus.EFFECTIVE, None)]


async def test_gate_1_holds_for_what_is_still_in_its_gates(make_world: Make) -> None:
    world = await make_world(verify="gauge")
    incident = await world.fire()
    world.hang_before = True
    await world.people.ask(incident, wanted(), ANA)
    await world.until_looking()  # the last thing before the change
    await world.people.switch_off("ben", "stop everything")
    world.go.set()
    await settle(world.engine)
    run = await world.last(incident)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.KILL_SWITCH)
    assert "stop everything" in run.text
    assert world.lever.pulls == []
    await world.people.switch_on("root", "")
    await world.ask(incident)
    assert len(world.lever.pulls) == 1  # the refused one holds nothing and costs no place


def wanted(name: str = "pull") -> Any:
    from responder.actions.desk import Wanted

    return Wanted(name=name)


async def test_gate_2_only_what_the_runbook_offers(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    asked = await world.ask(incident, "unoffered")
    assert asked.refusal == (Gate.OFFERED, "the incident's runbook does not offer unoffered")
    assert world.lever.pulls == []


async def test_gate_3_a_viewer_may_not_and_an_admins_action_needs_an_admin(make_world: Make) -> None:
    world = await make_world(role=ActionRole.ADMIN)
    incident = await world.fire()
    for person in (VIEWER, ANA):
        asked = await world.ask(incident, person=person)
        assert asked.refusal == (Gate.ROLE, "it needs the role admin")
    assert [entry for entry in await refusals(world, incident) if "role" in entry]
    await world.ask(incident, person=ROOT)
    assert len(world.lever.pulls) == 1


async def test_gate_4_an_object_that_the_allow_list_does_not_name(make_world: Make) -> None:
    world = await make_world(lever="throttle")
    incident = await world.fire()
    await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.ALLOW_LIST)
    assert run.text == "lever/throttle is not in targets.http.main.allow"
    assert world.lever.rehearsals == 0


async def test_gate_4_a_label_cannot_choose_what_is_no_name(make_world: Make) -> None:
    from responder.parameters import FromLabel

    world = await make_world(lever=FromLabel(label="alertname"))
    incident = await world.fire()
    await world.ask(incident)
    assert "is not a Kubernetes name" in (await world.last(incident)).text
    assert world.lever.pulls == []


async def test_gate_5_what_the_other_side_would_refuse_is_not_tried(make_world: Make) -> None:
    world = await make_world()
    world.lever.refuses_rehearsal = "replicas: the quota is used up; password=hunter2"
    incident = await world.fire()
    await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.DRY_RUN)
    assert "quota" in run.text
    assert "hunter2" not in run.text
    assert world.lever.pulls == []


async def test_gate_5_a_dry_run_is_available_by_itself_and_changes_nothing(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    await world.ask(incident, kind=RunKind.REHEARSE)
    run = await world.last(incident)
    assert (run.status, run.text) == (RunStatus.REHEARSED, "it would go down")
    assert world.lever.pulls == []
    # It takes no place and counts against no limit.
    await world.ask(incident)
    assert len(world.lever.pulls) == 1


async def test_gate_6_only_where_the_probe_says_that_it_makes_sense(make_world: Make) -> None:
    world = await make_world(precondition=Condition(probe="gauge", status=(FindingStatus.CRITICAL,)))
    incident = await world.fire()
    world.see(FindingStatus.OK, "12 of 100 used")
    await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.PRECONDITION)
    assert "gauge is ok (12 of 100 used)" in run.text
    world.see(FindingStatus.CRITICAL, "97 of 100 used")
    await world.ask(incident)
    assert len(world.lever.pulls) == 1


async def test_gate_7_limits_hold_across_actions_and_incidents_on_one_object(
    make_world: Make, turned: Any
) -> None:
    world = await make_world(
        limit=Limit(count=2, per=timedelta(hours=1)), cooldown=timedelta(0), give_up_after=9
    )
    first, second = await world.fire(1), await world.fire(2)
    await world.ask(first)
    await world.ask(second, "other")
    await world.ask(second)
    run = await world.last(second)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.LIMIT)
    assert run.text.startswith("done 2 times within 1h; free again in ")
    turned.turn(minutes=61)
    await world.ask(second)
    assert len(world.lever.pulls) == 3


async def test_gate_7_the_cooldown_is_the_objects_whoever_asks(make_world: Make, turned: Any) -> None:
    world = await make_world(cooldown=timedelta(minutes=5))
    first, second = await world.fire(1), await world.fire(2)
    await world.ask(first)
    await world.ask(second, "other")
    run = await world.last(second)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.COOLDOWN)
    turned.turn(minutes=5, seconds=1)
    await world.ask(second, "other")
    assert len(world.lever.pulls) == 2


async def test_gate_8_not_while_a_rollout_is_under_way_and_that_costs_no_place(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    world.lever.busy = "a rollout of lever/brake: 1 of 3 updated"
    await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.UNDER_WAY)
    assert "1 of 3 updated" in run.text
    world.lever.busy = None
    await world.ask(incident)
    assert len(world.lever.pulls) == 1


async def test_gate_8_not_while_another_action_on_the_same_object_has_not_ended(make_world: Make) -> None:
    from responder.actions.base import Progress, Settling

    world = await make_world(cooldown=timedelta(0))
    first, second = await world.fire(1), await world.fire(2)
    world.lever.settling = Settling(progress=Progress.PENDING, text="going down")
    await world.ask(first)
    assert (await world.last(first)).status is RunStatus.VERIFYING
    await world.ask(second, "other")
    run = await world.last(second)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.UNDER_WAY)
    # And within one incident the second wish for it is not even begun.
    await world.ask(first)
    assert len(await world.runs(first)) == 1
    assert "ana asked for it already" in (await refusals(world, first))[-1]


async def test_an_automatic_action_starts_once_an_episode_and_only_where_the_rules_approve_it(
    make_world: Make,
) -> None:
    world = await make_world(
        automatic=True, approval=Approval.AUTOMATIC, precondition=Condition(probe="gauge")
    )
    incident = await world.fire()
    run = await world.last(incident)
    assert (run.status, run.by, run.automatic) == (RunStatus.VERIFYING, "responder", True)
    await world.ask(incident, "other")
    assert [one.automatic for one in await world.runs(incident)] == [True, False]
    assert len(world.lever.pulls) == 1


async def test_an_automatic_action_whose_approval_was_taken_back_is_refused(make_world: Make) -> None:
    world = await make_world(automatic=True, approval=Approval.REQUIRED)
    incident = await world.fire()
    run = await world.last(incident)
    assert (run.status, run.gate) == (RunStatus.REFUSED, Gate.ROLE)
    assert world.lever.pulls == []


@pytest.mark.parametrize("hostile", ["../../etc", "a" * 300, "pull; rm -rf /", ""])
async def test_a_name_that_nobody_offers_is_refused_whatever_it_is(make_world: Make, hostile: str) -> None:
    world = await make_world()
    incident = await world.fire()
    asked = await world.ask(incident, hostile)
    assert asked.refusal is not None
    assert asked.refusal[0] is Gate.OFFERED


async def test_taking_back_counts_against_no_limit_and_is_called_so_in_the_audit(make_world: Make) -> None:
    world = await make_world(limit=Limit(count=2, per=timedelta(hours=1)), cooldown=timedelta(0))
    incident = await world.fire()
    await world.ask(incident)
    await world.ask(incident, kind=RunKind.UNDO)
    await world.ask(incident)
    assert len(world.lever.pulls) == 2
    texts = [entry.text for entry in await world.people.audit(after=0, limit=100)]
    assert "Undo: Pull the lever brake" in texts
