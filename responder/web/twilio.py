"""Twilio's requests: answers by text message and by key, and what became of messages and calls.

Every request is verified over the address that Twilio knows, which is made of ``external_url``, not of what a proxy
says; and each is taken once, however often it comes.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec
import structlog
from aiohttp import web

from responder.engine.desk import Answer, Outcome
from responder.incident.facts import AcknowledgedBy, EscalatedBy, MessageFailed
from responder.incident.message import MessageKind
from responder.incident.state import Incident, StateName
from responder.paging.sms_text import plain
from responder.paging.twilio_api import TwilioChannel
from responder.paging.twilio_requests import Reply, fields_of, lost, read_reply, verify
from responder.paging.twilio_twiml import (
    ACKNOWLEDGE,
    CONFIRM_PROMPT,
    ESCALATE,
    Keys,
    answer_to_key,
    ask_again,
    text_back,
)
from responder.signing import BadTokenError
from responder.store.codes import CodedPage
from responder.store.errors import StoreError
from responder.text import one_line
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, read
from responder.web.verify import confirm

log = structlog.get_logger(__name__)

_ANSWER_LIMIT = 10.0  # seconds; after fifteen Twilio gives up
_FORM_LIMIT = 64 * 1024
_TRIES = 3  # wrong keys
_USAGE = (
    "Reply ACK and the code of the page to take it, such as ACK 7f3k; ESC and the code for the next person."
)
_TRY_AGAIN = "Not taken: we have a fault of our own. Please try again, or open the link."


def routes() -> list[web.RouteDef]:
    """Twilio's end points."""
    return [
        web.post("/twilio/sms", replied),
        web.post("/twilio/voice", pressed),
        web.post("/twilio/status", became),
    ]


async def replied(request: web.Request) -> web.Response:
    """A text message came back."""
    fields = await _verified(request)
    reply = read_reply(fields.get("Body", ""))
    if reply is None:
        # What Twilio itself answers (STOP, START, HELP) it marks so.
        return _twiml(text_back("" if fields.get("OptOutType") else _USAGE))
    number, sid = fields.get("From", ""), fields.get("MessageSid", "")
    try:
        async with asyncio.timeout(_ANSWER_LIMIT):
            page = await request.app[PARTS].codes.find(number, reply.code)
            if page is None:
                return _twiml(text_back(f"{reply.code.upper()} is no code of a page to this phone. {_USAGE}"))
            return _twiml(text_back(plain(await _act(request, page, reply, f"sms\0{sid}"))))
    except (TimeoutError, StoreError) as error:
        log.warning("answer by text message not taken", error=str(error) or "time-out")
        return _twiml(text_back(_TRY_AGAIN))


async def pressed(request: web.Request) -> web.Response:
    """A key was pressed in a call. Only that takes a page: a mailbox presses nothing."""
    fields = await _verified(request)
    digit, sid = fields.get("Digits", ""), fields.get("CallSid", "")
    query = request.query
    if digit != ACKNOWLEDGE and (digit != ESCALATE or "verify" in query):
        return _twiml(_again(request))
    try:
        async with asyncio.timeout(_ANSWER_LIMIT):
            if "verify" in query:
                return _twiml(answer_to_key(await _confirmed(request, query["verify"])))
            page = CodedPage(
                incident=query.get("incident", ""),
                contact=query.get("contact", ""),
                page=query.get("page", ""),
            )
            said = await _act(request, page, Reply(digit == ESCALATE, digit), f"voice\0{sid}")
            return _twiml(answer_to_key(said))
    except (TimeoutError, StoreError) as error:
        log.warning("key not taken", error=str(error) or "time-out")
        return _twiml(_again(request, "That was not taken. "))


