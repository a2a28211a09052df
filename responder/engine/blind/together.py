"""What is told together stays together in memory: what a digest has told of hears what became of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from responder.engine.blind.item import Item
from responder.engine.spreading import acknowledged_with
from responder.incident.digest_facts import CarrierGone
from responder.incident.effects import Spread
from responder.incident.stages.digest import told_in
from responder.incident.state import Triggered


def told_with(items: Iterable[Item], carrier: str) -> list[Item]:
    """What nobody has taken and the digest of an incident has told of."""
    return [
        item
        for item in items
        if item.incident is not None
        and isinstance(item.incident.state, Triggered)
        and carrier in told_in(item.incident)
    ]


def hear_of(effect: Spread, item: Item) -> None:
    """It was taken with the digest, or is paged by itself again. What a person said is told to the store as well."""
    if not effect.by or item.incident is None:
        item.news.append(CarrierGone(at=effect.requested_at, carrier=effect.incident))
        return
    taken = acknowledged_with(effect, item.incident.episode.number)
    item.news.append(taken)
    item.answers.append(taken)
