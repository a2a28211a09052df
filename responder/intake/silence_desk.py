"""People's way to silences: a real one in Alertmanager, that matches what fires in an incident and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

import msgspec
import structlog

from responder.clock import Clock
from responder.durations import format_duration, parse_duration
from responder.engine.desk import Answer, Desk, Outcome
from responder.incident.facts import Fact, SilencedBy, UnsilencedBy
from responder.incident.hold import comment_with_link
from responder.incident.moves import TAKEN_IN
from responder.incident.state import Incident
from responder.intake.matching import Matching, NoMatchersError
from responder.intake.silences import Made, SilenceBody, SilenceError, Silences, body_of
from responder.matchers import Matcher
from responder.store.comparison import Comparison
from responder.store.errors import StoreError
from responder.store.reading import Reader
from responder.text import NOTE_LIMIT, one_line

log = structlog.get_logger(__name__)

#: The longest silence.
SILENCE_LIMIT = timedelta(days=30)


class Why(StrEnum):
    """Why nothing was done; nothing was recorded then either."""

    UNCONFIGURED = "unconfigured"  # no Alertmanager is configured
    AWAY = "away"  # no Alertmanager answers
    REFUSED = "refused"  # Alertmanager would not
    IMPOSSIBLE = "impossible"  # not for this incident as it is


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, over what, and the words of theirs; ``key`` and ``digest`` make a repeated request the same one."""

    by: str
    via: str
    comment: str = ""
    key: str | None = None
    digest: str = ""


