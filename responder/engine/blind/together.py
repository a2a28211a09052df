"""What is told together stays together in memory: what a digest has told of hears what became of that. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from responder.engine.blind.item import Item
from responder.engine.blind.report import told_here
from responder.engine.spreading import acknowledged_with
from responder.incident.asking import told_in
from responder.incident.digest_facts import CarrierGone
from responder.incident.effects import Spread
from responder.incident.likeness import own_line
from responder.incident.state import Incident, Triggered
from responder.store.digests import FoldedIncident


def told_with(items: Iterable[Item], carrier: str) -> list[Item]:
    """What nobody has taken and the digest of an incident has told of."""
    return [
        item
        for item in items
        if _is_told(item, carrier)
        and item.incident is not None
        and isinstance(item.incident.state, Triggered)
    ]


def _is_told(item: Item, carrier: str) -> bool:
    return item.incident is not None and carrier in told_in(item.incident)


def remembered(items: Mapping[str, Item], carrier: str) -> list[FoldedIncident]:
    """What is known to be told with an incident, by id: the newest, and what is remembered itself, with its state."""
    lines, by_now = dict[str, str](), dict[str, Incident]()
    own = items.get(carrier)
    if own is not None and own.incident is not None and own.incident.digest is not None:
        lines = {one.incident: one.line for one in own.incident.digest.newest}
    for item in items.values():
        seen = item.as_seen
        if seen is not None and (item.id in lines or _is_told(item, carrier)):
            lines[item.id] = own_line(seen)
            by_now[item.id] = seen
    return [_folded(name, lines[name], by_now.get(name)) for name in sorted(lines)]


def _folded(name: str, line: str, seen: Incident | None) -> FoldedIncident:
    if seen is None:
        return FoldedIncident(id=name, line=line, state="")
    waits = isinstance(seen.state, Triggered)
    return FoldedIncident(id=name, line=line, state=seen.state_name, severity=seen.severity, left=not waits)


def hear_of(effect: Spread, item: Item) -> None:
    """It was taken with the digest, or is paged by itself again. What a person said is told to the store as well."""
    if not effect.by or item.incident is None:
        item.news.append(CarrierGone(at=effect.requested_at, carrier=effect.incident))
        return
    taken = acknowledged_with(effect, item.incident.episode.number)
    item.news.append(taken)
    # The store knows nothing of a digest from memory: there it counts as taken by itself.
    here = effect.incident in told_here(item)
    item.answers.append(msgspec.structs.replace(taken, digest="") if here else taken)
