"""When a replica that cannot see the store acts on an incident: at once where it is its turn, later where it stands in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from responder.engine.blind.item import Item
from responder.incident.asking import told_in
from responder.incident.state import Triggered

#: How long each replica in a key's order leaves to the one before it.
STAND_IN = timedelta(minutes=2)


def due_at(item: Item, begun: datetime) -> datetime | None:
    """When the first replica acts on it, blind since ``begun``; ``None`` where there is nothing to do."""
    if item.quiet:
        return None
    if item.waits:
        return max(item.waits_since or item.since, begun)
    incident = item.incident
    if incident is None or not isinstance(incident.state, Triggered):
        return None
    asked = max(item.asked_at, begun) if item.asked_at is not None else None
    due = [at for at in (begun if item.resend else None, incident.wake_at, asked) if at is not None]
    return min(due, default=None)


def key_of_turn(item: Item, items: Mapping[str, Item]) -> str:
    """What is told together is one replica's: no other knows whether the digest's page has told a person."""
    carriers = told_in(item.incident) if item.incident is not None else ()
    first = next((items[one] for one in carriers if one in items), item)
    return first.key
