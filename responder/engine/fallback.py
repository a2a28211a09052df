"""When our own decision fails on an incident: page the primary with what is known, mark it, try again later."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from responder.incident.decision import Decision, Entry, Reason
from responder.incident.effects import SendMessage
from responder.incident.ids import derive
from responder.incident.message import MessageKind
from responder.incident.severity import LEVELS
from responder.incident.state import Incident
from responder.store.loaded import Loaded
from responder.text import one_line

#: After so many failures the facts in hand are dropped, since one of them may be what cannot be decided.
_FACTS_KEPT_FOR = 5
_LONGEST_PAUSE = timedelta(minutes=5)


def fallback(loaded: Loaded, fresh: Incident, error: Exception) -> tuple[Decision, bool]:
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
        effects=_pages(incident, broken) if pages_now and incident.open else (),
        entries=(Entry(at=loaded.now, reason=Reason.BROKEN, text=text),),
        why=(Reason.BROKEN,),
    ), broken > _FACTS_KEPT_FOR


def _pages(incident: Incident, number: int) -> tuple[SendMessage, ...]:
    level = next((level for level in LEVELS if level in incident.policy.contacts), None)
    if level is None:
        return ()
    contact = incident.policy.contacts[level]
    channels = incident.policy.channels.get(contact, {}).get(incident.severity, ())
    ids = {channel: derive(incident.id, "fallback", contact, channel, number) for channel in channels}
    return tuple(
        SendMessage(
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
        )
        for channel, page_id in ids.items()
    )
