"""What was done from memory is written down: in one step for each incident, and a second time without harm."""

from __future__ import annotations

from datetime import datetime

import structlog

from responder.engine.blind.item import Item
from responder.engine.blind.memory import Memory
from responder.engine.blind.report import report_of, writes_of
from responder.store.errors import StoreError
from responder.store.roll import Roll

log = structlog.get_logger(__name__)


async def tell(roll: Roll, memory: Memory, item: Item, now: datetime, *, alerts: bool) -> None:
    """Write down what was done about one incident, and its ``alerts`` where the store takes any.

    Raises ``StoreError`` where that failed; it is tried again then.
    """
    try:
        await _write(roll, memory, item, now, alerts=alerts)
    except StoreError:
        raise
    except Exception:  # a mistake of ours about one incident: it is kept, and the others are written down
        log.exception("what was done from memory cannot be written down", incident=item.id)


async def _write(roll: Roll, memory: Memory, item: Item, now: datetime, *, alerts: bool) -> None:
    report, actual = report_of(item, memory.me, now), ""
    if report is not None and item.members and alerts:
        actual = await roll.bring(item.id, item.key, writes_of(item.members.values()), report)
    elif report is not None and await roll.tell(item.id, report):
        actual = item.id
    if report is not None:
        log.info("written down what was done from memory", incident=item.id, known_as=actual or "nothing")
    memory.settled(item, actual)


async def tell_strays(roll: Roll, memory: Memory) -> None:
    """Write down what people said about incidents that other replicas had paged. Raises ``StoreError``."""
    while memory.strays:
        stray = memory.strays[0]
        if not await roll.say(await roll.actual(stray.incident) or stray.incident, stray.fact):
            log.warning("an answer to an incident that is not there", incident=stray.incident)
        memory.strays.pop(0)
