"""Which silences of Alertmanager's would silence an alert, and whether that could be found out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from responder.incident.hold import Hold
from responder.intake.alertmanager import ListedSilence, latest, rows
from responder.intake.peers import Peer, PeerError
from responder.intake.silences import MatcherBody, matcher_of
from responder.matchers import MatcherError
from responder.store.comparison import Comparison
from responder.store.errors import StoreError

_SHOWN = 5
_INHIBITIONS = "inhibitions: `responder explain --alert FINGERPRINT` tells of an alert that came"


class _WholeSilence(ListedSilence, frozen=True, rename="camel", kw_only=True):
    """With what it matches, and since when."""

    matchers: tuple[MatcherBody, ...]
    starts_at: datetime | None = None

    def holds(self, labels: Mapping[str, str], at: datetime) -> bool:
        """Whether it silences an alert at a time."""
        if self.expired or at >= self.ends_at or (self.starts_at is not None and at < self.starts_at):
            return False
        try:
            return all(matcher_of(one).matches(labels) for one in self.matchers)
        except MatcherError:
            return False


_WHOLE = msgspec.json.Decoder(_WholeSilence)


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """What would hold an alert back, and what could not be found out, each in words."""

    holds: tuple[Hold, ...] = ()
    unknown: tuple[str, ...] = ()


async def silencing(
    peers: Sequence[Peer], book: Comparison, labels: Mapping[str, str], at: datetime
) -> Foreseen:
    """Ask every peer, side by side. What was withdrawn and came back counts for nothing."""
    if not peers:
        return Foreseen(unknown=("silences and inhibitions: no alertmanager.urls is configured",))
    answers = await asyncio.gather(*(_asked(peer) for peer in peers))
    given = [one for one in answers if one is not None]
    if not given:
        return Foreseen(unknown=("silences and inhibitions: no Alertmanager answers",))
    words, unknown = latest(given), [_INHIBITIONS]
    try:
        gone = await book.gone()
    except StoreError:
        gone = {}
        unknown.append("whether a silence was withdrawn before: the store is away")
    found = [one for one in words.values() if one.id not in gone and one.holds(labels, at)]
    found.sort(key=lambda one: (one.ends_at, one.id), reverse=True)
    if len(given) < len(peers):
        unknown.append(f"silences that only {len(peers) - len(given)} other Alertmanager(s) know: no answer")
    return Foreseen(
        holds=tuple(one.hold(one.ends_at.astimezone(UTC)) for one in found[:_SHOWN]), unknown=tuple(unknown)
    )


async def _asked(peer: Peer) -> list[_WholeSilence] | None:
    try:
        found, _ = await rows((await peer.get("/silences")).body, _WHOLE.decode)
    except (PeerError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found
