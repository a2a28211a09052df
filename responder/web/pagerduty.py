"""PagerDuty's webhooks: who acknowledged, resolved or reopened there, did so here. Answered within its five seconds.

An answer of 4xx would make PagerDuty drop the event and, after three, the subscription: so only a wrong signature gets
one. What is not understood, or not ours, is taken and ignored.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from typing import Any

import structlog
from aiohttp import web

from responder.incident import facts
from responder.incident.facts import Fact
from responder.incident.state import Incident
from responder.paging.base import ChannelError
from responder.paging.pagerduty import PagerDutyChannel
from responder.paging.pagerduty_events import PageKey
from responder.paging.pagerduty_requests import PagerDutyEvent, decode_event
from responder.store.errors import StoreError
from responder.text import one_line
from responder.web.parts import PARTS
from responder.web.problems import RETRY_AFTER, ProblemError, answer, read

log = structlog.get_logger(__name__)

_ANSWER_LIMIT = 4.0  # seconds
_FACTS: dict[str, type[Fact]] = {
    "incident.acknowledged": facts.AcknowledgedBy,
    "incident.resolved": facts.ResolvedBy,
    "incident.reopened": facts.ReopenedBy,
    # PagerDuty has called the next person of its own policy; our levels go on at their own times.
    "incident.escalated": facts.NoteAdded,
}


def routes() -> list[web.RouteDef]:
    """PagerDuty's end point."""
    return [web.post("/pagerduty/webhook", webhook)]


async def webhook(request: web.Request) -> web.Response:
    """Something happened to an incident there."""
    raw = await read(request)
    channel = _signed_by(request, raw)
    event = decode_event(raw)
    if event is None or event.type not in _FACTS or not event.person:
        # Without a person it was PagerDuty's own doing, or an event that we sent: that is not an answer.
        return answer({"taken": 0})
    try:
        async with asyncio.timeout(_ANSWER_LIMIT):
            pages = await channel.pages_of(event.incident_key, event.their_incident)
            taken = [await _record(request, event, page) for page in pages]
    except (TimeoutError, StoreError, ChannelError) as error:
        log.warning("event of PagerDuty not taken", event_type=event.type, error=str(error) or "time-out")
        raise ProblemError(503, "not taken; send it again", headers=RETRY_AFTER) from None
    return answer({"taken": sum(taken)})


def _signed_by(request: web.Request, raw: bytes) -> PagerDutyChannel:
    signatures = request.headers.get("X-PagerDuty-Signature", "")
    found = None
    for channel in request.app[PARTS].channels.values():
        if isinstance(channel, PagerDutyChannel) and channel.signed(signatures, raw):
            found = channel
    if found is None:
        raise ProblemError(401, "signature: missing or wrong")
    return found


async def _record(request: web.Request, event: PagerDutyEvent, page: PageKey) -> bool:
    desk = request.app[PARTS].desk
    detail = await desk.incident(page.incident, alerts=1)
    if detail is None:
        log.info("event of PagerDuty for an incident that is not kept", incident=page.incident)
        return False
    now = request.app[PARTS].clock.now()
    key = hashlib.sha256(f"pagerduty\0{event.id}\0{page.page}".encode()).hexdigest()
    fact = _fact(event, page, detail.incident, now)
    await desk.record(page.incident, fact, idempotency_key=key, request_digest=key)
    return True


def _fact(event: PagerDutyEvent, page: PageKey, incident: Incident, now: datetime) -> Fact:
    """The fact; only a note where the event is about a page that a later one has taken the place of.

    The time is the event's own, so that a delayed webhook does not lengthen the time to acknowledge.
    """
    kind: Any = _FACTS[event.type]
    verb = event.type.partition(".")[2]
    note = f"{verb} in PagerDuty" if kind is facts.NoteAdded else ""
    if kind is not facts.NoteAdded and _is_old(event, page, incident):
        kind, note = facts.NoteAdded, f"{verb} in PagerDuty: an earlier page, not the present one"
    at = min(max(event.occurred_at or now, incident.opened_at), now)
    return kind(at=at, by=f"pagerduty:{one_line(event.person, 100)}", via="pagerduty", note=note)  # type: ignore[no-any-return]


def _is_old(event: PagerDutyEvent, page: PageKey, incident: Incident) -> bool:
    episode = incident.episode
    found = next((one for one in incident.pages if one.id == page.page), None)
    if found is not None:
        return found.episode < episode.number
    return event.occurred_at is not None and event.occurred_at < episode.began_at