async def became(request: web.Request) -> web.Response:
    """What became of a message or a call: one that reached nobody is told, so that the page goes on elsewhere."""
    fields = await _verified(request)
    query, gone = request.query, lost(fields)
    known = query.get("kind") in {str(kind) for kind in MessageKind}
    if gone is None or not known or not query.get("incident"):
        return web.Response(status=204)
    parts = request.app[PARTS]
    fact = MessageFailed(
        at=parts.clock.now(),
        effect=query.get("effect", ""),
        page=query.get("page", ""),
        kind=MessageKind(query["kind"]),
        reason=one_line(gone.reason, 300),
    )
    key = _key(f"status\0{gone.event}")
    found = await parts.desk.record(query["incident"], fact, idempotency_key=key, request_digest=key)
    if found.outcome is not Outcome.UNKNOWN:
        if query.get("channel") in parts.channels:
            parts.page_outcome(query["channel"], "unreachable")
        log.error("a page reached nobody", incident=query["incident"], reason=fact.reason)
    return web.Response(status=204)


async def _act(request: web.Request, page: CodedPage, reply: Reply, event: str) -> str:
    """Acknowledge or escalate in the name of the contact; what is said of it."""
    parts = request.app[PARTS]
    kind: Any = EscalatedBy if reply.escalate else AcknowledgedBy
    via = event.partition("\0")[0]
    fact = kind(at=parts.clock.now(), by=page.contact, via=via)
    key = _key(event)
    return _said(
        await parts.desk.record(page.incident, fact, idempotency_key=key, request_digest=key), page, reply
    )


def _said(found: Answer, page: CodedPage, reply: Reply) -> str:
    incident = found.incident
    if found.outcome is Outcome.UNKNOWN or incident is None:
        return "There is nothing to take any more: the incident is no longer kept."
    what = one_line(f"{incident.severity} {incident.service}: {incident.title}", 90)
    if found.outcome is Outcome.REFUSED:
        return f"Too late: it is {incident.state_name}. {what}"
    if reply.escalate:
        return f"The next person is paged. {what}"
    return f"{_taken(incident, page)} {what}"


def _taken(incident: Incident, page: CodedPage) -> str:
    """What came of an acknowledgement."""
    if incident.acknowledged_by and incident.acknowledged_by != page.contact:
        return f"{one_line(incident.acknowledged_by, 60)} has it already."
    if incident.state_name is not StateName.ACKNOWLEDGED:  # taken before, and passed on since
        return f"It was noted; it is {incident.state_name} by now."
    if incident.episode.waited is not None and (others := len(incident.episode.waited.listed)):
        return f"You have this one; acknowledge the {others} that waited with it as well."
    return "You have it. Nobody further is paged."


async def _confirmed(request: web.Request, token: str) -> str:
    try:
        reach = await confirm(request, token)
    except BadTokenError:
        return "This is no longer valid. Goodbye."
    return f"Thank you. It is confirmed that {reach.channel} reaches {reach.contact}."


def _again(request: web.Request, first: str = "") -> str:
    """Ask for a key once more, a bounded number of times."""
    tried = request.query.get("tried", "")
    count = int(tried) + 1 if tried.isascii() and tried.isdigit() and len(tried) == 1 else 1
    if count >= _TRIES:
        return answer_to_key(f"{first}Nobody has taken it. Goodbye.")
    action = _address(request, request.rel_url.update_query(tried=str(count)).raw_path_qs)
    keys = Keys(action=action, prompt=CONFIRM_PROMPT) if "verify" in request.query else Keys(action=action)
    return ask_again(msgspec.structs.replace(keys, prompt=f"{first}{keys.prompt}"))


def _address(request: web.Request, path: str) -> str:
    return f"{request.app[PARTS].external_url.rstrip('/')}{path}"


async def _verified(request: web.Request) -> dict[str, str]:
    parts = request.app[PARTS]
    fields = fields_of(await read(request, _FORM_LIMIT))
    tokens = [one.auth_token for one in parts.channels.values() if isinstance(one, TwilioChannel)]
    signature = request.headers.get("X-Twilio-Signature", "")
    if fields is None or not verify(tokens, signature, _address(request, request.raw_path), fields):
        raise ProblemError(401, "signature: missing or wrong; external_url must be what Twilio calls")
    return fields


def _key(event: str) -> str:
    return hashlib.sha256(f"twilio\0{event}".encode()).hexdigest()


def _twiml(document: str) -> web.Response:
    return web.Response(text=document, content_type="text/xml")
