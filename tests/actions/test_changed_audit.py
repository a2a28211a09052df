"""Where the audit was changed from outside nothing can be written into it: nothing is done, everybody is told why, once."""

from __future__ import annotations

from typing import Any

import pytest
from action_fixtures import Make
from action_world import ANA, ROOT, ActionWorld
from structlog.testing import capture_logs
from world import settle

from responder.actions.base import Progress, Settling
from responder.actions.desk import Wanted
from responder.incident.action import Gate, RunKind, RunStatus
from responder.store.errors import AuditChangedError

WHY = "the audit was changed from outside, so nothing can be written into it; see: responder audit verify"


async def changed(world: ActionWorld) -> None:
    """Somebody takes the newest entry out."""
    await world.people.switch_on("root", "")
    await world.people.switch_on("root", "")
    await world.store.client.rpop(f"{world.store.base}:audit")


def of_the_audit(logs: Any) -> list[tuple[str, str]]:
    return [
        (line["log_level"], line["what"]) for line in logs if line["event"].startswith("not in the audit")
    ]


async def test_an_action_that_cannot_be_written_down_is_not_done_and_says_why_once(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    await changed(world)
    with capture_logs() as logs:
        await world.ask(incident)
    run = await world.last(incident)
    assert (run.status, run.text) == (RunStatus.FAILED, WHY)
    assert world.lever.pulls == []
    assert of_the_audit(logs) == [("error", "performing"), ("error", "failed")]
    assert not [line for line in logs if line["event"] == "effect failed" or "exc_info" in line]
    # A rehearsal changes nothing, and is told; the object is free as soon as the audit is mended.
    await world.ask(incident, kind=RunKind.REHEARSE)
    assert (await world.last(incident)).status is RunStatus.REHEARSED
    await world.store.client.delete(f"{world.store.base}:audit", f"{world.store.base}:audit:head")
    await world.ask(incident)
    assert (await world.last(incident)).status is RunStatus.EFFECTIVE
    assert (await world.people.audit(after=0)).entries[0].event == "performing"


@pytest.mark.parametrize("how", ["emptied", "beheaded", "unreadable"])
async def test_every_way_in_which_list_and_newest_hash_part_is_told_as_what_it_is(
    make_world: Make, how: str
) -> None:
    world = await make_world()
    await world.people.switch_on("root", "")
    key = f"{world.store.base}:audit"
    match how:
        case "emptied":
            await world.store.client.delete(key)
        case "beheaded":
            await world.store.client.delete(f"{key}:head")
        case _:
            await world.store.client.lset(key, -1, "?")
    with pytest.raises(AuditChangedError, match="changed from outside"):
        await world.people.switch_on("root", "")


async def test_what_was_done_before_the_audit_was_changed_is_told_to_its_end(
    make_world: Make, turned: Any
) -> None:
    world = await make_world()
    incident = await world.fire()
    world.lever.settling = Settling(progress=Progress.PENDING, text="it is going down")
    await world.ask(incident)
    assert (await world.last(incident)).status is RunStatus.VERIFYING
    await changed(world)
    world.lever.settling = Settling(progress=Progress.DONE, text="the lever is down")
    turned.turn(seconds=5)
    with capture_logs() as logs:
        await settle(world.engine)
    assert (await world.last(incident)).status is RunStatus.EFFECTIVE
    assert ("pull", "effective") in world.counted
    assert of_the_audit(logs) == [("error", "effective")]


async def test_actions_can_always_be_switched_off_and_never_on_again_unseen(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    await changed(world)
    off = await world.people.switch_off("ben", "trouble")
    assert (off.switch.by, off.warning) == (
        "ben",
        f"actions are off, and the audit does not tell of it: {WHY}",
    )
    asked = await world.people.ask(incident, Wanted(name="pull"), ANA)
    assert asked.refusal is not None
    assert asked.refusal[0] is Gate.KILL_SWITCH
    with pytest.raises(AuditChangedError):
        await world.people.switch_on("root", "")
    assert await world.people.kill_switch() == off.switch


async def test_a_refusal_is_told_even_where_the_audit_cannot_have_it(make_world: Make) -> None:
    world = await make_world()
    incident = await world.fire()
    await changed(world)
    with capture_logs() as logs:
        asked = await world.ask(incident, "unoffered", person=ROOT)
    assert asked.refusal is not None
    assert asked.refusal[0] is Gate.OFFERED
    assert of_the_audit(logs) == [("error", "denied")]
