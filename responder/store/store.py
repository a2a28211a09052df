"""The live state: a few scripts on one hash slot, and their types.

Keys, all under ``{responder:NAME}``:

====================  =======  ==============================================================  ==================
``:a:FINGERPRINT``    string   last state of an alert, its latest outcomes and its body        expires
``:i:ID``             hash     an incident: snapshot, revision, lease, counts of its alerts    expires once closed
``:i:ID:in|t|m|d``    list/set its inbox, time line, member alerts, doubtful alerts            expires once closed
``:k:KEY``            string   the open incident of a key                                      gone once closed
``:w:u``, ``:w:n``    zset     incidents by their next wake time (urgent, others)              holds open ones
``:q:QUEUE:u|n``      zset     lanes by their next attempt, a queue for each channel           holds pending ones
``:queues``           set      the names of the queues                                         a short list
``:l:LANE``, ``…:s``  list     effects of a lane, and the state of its head                    gone once performed
``:x:all|open|closed`` zset    incidents by opening (closing) time                             pruned
``:gauge``            hash     open incidents by service, severity and state                   counts
``:quarantine…``      zset     bodies that could not be read                                   bounded, expire
``:idem:KEY``         string   an idempotency key's request                                    expires
``:act:o:…``, ``:r:`` various  places, limits and outcomes of actions (``ledger.py``)          expire
``:act:kill``         string   the kill switch of actions                                      gone once released
``:audit``            list     what was done to targets, and the newest hash (``…:head``)      bounded
``:overrides``        hash     overrides and swaps of schedules (``overrides.py``)             bounded, expires
``:maintenance``      hash     maintenance windows (``windows.py``)                            bounded, expires
``:told``             hash     what people were told of windows (``surroundings.py``)          expires
``:outlines``         hash     what incidents know of each other (``surroundings.py``)         holds open ones
``:storm:PERSON…``    various  what a person was paged for lately, and their digest (``digests.py``)   expires
``:folded:ID…``       various  what is told in the digest of an incident                       expires
``:told_in:ID``       hash     the incident whose digest tells of this one, by person          expires
``:reminds:…``        string   the incident whose reminder stands for all of a digest          expires
``:chart:DIGEST``     string   a picture of a finding                                          expires
``:am:…``             various  what is known of Alertmanager (``comparison.py``)               bounded, or expires
``:code:…``           string   a short code of a text message, and the page it stands for      expires
``:once:…``           string   what is done once for all replicas                              expires
``:talk:…``           hash     an incident's message in a conversation, and its lock           expires
``:verified:…``       string   when an address was last confirmed by its owner                 expires
``:replicas``         hash     who works on this store, and since when it was not seen           expires
``:look``, ``…:d``    string   what a look has written, of no meaning (``roll.py``)            expires
``:also:ID``          string   the incident of an id that was made up in memory (``roll.py``)    expires
``:beats…``, ``:turns`` zset   signs of life that are waited for, turns (``signs.py``)         a short list
``:canary``           string   when the canary last came through                               one
``:drill:NAME``       string   the last run of a drill (``signs.py``)                          expires
``:watchdog``         hash     how far the watchdog has come (``mending.py``)                  one
====================  =======  ==============================================================  ==================
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from responder.alerts import NO_BEGINNING
from responder.incident.decision import Decision
from responder.incident.effects import Effect, SendMessage
from responder.incident.facts import AcknowledgedBy, Fact, PagedBlind, ReopenedBy, SilencedBy, SnoozedBy
from responder.incident.message import Wanted
from responder.incident.moves import TAKEN_IN
from responder.incident.outline import outline_of
from responder.incident.state import Incident
from responder.store.connection import Client, Script, ask
from responder.store.loaded import Attempt, Loaded, Unreadable, attempt_of, loaded_of

INCIDENT_LEASE = timedelta(seconds=5)
INBOX_LIMIT = 10_000
INBOX_BATCH = 500
TIMELINE_LIMIT = 1_000
IDEMPOTENCY_TTL = timedelta(hours=24)

#: How many urgent ones, and how many others.
Room = tuple[int, int]
#: (fingerprint, code, starts ms, ends ms, severity rank, incident key, opening as JSON, alert as JSON)
AlertWrite = tuple[str, str, int, int, int, str, str, str]

_EFFECT = msgspec.json.Encoder()
_PACK = msgspec.msgpack.Encoder()
#: What holds pages back from the moment when it is on disk.
_TAKES_IT = (AcknowledgedBy, PagedBlind, SilencedBy, SnoozedBy)
#: The letters by which ``start.lua`` knows until when an effect is wanted.
_WANTED = {Wanted.UNACKNOWLEDGED: "P", Wanted.ACKNOWLEDGED: "A", Wanted.ALWAYS: "X"}


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are kept, and whether doubtful firings can be asked about."""

    doubts: bool = False
    doubt_window: timedelta = timedelta(minutes=5)
    heard_every: timedelta = timedelta(minutes=1)
    firing_ttl: timedelta = timedelta(days=30)
    retention: timedelta = timedelta(days=30)