class Silenced(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: why it was not done, or what was recorded."""

    refusal: tuple[Why, str] | None = None
    answer: Answer | None = None


class SilenceParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the desk works with. ``silences`` is ``None`` where no Alertmanager is configured."""

    desk: Desk
    reader: Reader
    book: Comparison
    matching: Matching
    silences: Silences | None
    clock: Clock
    incident_url: Callable[[str], str]


def span_of(text: str) -> timedelta:
    """How long a silence is to last. Raises ``ValueError`` with what would be taken."""
    span = parse_duration(text)
    if not timedelta(minutes=1) <= span <= SILENCE_LIMIT:
        limit = format_duration(SILENCE_LIMIT)
        raise ValueError(f"expected a duration from 1m up to {limit}, got {text!r}")
    return span


class SilenceDesk:
    """Every call raises ``StoreError`` where the store is away."""

    def __init__(self, parts: SilenceParts) -> None:
        self._parts = parts

    @property
    def available(self) -> bool:
        """Whether there is an Alertmanager to silence anything."""
        return self._parts.silences is not None

    async def silence(self, incident_id: str, span: timedelta, asker: Asker) -> Silenced:
        """Silence what fires in an incident, for so long from now."""
        silences = self._parts.silences
        if silences is None:
            return _unconfigured()
        incident, answer = await self._looked_up(incident_id, asker, SilencedBy)
        if incident is None or answer is not None:
            return Silenced(answer=answer or Answer(outcome=Outcome.UNKNOWN))
        try:
            matchers = await self._parts.matching.matchers(incident, silences)
            made = await silences.make(self._body(incident, matchers, span, asker), span)
        except NoMatchersError as error:
            return Silenced(refusal=(Why.IMPOSSIBLE, str(error)))
        except SilenceError as error:
            return Silenced(refusal=_failure(error, "nothing was silenced"))
        return await self._record_made(incident, made, asker)

    async def _looked_up(
        self, incident_id: str, asker: Asker, kind: type[Fact]
    ) -> tuple[Incident | None, Answer | None]:
        """The incident, and the answer where that is known before anything is done."""
        digest = await self._parts.reader.asked_with(asker.key) if asker.key is not None else None
        detail = await self._parts.desk.incident(incident_id, alerts=1)
        incident = detail.incident if detail is not None else None
        if digest is not None:
            outcome = Outcome.DONE if digest == asker.digest else Outcome.KEY_REUSED
            return incident, Answer(outcome=outcome, incident=incident)
        if incident is not None and incident.state_name not in TAKEN_IN[kind]:
            return incident, Answer(outcome=Outcome.REFUSED, incident=incident)
        return incident, None

    def _body(
        self, incident: Incident, matchers: tuple[Matcher, ...], span: timedelta, asker: Asker
    ) -> SilenceBody:
        now = self._parts.clock.now()
        return SilenceBody(
            matchers=tuple(body_of(one) for one in matchers),
            starts_at=now,
            ends_at=now + span,
            created_by=asker.by,
            comment=self._comment(incident.id, asker),
        )

    def _comment(self, incident_id: str, asker: Asker) -> str:
        words = one_line(asker.comment, NOTE_LIMIT) or "silenced"
        return comment_with_link(words, self._parts.incident_url(incident_id))

    async def _record_made(self, incident: Incident, made: Made, asker: Asker) -> Silenced:
        """What cannot be recorded is withdrawn again: nobody would know whose it is."""
        fact = SilencedBy(
            at=self._parts.clock.now(), by=asker.by, via=asker.via, note=self._comment(incident.id, asker),
            silence=made.id, until=made.until, fired=incident.totals.fired_ever,
        )  # fmt: skip
        try:
            answer = await self._parts.desk.record(
                incident.id, fact, idempotency_key=asker.key, request_digest=asker.digest
            )
        except StoreError:
            await self._take_back(made.id)
            raise
        if answer.outcome in {Outcome.REFUSED, Outcome.UNKNOWN, Outcome.KEY_REUSED} or not _has(answer, made):
            await self._take_back(made.id)
        return Silenced(answer=answer)

    async def _take_back(self, silence: str) -> None:
        if self._parts.silences is None:
            return
        try:
            await self._parts.silences.withdraw([silence])
        except SilenceError as error:
            log.error("a silence of nobody's stays", silence=silence, error=str(error))  # noqa: TRY400 - says it all

    async def withdraw(self, incident_id: str, asker: Asker) -> Silenced:
        """Withdraw every silence that was made from an incident."""
        silences = self._parts.silences
        if silences is None:
            return _unconfigured()
        incident, known = await self._looked_up(incident_id, asker, UnsilencedBy)
        if incident is None or known is not None:
            return Silenced(answer=known or Answer(outcome=Outcome.UNKNOWN))
        ids = [one.id for one in incident.silences]
        if not ids:
            return Silenced(refusal=(Why.IMPOSSIBLE, _none_of_ours(incident)))
        try:
            await silences.withdraw(ids)
        except SilenceError as error:
            return Silenced(refusal=_failure(error, "the silence stands"))
        now = self._parts.clock.now()
        await self._parts.book.bury(ids, await self._parts.book.now())
        fact = UnsilencedBy(at=now, by=asker.by, via=asker.via, note=asker.comment, silences=tuple(ids))
        answer = await self._parts.desk.record(
            incident_id, fact, idempotency_key=asker.key, request_digest=asker.digest
        )
        return Silenced(answer=answer)


def _has(answer: Answer, made: Made) -> bool:
    """Whether the incident has taken this silence, or may still take it (another request with the key was first)."""
    if answer.outcome is not Outcome.DONE or answer.incident is None:
        return True
    return any(one.id == made.id for one in answer.incident.silences)


def _unconfigured() -> Silenced:
    return Silenced(
        refusal=(Why.UNCONFIGURED, "no alertmanager.urls is configured: there is nothing to silence it")
    )


def _failure(error: SilenceError, so: str) -> tuple[Why, str]:
    if error.refused:
        return Why.REFUSED, f"Alertmanager refuses it: {error}; {so}"
    return Why.AWAY, f"no Alertmanager answers ({error}); {so} and nothing was recorded, try again"


def _none_of_ours(incident: Incident) -> str:
    text = "no silence that was made from this incident is active"
    if not incident.muted:
        return text
    return f"{text}; it is muted by others, which Alertmanager itself can withdraw: {incident.muted[0].text} ({incident.muted[0].by})"
