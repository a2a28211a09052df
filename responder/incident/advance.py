"""The one place where policy lives: what came in, what is true now, what to do about it.

``advance`` is a pipeline of pure stages, read from top to bottom. It does no I/O, reads no clock and draws no random
number. It is level-triggered: run again on its own answer with nothing new, it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from responder.incident.decision import Decision
from responder.incident.draft import Draft, News, Outside
from responder.incident.facts import Fact
from responder.incident.stages import (
    actions,
    alerts,
    attached,
    blind,
    clock,
    deliveries,
    digest,
    escalate,
    findings,
    hold,
    lapse,
    measure,
    muting,
    people,
    tell,
    wake,
)
from responder.incident.state import Incident, Totals

Stage = Callable[[Draft], None]

PIPELINE: tuple[Stage, ...] = (
    alerts.take,  # what fired and resolved: reopen, rise, watch
    blind.take,  # what was done from memory while the store was away
    people.take,  # acknowledge, escalate, resolve, note
    deliveries.take,  # what became of pages
    clock.take,  # the watch is over, nothing was heard for too long
    lapse.take,  # the snooze is over, nobody stands by the acknowledgement any more
    findings.take,  # start diagnostics, take what they saw
    actions.take,  # what is to be done to targets, and what came of it
    muting.take,  # what Alertmanager mutes, and what people silenced
    attached.take,  # which services that stand on this one are not paged by themselves
    hold.take,  # what holds pages back
    digest.take,  # what is told with this one's page, and who told of this one
    escalate.take,  # who is paged now, and over what
    digest.pass_on,  # those who were told together hear of each other
    tell.take,  # who hears of the change
    measure.take,  # what is counted
    wake.take,  # when to look again
)


def advance(
    incident: Incident,
    totals: Totals,
    facts: Sequence[Fact],
    now: datetime,
    *,
    opened: bool = False,
    outside: Outside | None = None,
) -> Decision:
    """Decide.

    ``totals`` are the store's counts of the incident's alerts, ``facts`` what else happened since the last decision,
    in order; ``now`` is the store's time. Time never runs backwards: the latest of ``now``, the newest fact's time and
    the incident's own is taken. ``opened`` marks the first decision of an incident; ``outside`` is what is true
    elsewhere just now (by default each name of the matrix is itself a person, and nothing holds pages back).
    """
    facts = blind.with_answers(facts)
    latest = max([now, incident.now, *(fact.at for fact in facts)])
    news = News(totals=totals, facts=facts, now=latest, opened=opened, outside=outside or Outside())
    draft = Draft(incident, news)
    draft.change(now=latest, broken=0)
    for stage in PIPELINE:
        stage(draft)
    return draft.finish()