class Taken(msgspec.Struct, frozen=True):
    """What became of a batch of alerts.

    A letter each (see ``ingest.lua``), the incidents that changed (and whether
    that is urgent), and those that opened.
    """

    outcomes: str
    changed: tuple[tuple[str, bool], ...]
    opened: tuple[str, ...]


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What is due: incidents, and lanes by queue; ``lag`` is how long the oldest incident is overdue, in seconds."""

    now: datetime
    urgent: tuple[str, ...]
    others: tuple[str, ...]
    next_at: datetime | None
    lanes: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    lag: float


CommitOutcome = Literal["ok", "again", "lost"]
RecordOutcome = Literal["ok", "repeat", "reused", "unknown", "refused", "full"]


class Recorded(msgspec.Struct, frozen=True):
    """What became of a fact, and its number in the incident's inbox."""

    outcome: RecordOutcome
    number: int = 0


def ms(duration: timedelta) -> int:
    """Milliseconds."""
    return round(duration / timedelta(milliseconds=1))


def to_ms(at: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(at.timestamp() * 1000)


def from_ms(value: bytes | str | float) -> datetime:
    """An aware time in UTC."""
    return datetime.fromtimestamp(float(value) / 1000, tz=UTC)


class Store:
    """The scripts, typed. Every call raises ``StoreError`` where the store is away.

    ``shift`` moves the store's clock, in milliseconds; tests turn it to let hours pass.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        options: StoreOptions | None = None,
        *,
        worker: str = "main",
        shift: Callable[[], int] = lambda: 0,
    ) -> None:
        self.client = client
        self.base = f"{{responder:{name}}}"
        self.options = options or StoreOptions()
        self.shift = shift
        self.worker = worker
        self._numbers = itertools.count()
        names = (
            "ingest", "claim", "commit", "start", "finish", "record", "due", "quarantine", "admit", "begin", "release", "audit", "audited",
            "shelve", "surroundings", "announce",
            "talk", "records", "opens", "roll", "look", "bundle", "spread", "told", "leave",
            "attend", "turn", "forget", "vitals", "watch", "mend", "recount",
        )  # fmt: skip
        self._scripts = {script: Script(script) for script in names}

    def token(self) -> str:
        """A lease's token: unique to this process and claim."""
        return f"{self.worker}-{next(self._numbers)}"

    async def run(self, script: str, *args: Any) -> Any:
        """Run one of the scripts."""
        return await self._scripts[script].run(self.client, self.base, *args)

    async def now(self) -> datetime:
        """The store's time."""
        seconds, micros = await ask(self.client, "TIME")
        return from_ms(int(seconds) * 1000 + int(micros) // 1000 + self.shift())

    async def ingest(
        self, alerts: Sequence[AlertWrite], why: Fact | None = None, named: Mapping[str, str] | None = None
    ) -> Taken:
        """Take alerts; durable when it returns. ``why`` is recorded in each incident that changes, in the same step.

        ``named`` is the id by key of an incident that opened elsewhere: where it begins now, that is its id here too.
        """
        o = self.options
        head = (
            self.shift(), o.doubts, ms(o.doubt_window), ms(o.heard_every), ms(o.firing_ttl), ms(o.retention),
            INBOX_LIMIT, named or {}, to_ms(NO_BEGINNING),
        )  # fmt: skip
        reason = msgspec.json.encode(why) if why is not None else b""
        answer = await self.run("ingest", _PACK.encode(head), _PACK.encode(alerts), reason)
        return Taken(
            answer[1].decode(),
            tuple((i[1:].decode(), i[:1] == b"u") for i in answer[2]),
            tuple(i.decode() for i in answer[3]),
        )

    async def claim(self, incident_id: str, token: str) -> Loaded | None:
        """Lease an incident and load it; ``None`` where it is gone or somebody else has it."""
        answer = await self.run("claim", self.shift(), incident_id, token, ms(INCIDENT_LEASE), INBOX_BATCH)
        return loaded_of(incident_id, token, answer) if answer[0] == b"ok" else None

    async def commit(self, loaded: Loaded, decision: Decision, *, hold: bool = False) -> CommitOutcome:
        """Write a decision. ``again``: written, and facts wait; ``lost``: nothing was written.

        ``hold``: facts that stay in the inbox do not wake the incident before its own time.
        """
        incident = decision.incident
        counted = incident.open and not incident.canary
        gauge = f"{incident.service_label}|{incident.severity}|{incident.state_name}" if counted else ""
        head = (
            self.shift(), incident.id, loaded.token, loaded.revision, loaded.sequence, len(loaded.facts) + loaded.unread,
            msgspec.json.encode(incident).decode(), str(incident.state_name), gauge, incident.episode.number,
            incident.severity.urgent, to_ms(incident.wake_at) if incident.wake_at else 0,
            ms(self.options.retention), TIMELINE_LIMIT, incident.severity.rank, hold, _outline(incident),
        )  # fmt: skip
        answer = await self.run(
            "commit",
            _PACK.encode(head),
            _PACK.encode([msgspec.json.encode(entry).decode() for entry in decision.entries]),
            _PACK.encode(
                [
                    (effect.queue, effect.lane, effect.urgent, stored_effect(effect))
                    for effect in decision.effects
                ]
            ),
        )
        outcome: CommitOutcome = answer[0].decode()
        return outcome

    async def start(self, queue: str, lane: str, token: str, lease: timedelta) -> Attempt | Unreadable | None:
        """Lease a lane and look once more at its head; ``None`` where there is nothing to do now."""
        answer = await self.run("start", self.shift(), queue, lane, token, ms(lease))
        return attempt_of(lane, token, answer) if answer[0] in (b"go", b"lost") else None

    async def finish(
        self,
        attempt: Attempt,
        facts: Sequence[Fact] = (),
        *,
        retry_in: timedelta | None = None,
        begun: bool = True,
    ) -> bool:
        """Cross the effect off (or put it back) and record what came of it; whether the lane has more to do.

        An attempt that was not ``begun`` does not count.
        """
        effect = attempt.effect
        return await self._finish(
            (effect.queue, attempt.lane, attempt.token, effect.id),
            "done" if retry_in is None else f"{'' if begun else '='}{ms(retry_in)}",
            (effect.incident, int(effect.urgent)),
            facts,
        )

    async def set_aside(self, queue: str, one: Unreadable, *, retry_in: timedelta | None) -> bool:
        """Put back what cannot be read, or (``None``) drop it; whether the lane has more to do."""
        end = "done" if retry_in is None else str(ms(retry_in))
        return await self._finish((queue, one.lane, one.token, one.id), end, (one.incident, 0))

    async def _finish(
        self, leased: tuple[str, str, str, str], end: str, wakes: tuple[str, int], facts: Sequence[Fact] = ()
    ) -> bool:
        """``leased``: queue, lane, token, effect; ``wakes``: the incident, and whether that is urgent."""
        encoded = [msgspec.json.encode(fact) for fact in facts]
        answer = await self.run("finish", self.shift(), *leased, end, *wakes, INBOX_LIMIT, *encoded)
        return bool(answer[0] == b"ok" and answer[2] == 1)

    async def record(
        self, incident_id: str, fact: Fact, *, idempotency_key: str | None = None, digest: str = ""
    ) -> Recorded:
        """Record a fact and wake the incident; a person's only in the states that take it."""
        states = TAKEN_IN.get(type(fact))
        answer = await self.run(
            "record",
            self.shift(), incident_id, msgspec.json.encode(fact),
            ",".join(sorted(states)) if states is not None else "",
            int(isinstance(fact, _TAKES_IT)), int(isinstance(fact, ReopenedBy)), INBOX_LIMIT,
            idempotency_key or "", digest, ms(IDEMPOTENCY_TTL),
        )  # fmt: skip
        return Recorded(answer[0].decode(), int(answer[1]) if answer[0] == b"ok" else 0)

    async def due(self, incidents: Room, queues: Mapping[str, Room], *, unknown_queues: int = 10) -> Due:
        """What is due now, up to these numbers of urgent ones and of others, the longest overdue first."""
        answer = await self.run(
            "due", self.shift(), _PACK.encode(incidents), _PACK.encode(dict(queues)), unknown_queues
        )
        now = from_ms(answer[0])
        return Due(
            now=now,
            urgent=tuple(i.decode() for i in answer[1]),
            others=tuple(i.decode() for i in answer[2]),
            next_at=from_ms(answer[3]) if answer[3] else None,
            lanes=tuple(
                (queue.decode(), tuple(i.decode() for i in urgent), tuple(i.decode() for i in others))
                for queue, urgent, others in answer[4]
            ),
            lag=max((now - from_ms(answer[5])).total_seconds(), 0.0) if answer[5] else 0.0,
        )


def _outline(incident: Incident) -> str:
    """What other incidents need to know of it; empty where that is nothing."""
    outline = outline_of(incident)
    return msgspec.json.encode(outline).decode() if outline is not None else ""


def stored_effect(effect: Effect) -> str:
    """An effect as ``start.lua`` reads it: what the last look needs, then the effect itself."""
    wanted = effect.wanted if isinstance(effect, SendMessage) else Wanted.ALWAYS
    expires = to_ms(effect.expires_at) if effect.expires_at else 0
    head = f"{_WANTED[wanted]}|{effect.incident}|{effect.episode}|{expires}|{effect.id}|"
    return head + _EFFECT.encode(effect).decode()
