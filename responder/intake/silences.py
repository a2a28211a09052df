"""Silences in Alertmanager: made over one of the peers, withdrawn over all of them.

Source: Alertmanager's ``api/v2/openapi.yaml`` and ``api/v2/api.go``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from responder.intake.alertmanager import ListedSilence
from responder.intake.peers import Peer, PeerError, Reply
from responder.matchers import Matcher, Operator

log = structlog.get_logger(__name__)

_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
#: Ours and the peer's clock need not agree: a silence that begins in the past begins now.
_EARLIER = timedelta(minutes=10)
#: Whether it is a regular expression, and whether it has to match.
_OPERATORS = {
    (False, True): Operator.EQUAL,
    (False, False): Operator.NOT_EQUAL,
    (True, True): Operator.MATCHES,
    (True, False): Operator.NOT_MATCHES,
}


class MatcherBody(msgspec.Struct, frozen=True, rename="camel"):
    """A matcher as Alertmanager's API has it."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True  # absent before 0.22


def matcher_of(body: MatcherBody) -> Matcher:
    """The same matcher, from the API. Raises ``MatcherError`` where it is none."""
    return Matcher(body.name, _OPERATORS[body.is_regex, body.is_equal], body.value)


def body_of(matcher: Matcher) -> MatcherBody:
    """The same matcher, for the API."""
    is_regex, is_equal = next(flags for flags, kind in _OPERATORS.items() if kind is matcher.operator)
    return MatcherBody(name=matcher.name, value=matcher.value, is_regex=is_regex, is_equal=is_equal)


class SilenceBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is posted. ``ends_at`` is by the peer's clock once it is made."""

    matchers: tuple[MatcherBody, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A silence that is there now."""

    id: str
    until: datetime


class SilenceError(Exception):
    """No silence was made, or not all were withdrawn. ``refused``: Alertmanager answers, and will not."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


class _MadeAnswer(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="silenceID")


_ENDED, _UNKNOWN = "ended", "unknown"
_MADE = msgspec.json.Decoder(_MadeAnswer)
_LISTED = msgspec.json.Decoder(list[ListedSilence])
_MATCHED = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Silences:
    """The peers: asked side by side what they know, and one after the other to make something."""

    def __init__(self, peers: Sequence[Peer]) -> None:
        self._peers = peers

    async def matched(self, matchers: Sequence[Matcher]) -> list[msgspec.Raw]:
        """The alerts that fire and that a silence with these matchers would silence, as one of the peers lists them.

        Raises:
            SilenceError: where no peer answers.
        """
        query = [("filter", str(one)) for one in matchers]
        answers, reasons = await self._ask_all("/alerts", query)
        for peer, answer in answers:
            try:
                return _MATCHED.decode(answer.body)
            except _UNREADABLE as error:
                reasons.append(_reason(peer, error))
        raise SilenceError("; ".join(reasons))

    async def _ask_all(
        self, path: str, query: Sequence[tuple[str, str]] = ()
    ) -> tuple[list[tuple[Peer, Reply]], list[str]]:
        """Who answers what, and why the others do not: one that hangs costs its time limit once."""
        found = await asyncio.gather(*(_asked(peer, path, query) for peer in self._peers))
        pairs = list(zip(self._peers, found, strict=True))
        answers = [(peer, one) for peer, one in pairs if isinstance(one, Reply)]
        return answers, [one for _, one in pairs if isinstance(one, str)]

    async def make(self, wanted: SilenceBody, span: timedelta) -> Made:
        """Make one that lasts ``span`` from now, by the clock of the peer that takes it.

        Where an answer was lost, the next peer may have heard of the silence already: it is not made twice.

        Raises:
            SilenceError: where no peer takes it, or one refuses it.
        """
        there, reasons = await self._ask_all("/status")
        lost = False
        for peer, status in there:
            try:
                if lost and (made := await self._heard_of(peer, wanted, span)):
                    return made
                return await _make(peer, wanted, span, status.at or wanted.starts_at)
            except PeerError as error:
                if error.refused:
                    raise SilenceError(str(error), refused=True) from None
                reasons.append(_reason(peer, error))
            except _UNREADABLE as error:
                reasons.append(_reason(peer, error))
            lost = True
        raise SilenceError("; ".join(reasons))

    async def _heard_of(self, peer: Peer, wanted: SilenceBody, span: timedelta) -> Made | None:
        for one in _LISTED.decode((await peer.get("/silences")).body):
            same = (one.comment, one.created_by) == (wanted.comment, wanted.created_by)
            recent = abs(one.ends_at - (wanted.starts_at + span)) < timedelta(minutes=2)
            if same and recent and one.active:
                return Made(id=one.id, until=one.ends_at.astimezone(UTC))
        return None

    async def withdraw(self, ids: Sequence[str]) -> None:
        """End silences, on every peer that answers (one may be cut off from the others).

        Raises:
            SilenceError: where one of them was ended by no peer, and a peer that may have it does not answer.
        """
        for one in ids:
            if not _ID.fullmatch(one):
                raise SilenceError(f"{one[:80]!r} is no silence's id", refused=True)
            outcomes = await asyncio.gather(*(self._end(peer, one) for peer in self._peers))
            reasons = [reason for reason in outcomes if reason not in {_ENDED, _UNKNOWN}]
            if reasons and _ENDED not in outcomes:
                raise SilenceError("; ".join(reasons))

    async def _end(self, peer: Peer, silence: str) -> str:
        """What became of it there: ended, unknown, or why it could not be asked."""
        try:
            await peer.delete(f"/silence/{silence}")
        except PeerError as error:
            # An unknown one is 500 before 0.26.
            unknown = error.status == 404 or (error.status == 500 and "not found" in str(error))
            return _UNKNOWN if unknown else _reason(peer, error)
        return _ENDED


async def _asked(peer: Peer, path: str, query: Sequence[tuple[str, str]]) -> Reply | str:
    try:
        return await peer.get(path, query)
    except PeerError as error:
        return _reason(peer, error)


async def _make(peer: Peer, wanted: SilenceBody, span: timedelta, now: datetime) -> Made:
    body = msgspec.structs.replace(wanted, starts_at=now - _EARLIER, ends_at=now + span)
    made = _MADE.decode((await peer.post("/silences", body)).body)
    return Made(id=made.id, until=body.ends_at)


def _reason(peer: Peer, error: Exception) -> str:
    return f"{peer.name}: {error if isinstance(error, PeerError) else 'its answer is not readable'}"
