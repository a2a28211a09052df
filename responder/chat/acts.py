"""What people do to incidents from the chat: each act records a fact, and says what really happened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from responder.actions.desk import Person, Wanted
from responder.chat import words
from responder.chat.members import Member, Rank, RefusedError
from responder.chat.parts import ChatParts, SilenceError
from responder.durations import format_duration, parse_duration
from responder.incident import facts
from responder.incident.facts import Fact
from responder.incident.state import Incident
from responder.text import note_text, one_line

VIA = "slack"
LONGEST_SILENCE = timedelta(days=7)


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something to which incident; ``event`` names the request, so that it is taken once."""

    member: Member
    incident: str
    event: str


class Acts:
    """Everything that changes something. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, parts: ChatParts) -> None:
        self._parts = parts

    async def acknowledge(self, act: Act, note: str = "") -> str:
        """Take it."""
        name = act.member.name
        fact = facts.AcknowledgedBy(at=self._now, by=name, note=_note(note), via=VIA)
        return await self._record(act, fact, lambda incident: words.acknowledged(incident, name))

    async def escalate(self, act: Act) -> str:
        """Page the next level now."""
        fact = facts.EscalatedBy(at=self._now, by=act.member.name, via=VIA)
        return await self._record(act, fact, lambda incident: words.escalated(incident, fact.at))

    async def resolve(self, act: Act, note: str = "") -> str:
        """Say that it is over."""
        fact = facts.ResolvedBy(at=self._now, by=act.member.name, note=_note(note), via=VIA)
        return await self._record(act, fact, lambda _: "resolved")

    async def note(self, act: Act, text: str) -> str:
        """Write something down."""
        fact = facts.NoteAdded(at=self._now, by=act.member.name, note=_note(text), via=VIA)
        return await self._record(act, fact, lambda _: "noted")

    async def assign(self, act: Act, to: str) -> str:
        """Put a name on it."""
        name = one_line(to, 100)
        fact = facts.AssignedTo(at=self._now, by=act.member.name, to=name, via=VIA)
        own = name == act.member.name
        return await self._record(act, fact, lambda _: "you have command" if own else f"assigned to {name}")

    async def run(self, act: Act, name: str) -> str:
        """Have an action performed; the gates decide."""
        person = Person(name=act.member.name, role=act.member.for_actions, via=VIA)
        key = _key(act)
        asked = await self._parts.actions.ask(
            act.incident, Wanted(name=name[:100]), person, idempotency_key=key, digest=key
        )
        return words.action(asked, name, act.member.name)

    async def silence(self, act: Act, span: str, comment: str) -> str:
        """Silence what fires, in Alertmanager."""
        _needs_responder(act.member)
        if self._parts.silences is None:
            return "refused: no Alertmanager is configured to make silences in"
        try:
            made = await self._parts.silences.silence(
                act.incident, silence_span(span), by=act.member.name, comment=_note(comment)
            )
        except (SilenceError, ValueError) as error:
            return f"not silenced: {error}"
        return made

    @property
    def _now(self) -> datetime:
        return self._parts.clock.now()

    async def _record(self, act: Act, fact: Fact, say: Callable[[Incident], str]) -> str:
        _needs_responder(act.member)
        key = _key(act)
        found = await self._parts.desk.record(act.incident, fact, idempotency_key=key, request_digest=key)
        if text := words.kept_back(found) or words.recorded(found):
            return text
        return say(found.incident) if found.incident is not None else words.AWAY


def silence_span(text: str) -> timedelta:
    """The length of a silence. Raises ``ValueError`` with what would be taken."""
    span = parse_duration(text)
    if not timedelta(0) < span <= LONGEST_SILENCE:
        longest = format_duration(LONGEST_SILENCE)
        raise ValueError(f"expected a duration such as 2h, at most {longest}, got {text!r}")
    return span


def _needs_responder(member: Member) -> None:
    if member.rank < Rank.RESPONDER:
        raise RefusedError("refused (role): it needs the role responder")


def _note(text: str) -> str:
    try:
        return note_text(text)
    except ValueError as error:
        raise RefusedError(f"not taken: {error}") from None


def _key(act: Act) -> str:
    return hashlib.sha256(f"slack\0{act.member.name}\0{act.event}\0{act.incident}".encode()).hexdigest()
