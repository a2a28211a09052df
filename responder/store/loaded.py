"""What the store hands out: a leased incident, a leased effect; decoded once, here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from responder.incident.effects import Effect
from responder.incident.facts import Fact
from responder.incident.opening import Opening
from responder.incident.severity import Severity
from responder.incident.state import SCHEMA_VERSION, Incident, Totals
from responder.store.connection import pairs
from responder.store.upgrade import schema_of, upgraded

E = TypeVar("E")
_INCIDENT = msgspec.json.Decoder(Incident)
_FACT: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)
_EFFECT: msgspec.json.Decoder[Effect] = msgspec.json.Decoder(Effect)
_OPENING = msgspec.json.Decoder(Opening)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A leased incident with all that a decision needs.

    ``snapshot`` is ``None`` before the first decision; then ``opening`` and ``first_alert`` say how it began.
    ``damage`` says why a snapshot that is there could not be read.
    ``unread`` counts facts that could not be decoded (written by a newer version): they are skipped, and said so.
    """

    id: str
    token: str
    revision: int
    sequence: int
    now: datetime
    due: datetime | None
    key: str
    opened_at: datetime
    snapshot: Incident | None
    damage: str = ""
    opening: Opening
    first_alert: bytes
    totals: Totals
    facts: tuple[Fact, ...]
    unread: int


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A leased effect. ``why_lost`` is set where it was overtaken; then it is only to be finished."""

    lane: str
    token: str
    effect: Effect
    number: int = 0
    first_at: datetime | None = None
    now: datetime | None = None
    snapshot: Incident | None = None
    why_lost: str = ""

    @property
    def at(self) -> datetime:
        """When it is made, by the store's clock where that is known."""
        return self.now or self.effect.requested_at

    @property
    def waited(self) -> timedelta:
        """How long ago the first attempt at the same effect was."""
        return self.at - (self.first_at or self.at)

    def expect(self, kind: type[E]) -> E:
        """The effect. Raises ``TypeError`` where it is of another kind: it was handed to the wrong performer."""
        if not isinstance(self.effect, kind):
            raise TypeError(f"expected {kind.__name__}, got {type(self.effect).__name__}")
        return self.effect


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A leased effect that this version does not know, or that is damaged; ``first_at`` is when it was first tried."""

    lane: str
    token: str
    id: str
    incident: str
    now: datetime
    first_at: datetime
    why: str


class NewerSchemaError(Exception):
    """The snapshot was written by a newer version of the daemon."""


def _time(value: bytes) -> datetime:
    return datetime.fromtimestamp(float(value) / 1000, tz=UTC)


def decode_incident(raw: bytes) -> Incident:
    """A snapshot; older schemas are read, newer ones refused by name.

    Raises:
        NewerSchemaError: for a snapshot of a newer version.
        msgspec.DecodeError: where it is damaged.
    """
    schema = schema_of(raw)
    if schema > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"snapshot has schema {schema}, this version reads up to {SCHEMA_VERSION}: upgrade this replica"
        )
    return _INCIDENT.decode(raw if schema == SCHEMA_VERSION else upgraded(raw, schema))


def loaded_of(incident_id: str, token: str, answer: list[Any]) -> Loaded:
    """Read the answer of ``claim.lua``."""
    fields = dict(pairs(answer[2]))
    facts, unread = _facts(answer[3])
    snapshot, damage = _snapshot(fields.get(b"snap"))
    return Loaded(
        id=incident_id,
        token=token,
        revision=int(fields[b"rev"]),
        sequence=int(fields.get(b"seq", 0)),
        now=_time(answer[1]),
        due=_time(answer[5]) if answer[5] else None,
        key=fields[b"key"].decode(),
        opened_at=_time(fields[b"at"]),
        snapshot=snapshot,
        damage=damage,
        opening=_OPENING.decode(fields[b"open"]),
        first_alert=record_body(answer[4]) if answer[4] else b"",
        totals=totals_of(fields),
        facts=tuple(facts),
        unread=unread,
    )


def _snapshot(raw: bytes | None) -> tuple[Incident | None, str]:
    if not raw:
        return None, ""
    try:
        return decode_incident(raw), ""
    except msgspec.DecodeError as error:
        return None, f"damaged snapshot: {error}"


def totals_of(fields: dict[bytes, bytes]) -> Totals:
    """The counts of an incident's alerts, from its hash."""
    by_rank = {severity: b"%d" % severity.rank for severity in Severity}
    return Totals(
        firing={s: max(int(fields.get(b"n" + rank, 0)), 0) for s, rank in by_rank.items()},
        fired={s: int(fields.get(b"t" + rank, 0)) for s, rank in by_rank.items()},
        resolved=int(fields.get(b"rs", 0)),
        doubts=int(fields.get(b"dt", 0)),
        heard_at=_time(fields[b"h"]) if b"h" in fields else None,
        since=_time(fields[b"since"]) if b"since" in fields else None,
    )


def _facts(raw: list[bytes]) -> tuple[list[Fact], int]:
    facts: list[Fact] = []
    unread = 0
    for one in raw:
        try:
            facts.append(_FACT.decode(one))
        except msgspec.DecodeError:
            unread += 1
    return facts, unread


def record_body(record: bytes) -> bytes:
    """The alert itself, from its record (``status|starts|ends|recorded|severity|incident|history|body``).

    Records of an earlier version have no history.
    """
    rest = record.split(b"|", 6)[6]
    return rest if rest[:1] in (b"{", b"") else rest.partition(b"|")[2]


def record_incident(record: bytes) -> str:
    """The incident that an alert belongs to, from its record; empty where it belongs to none."""
    return record.split(b"|", 6)[5].decode()


def stored_effect_of(stored: bytes) -> Effect:
    """An effect as it lies in its lane: behind what the last look needs. Raises ``msgspec.DecodeError``."""
    return _EFFECT.decode(stored.split(b"|", 5)[5])


def attempt_of(lane: str, token: str, answer: list[Any]) -> Attempt | Unreadable:
    """Read the answer of ``start.lua``."""
    lost, now = answer[0] == b"lost", _time(answer[4])
    try:
        effect = _EFFECT.decode(answer[1])
    except msgspec.DecodeError as error:
        return Unreadable(
            lane=lane, token=token, id=answer[2].decode(), incident=answer[3].decode(), now=now,
            first_at=datetime.min.replace(tzinfo=UTC) if lost else _time(answer[6]), why=str(error),
        )  # fmt: skip
    if lost:
        return Attempt(lane=lane, token=token, effect=effect, why_lost=answer[5].decode())
    return Attempt(
        lane=lane,
        token=token,
        effect=effect,
        number=int(answer[5]),
        first_at=_time(answer[6]),
        now=now,
        snapshot=decode_incident(answer[7]) if answer[7] else None,
    )
