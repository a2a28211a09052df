"""When our own decision fails on an incident: page the primary with what is known, mark it, try again later."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from responder.incident.decision import Decision, Entry, Reason
from responder.incident.effects import SendMessage
from responder.incident.escalation.who import PEOPLE_LIMIT
from responder.incident.ids import derive
from responder.incident.message import MessageKind, Wanted
from responder.incident.reach import OnCall
from responder.incident.severity import LEVELS, Level
from responder.incident.state import Incident
from responder.store.loaded import Loaded
from responder.text import one_line

#: After so many failures the facts in hand are dropped, since one of them may be what cannot be decided.
_FACTS_KEPT_FOR = 5
_LONGEST_PAUSE = timedelta(minutes=5)


def fallback(loaded: Loaded, fresh: Incident, error: Exception, on_call: OnCall) -> tuple[Decision, bool]:
    """A decision that cannot fail, and whether the facts are given up.

    ``fresh`` is the incident as it opened, used where its snapshot is damaged.
    """
    incident = loaded.snapshot or fresh
    broken = incident.broken + 1
    pause = min(timedelta(seconds=2**broken), _LONGEST_PAUSE)
    incident = msgspec.structs.replace(incident, broken=broken, wake_at=loaded.now + pause, now=loaded.now)
    text = one_line(f"our own decision failed ({type(error).__name__}); paged with what is known", 300)
    pages_now = broken & (broken - 1) == 0  # at the 1st, 2nd, 4th, 8th … failure
    return Decision(
        incident=incident,
        effects=_pages(incident, broken, on_call) if pages_now and incident.open else (),
        entries=(Entry(at=loaded.now, reason=Reason.BROKEN, text=text),),
        why=(Reason.BROKEN,),
    ), broken > _FACTS_KEPT_FOR


def _pages(incident: Incident, number: int, on_call: OnCall) -> tuple[SendMessage, ...]:
    """A page to everybody of the first level that has somebody, over each of their channels at once."""
    for level in LEVELS:
        contact = incident.policy.contacts.get(level)
        people = on_call.people.get(contact, (contact,)) if contact is not None else ()
        if people:
            return tuple(
                _page(incident, level, (name, channel), number)
                for name in people[:PEOPLE_LIMIT]
                for channel in _channels(incident, name, on_call)
            )
    return ()


def _channels(incident: Incident, name: str, on_call: OnCall) -> tuple[str, ...]:
    plans = incident.policy.channels.get(name) or on_call.plans.get(name, {})
    return tuple(dict.fromkeys(step.channel for step in plans.get(incident.severity, ())))


def _page(incident: Incident, level: Level, to: tuple[str, str], number: int) -> SendMessage:
    contact, channel = to
    page_id = derive(incident.id, "fallback", contact, channel, number)
    return SendMessage(
        id=page_id,
        lane=page_id,
        incident=incident.id,
        urgent=True,
        episode=incident.episode.number,
        requested_at=incident.now,
        kind=MessageKind.PAGE,
        page=page_id,
        level=level,
        contact=contact,
        channel=channel,
        wanted=Wanted.UNACKNOWLEDGED,
    )
