"""Questions to Alertmanager's API, version 2: what does any peer list, and what is silenced?

The peers are one truth. What they say is put together as their own gossip would: an alert fires where one of them
lists it, a silence is as the latest word on it says.

Source: Alertmanager's ``api/v2/openapi.yaml``, ``silence/silence.go`` (the merging of silences).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import aiohttp
import msgspec
import structlog

from responder.config import AlertmanagerConfig
from responder.incident.hold import Hold, Silence, silence_hold
from responder.intake.intervals import Intervals
from responder.intake.peers import Peer, PeerError, peers_of

log = structlog.get_logger(__name__)

T = TypeVar("T")
#: Rows that are decoded before others get their turn.
_SLICE = 500

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Receiver(msgspec.Struct, frozen=True):
    name: str


class _State(msgspec.Struct, frozen=True, rename="camel"):
    silenced_by: tuple[str, ...] | None = None
    inhibited_by: tuple[str, ...] | None = None
    muted_by: tuple[str, ...] | None = None  # since 0.28


class _Alert(msgspec.Struct, frozen=True, rename="camel"):
    fingerprint: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    starts_at: _Time
    ends_at: _Time
    status: _State = _State()
    receivers: tuple[_Receiver, ...] = ()


class _SilenceState(msgspec.Struct, frozen=True):
    state: str


class ListedSilence(msgspec.Struct, frozen=True, rename="camel"):
    """A silence as Alertmanager lists it, also some days after its end."""

    id: str
    status: _SilenceState
    updated_at: _Time
    ends_at: _Time
    created_by: str = ""
    comment: str = ""

    @property
    def active(self) -> bool:
        """Whether it silences now."""
        return self.status.state == "active"

    @property
    def expired(self) -> bool:
        """Whether it is over: it was withdrawn, or its time has passed."""
        return self.status.state == "expired"

    def hold(self, until: datetime) -> Hold:
        """Why what it silences is not paged."""
        return silence_hold(Silence(id=self.id, by=self.created_by, until=until, comment=self.comment))


S = TypeVar("S", bound=ListedSilence)


class _Uptime(msgspec.Struct, frozen=True):
    uptime: _Time


_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_ALERT = msgspec.json.Decoder(_Alert)
_SILENCE = msgspec.json.Decoder(ListedSilence)
_UPTIME = msgspec.json.Decoder(_Uptime)


class ListedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that fires somewhere. ``expires_at`` is when Alertmanager gives it up unless it is sent again.

    ``silenced_by`` are ids of silences, ``inhibited_by`` fingerprints, ``muted_by`` names of time intervals: ``None`` where
    Alertmanager does not say, and one may mute it on its way to the ``timed`` ones of its receivers. ``raw`` is all of it
    as JSON.
    """

    fingerprint: str
    starts_at: datetime
    expires_at: datetime
    receivers: frozenset[str]
    silenced_by: tuple[str, ...]
    inhibited_by: tuple[str, ...]
    muted_by: tuple[str, ...] | None
    timed: frozenset[str] = frozenset()
    raw: msgspec.Raw

    def perhaps_muted(self, ours: frozenset[str]) -> bool:
        """Whether it is not known if a time interval keeps it from our receivers; without any, all of them are ours."""
        return self.muted_by is None and (self.receivers & ours if ours else self.receivers) <= self.timed


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What the peers say.

    ``firing``: fingerprints that at least one of them lists. ``certain``: every peer answered and has been up longer
    than the grace time, so what is not listed does not fire.
    """

    firing: frozenset[str]
    certain: bool


class View(msgspec.Struct, frozen=True, kw_only=True):
    """All that the peers list. ``answered`` counts those that did; ``complete``: each of them; ``certain`` as above."""

    alerts: dict[str, ListedAlert]
    silences: dict[str, ListedSilence]
    answered: int
    complete: bool
    certain: bool


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one peer says; ``None`` for one that cannot be asked."""

    settled: bool
    alerts: Sequence[ListedAlert]
    silences: Sequence[ListedSilence]


