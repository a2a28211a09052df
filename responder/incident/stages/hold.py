"""Stage 10: what holds pages back just now. Level-triggered: no reason to wait outlives its cause.

What comes from outside (windows, what a service stands on, the night) is handed in with each decision; what Alertmanager
mutes was taken in by a stage before (``muting.py``). While something holds, no page leaves and none that waits is sent;
acknowledging, resolving and everything else goes on. When it is over and the incident still fires, it is paged as if it
had begun then.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from responder.incident import facts as fact
from responder.incident.decision import PagesHeld, Reason
from responder.incident.dependency import ARRIVAL, attached_to, dependency_holds
from responder.incident.draft import Draft
from responder.incident.effects import PassOn
from responder.incident.hold import Hold, HoldKind, ended_words, held_words
from responder.incident.ids import derive
from responder.incident.night import night_holds, wait_over
from responder.incident.stages.muting import joined
from responder.incident.state import Triggered

#: What holds is looked at again this often, whatever end it has.
LOOK_AGAIN = timedelta(seconds=30)
#: A replica that has not heard of what another one knew hears of it soon, or is cut off and is waited for no longer.
_CATCH_UP = timedelta(seconds=1)
_OUT_OF_DATE = timedelta(seconds=30)
#: What every replica has from the store, and so a little later than the one that brought it there.
_SHARED = frozenset({HoldKind.MAINTENANCE, HoldKind.DEPENDENCY})


def take(draft: Draft) -> None:
    """Begin to wait, go on waiting, or page what has waited."""
    before = draft.incident.holds
    waits = isinstance(draft.incident.state, Triggered)
    holds = _holds(draft) if waits else ()
    draft.change(holds=holds)
    _tell_beneath(draft, attached_to(draft.before.holds), attached_to(holds))
    if holds:
        _wait(draft, before, holds)
    elif before and waits:
        _go_on(draft, before)


def _holds(draft: Draft) -> tuple[Hold, ...]:
    """Each reason once, and since when it is one."""
    outside = draft.news.outside
    given = [
        one
        for one in (*draft.incident.muted, *outside.holds, *dependency_holds(draft), *night_holds(draft))
        if not one.over(draft.now)
    ]
    unheard = [one for one in draft.incident.holds if _is_unheard_of(draft, one, given)]
    if unheard:
        draft.wake(draft.now + _CATCH_UP)
    found: list[Hold] = []
    for one in (*given, *unheard):
        known = next((old for old in draft.incident.holds if old.same(one)), None)
        if not any(one.same(other) for other in found):
            since = (known.since if known else None) or draft.now
            found.append(msgspec.structs.replace(one, since=since))
    return tuple(found)


def _is_unheard_of(draft: Draft, old: Hold, given: list[Hold]) -> bool:
    """Whether a reason is missing because this replica has not heard of it yet: then it is not over."""
    around = draft.news.outside.around
    if old.kind not in _SHARED or old.by == ARRIVAL or old.by in around.over or old.over(draft.now):
        return False
    if around.as_of is None or old.since is None or any(one.kind is old.kind for one in given):
        return False
    return around.as_of <= old.since and draft.now - around.as_of < _OUT_OF_DATE


def _wait(draft: Draft, before: tuple[Hold, ...], holds: tuple[Hold, ...]) -> None:
    for one in holds:
        if not any(one.same(old) for old in before):
            draft.note(Reason.HELD, held_words(one), by=one.by)
            draft.measure(PagesHeld(one.kind))
    draft.because(Reason.HELD)
    draft.wake(draft.now + LOOK_AGAIN)
    for one in holds:
        if one.until is not None:
            draft.wake(one.until)


def _go_on(draft: Draft, before: tuple[Hold, ...]) -> None:
    only_arrival = all(one.by == ARRIVAL for one in before)
    if only_arrival and draft.incident.episode.reached:
        return  # paged from memory already
    cause = f"{ended_words(one.kind for one in before)} and it still fires"
    if draft.before.muted and joined(draft):
        cause = "an alert joined that Alertmanager does not mute"
    if only_arrival:
        cause = "it has waited for what it depends on"
        draft.change_episode(began_at=draft.now)  # it was a moment: what was found stays true
    elif draft.incident.episode.number == draft.before.episode.number:
        draft.begin_episode(cause, waited=wait_over(draft, before))
    draft.change(respond_by=draft.now + draft.incident.promise.respond_within)
    draft.note(Reason.HOLD_OVER, f"{cause}; paging now")


def _tell_beneath(draft: Draft, before: str, now: str) -> None:
    """The incident that this one attaches to, or does not any more, hears of it."""
    if before == now:
        return
    incident = draft.incident
    if before:
        gone = fact.ServiceDetached(at=draft.now, incident=incident.id, service=incident.service)
        _pass_on(draft, before, gone)
    if now:
        _pass_on(
            draft,
            now,
            fact.ServiceAttached(
                at=draft.now, incident=incident.id, service=incident.service, severity=incident.severity
            ),
        )


def _pass_on(draft: Draft, to: str, what: fact.ServiceAttached | fact.ServiceDetached) -> None:
    incident = draft.incident
    kind = str(type(what).__struct_config__.tag)
    draft.ask(
        PassOn(
            id=derive(incident.id, kind, to, incident.episode.number, draft.now.isoformat()),
            lane=derive(incident.id, "pass on"),
            incident=incident.id,
            urgent=incident.severity.urgent,
            episode=incident.episode.number,
            requested_at=draft.now,
            to=to,
            fact=what,
        )
    )
