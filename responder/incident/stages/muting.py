"""Stage 8: what Alertmanager mutes, as the comparison with it tells, and the silences that people made from here.

An incident is muted while each of its alerts that fires is silenced, inhibited or muted by a time interval. What is
sent to us is not muted: an alert that joins ends it at once. Only what was inhibited, and is not urgent, waits for the
next comparison: an Alertmanager that has just been restarted sends what it would inhibit a moment later.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from responder.incident import facts as fact
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.hold import Hold, HoldKind, Silence, silence_hold
from responder.incident.state import Acknowledged, Incident, Triggered

#: How long before its end a silence over something urgent is announced.
NOTICE = timedelta(minutes=10)


def take(draft: Draft) -> None:
    """Take what was found and what people did; say before a silence ends."""
    if draft.incident.muted and joined(draft) and not _waits_for_comparison(draft.incident):
        _mute(draft, ())
    for one in draft.news.facts:
        _take_one(draft, one)
    _forget_what_is_over(draft)
    _announce_end(draft)


def joined(draft: Draft) -> bool:
    """Whether an alert has fired since the last decision."""
    return draft.incident.totals.fired_ever > draft.before.totals.fired_ever


def _waits_for_comparison(incident: Incident) -> bool:
    inhibited = any(hold.kind is HoldKind.INHIBITION for hold in incident.muted)
    return inhibited and not incident.severity.urgent


def _take_one(draft: Draft, one: fact.Fact) -> None:
    match one:
        case fact.AlertsMuted(by=by, fired=fired) if _still_true(draft, fired):
            _note_muted(draft, by)
            _mute(draft, by)
        case fact.AlertsUnmuted():
            if draft.incident.muted and not isinstance(draft.incident.state, Triggered):
                draft.note(Reason.UNMUTED)
            _mute(draft, ())
        case fact.SilencedBy():
            _silenced(draft, one)
        case fact.UnsilencedBy():
            _unsilenced(draft, one)
        case fact.SilenceReturned(text=text):
            draft.note(Reason.SILENCE_RETURNED, text, at=one.at)
            draft.announce(text, loud=draft.incident.severity.urgent)
        case fact.Compared(text=text):
            draft.note(Reason.COMPARED, f"{Reason.COMPARED}: {text}", at=one.at)
        case _:
            pass


def _still_true(draft: Draft, fired: int | None) -> bool:
    return fired is None or fired == draft.incident.totals.fired_ever


def _silenced(draft: Draft, one: fact.SilencedBy) -> None:
    silence = Silence(id=one.silence, by=one.by, until=one.until, comment=one.note)
    others = tuple(other for other in draft.incident.silences if other.id != one.silence)
    draft.change(silences=(*others, silence))
    text = f"silenced until {one.until:%Y-%m-%d %H:%M:%S} UTC via {one.via}. {one.note}".strip()
    draft.note(Reason.SILENCED, text, by=one.by, at=one.at)
    if _still_true(draft, one.fired):
        _mute(draft, (silence_hold(silence),))


def _unsilenced(draft: Draft, one: fact.UnsilencedBy) -> None:
    gone = [silence for silence in draft.incident.silences if silence.id in one.silences]
    held = {silence_hold(silence).by for silence in gone}
    draft.change(silences=tuple(s for s in draft.incident.silences if s.id not in one.silences))
    draft.note(
        Reason.UNSILENCED,
        f"the silence was withdrawn via {one.via}. {one.note}".strip(),
        by=one.by,
        at=one.at,
    )
    if any(hold.by in held for hold in draft.incident.muted):
        _mute(draft, ())


def _note_muted(draft: Draft, by: tuple[Hold, ...]) -> None:
    """Where pages are held back the next stage says so; where somebody has it already, nobody else would."""
    known = {(hold.kind, hold.by) for hold in draft.incident.muted}
    new = [hold.text for hold in by if (hold.kind, hold.by) not in known]
    if new and isinstance(draft.incident.state, Acknowledged):
        draft.note(Reason.MUTED, f"{Reason.MUTED}: {'; '.join(new)}")


def _mute(draft: Draft, by: tuple[Hold, ...]) -> None:
    before, ends = silence_ends(draft.incident.muted), silence_ends(by)
    draft.change(muted=by)
    if ends is None:
        draft.change(mute_notice_at=None)
    elif ends != before:
        at = ends - NOTICE
        draft.change(mute_notice_at=at if at > draft.now else None)


def silence_ends(muted: tuple[Hold, ...]) -> datetime | None:
    """When the first of the silences ends, where there is one."""
    ends = [hold.until for hold in muted if hold.kind is HoldKind.SILENCE and hold.until is not None]
    return min(ends, default=None)


def _forget_what_is_over(draft: Draft) -> None:
    incident = draft.incident
    if any(silence.until <= draft.now for silence in incident.silences):
        draft.change(silences=tuple(one for one in incident.silences if one.until > draft.now))
    if incident.muted and not isinstance(incident.state, (Triggered, Acknowledged)):
        _mute(draft, ())


def _announce_end(draft: Draft) -> None:
    """To everybody who was paged, once: it is going to page again unless it ends or somebody prolongs the silence."""
    at, ends = draft.incident.mute_notice_at, silence_ends(draft.incident.muted)
    if at is None or ends is None:
        return
    if draft.now < at:
        draft.wake(at)
        return
    draft.change(mute_notice_at=None)
    if draft.now < ends and draft.incident.severity.urgent and draft.incident.totals.firing_now > 0:
        text = f"The silence ends at {ends:%H:%M} UTC, and it still fires."
        draft.note(Reason.SILENCE_ENDS, text)
        draft.announce(text)