class Alertmanagers:
    """The peers of one cluster: one truth, and one that is away means "unknown", not "nothing fires"."""

    def __init__(self, config: AlertmanagerConfig, session: aiohttp.ClientSession) -> None:
        self.peers = peers_of(config, session)
        self._grace = config.grace
        self._away: set[str] = set()
        self._intervals = Intervals()

    async def listing(self, now: datetime) -> Listing:
        """Ask every peer, side by side, which alerts fire."""
        view = await self._ask(now, silences=False)
        return Listing(firing=frozenset(view.alerts), certain=view.certain)

    async def view(self, now: datetime) -> View:
        """Ask every peer, side by side, for all alerts that fire and for the silences."""
        return await self._ask(now, silences=True)

    async def _ask(self, now: datetime, *, silences: bool) -> View:
        answers = await asyncio.gather(*(self._peer(peer, now, silences=silences) for peer in self.peers))
        given = [answer for answer in answers if answer is not None]
        complete = len(given) == len(self.peers)
        return View(
            alerts=await _merged([answer.alerts for answer in given]),
            silences=latest([answer.silences for answer in given]),
            answered=len(given),
            complete=complete,
            certain=complete and all(answer.settled for answer in given),
        )

    async def _peer(self, peer: Peer, now: datetime, *, silences: bool) -> _Answer | None:
        try:
            answer = await self._questions(peer, now, silences=silences)
        except (PeerError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if peer.name not in self._away:
                reason = str(error) if isinstance(error, PeerError) else "its answer is not readable"
                log.warning("an Alertmanager cannot be asked", peer=peer.name, reason=reason)
                self._away.add(peer.name)
            return None
        if peer.name in self._away:
            log.info("an Alertmanager answers again", peer=peer.name)
            self._away.discard(peer.name)
        return answer

    async def _questions(self, peer: Peer, now: datetime, *, silences: bool) -> _Answer:
        status = await peer.get("/status")
        up_since = _UPTIME.decode(status.body).uptime
        timed = await self._intervals.timed(peer.name, status.body)
        alerts, unread = await rows((await peer.get("/alerts")).body, lambda row: _listed(row, timed))
        known: list[ListedSilence] = []
        if silences:
            known, _ = await rows((await peer.get("/silences")).body, _SILENCE.decode)
        if unread:
            log.warning("alerts of Alertmanager's list are not readable", peer=peer.name, count=unread)
        # By the peer's own clock: ours may be another.
        settled = (status.at or now) - up_since > self._grace
        return _Answer(settled=settled and not unread, alerts=alerts, silences=known)


async def rows(raw: bytes, decode: Callable[[msgspec.Raw], T]) -> tuple[list[T], int]:
    """The rows of a list, each decoded on its own, a slice at a time; and how many could not be."""
    listed, found, unread = _ROWS.decode(raw), [], 0
    for start in range(0, len(listed), _SLICE):
        for row in listed[start : start + _SLICE]:
            try:
                found.append(decode(row))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                unread += 1
        await asyncio.sleep(0)
    return found, unread


def _listed(row: msgspec.Raw, timed: frozenset[str] | None) -> ListedAlert:
    """``timed`` are the receivers that a time interval may mute, ``None`` where it may be any."""
    one = _ALERT.decode(row)
    receivers = frozenset(receiver.name for receiver in one.receivers)
    unsaid = receivers if timed is None else receivers & timed
    muted_by = one.status.muted_by if one.status.muted_by is not None or unsaid else ()
    return ListedAlert(
        fingerprint=one.fingerprint,
        starts_at=one.starts_at,
        expires_at=one.ends_at,
        receivers=receivers,
        silenced_by=one.status.silenced_by or (),
        inhibited_by=one.status.inhibited_by or (),
        muted_by=muted_by,
        timed=unsaid if muted_by is None else frozenset(),
        raw=row,
    )


async def _merged(lists: Sequence[Sequence[ListedAlert]]) -> dict[str, ListedAlert]:
    if not lists:
        return {}
    found = {one.fingerprint: one for one in lists[0]}
    for alerts in lists[1:]:
        for start in range(0, len(alerts), _SLICE):
            for one in alerts[start : start + _SLICE]:
                known = found.get(one.fingerprint)
                found[one.fingerprint] = one if known is None else _both(known, one)
            await asyncio.sleep(0)
    return found


def _both(one: ListedAlert, other: ListedAlert) -> ListedAlert:
    """As one Alertmanager that knew all of it would have it. A time interval mutes only where both say so."""
    muted_by, timed = _muted_by_both(one, other)
    return ListedAlert(
        fingerprint=one.fingerprint,
        starts_at=min(one.starts_at, other.starts_at),
        expires_at=max(one.expires_at, other.expires_at),
        receivers=one.receivers | other.receivers,
        silenced_by=tuple(dict.fromkeys((*one.silenced_by, *other.silenced_by))),
        inhibited_by=tuple(dict.fromkeys((*one.inhibited_by, *other.inhibited_by))),
        muted_by=muted_by,
        timed=timed,
        raw=one.raw,
    )


def _muted_by_both(one: ListedAlert, other: ListedAlert) -> tuple[tuple[str, ...] | None, frozenset[str]]:
    """Of what a peer does not say: it is sent to a receiver all the same where another peer is certain to send it."""
    if one.muted_by is not None and other.muted_by is not None:
        return tuple(name for name in one.muted_by if name in other.muted_by), frozenset()
    if () in (one.muted_by, other.muted_by):
        return (), frozenset()
    if one.muted_by is None and other.muted_by is None:
        timed = one.timed & other.timed
        return (None, timed) if timed else ((), timed)
    return None, one.timed | other.timed


def latest(lists: Sequence[Sequence[S]]) -> dict[str, S]:
    """The latest word on each silence."""
    found: dict[str, S] = {}
    for silences in lists:
        for one in silences:
            known = found.get(one.id)
            if known is None or one.updated_at > known.updated_at:
                found[one.id] = one
    return found
