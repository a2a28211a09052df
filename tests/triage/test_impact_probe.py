"""Type ``impact``, as the daemon runs it: what an incident is told of the others."""

from __future__ import annotations

import aiohttp
import msgspec
from probe_bench import AROUND, Alone, Bench
from stage import MINUTE, Play

from responder.config import Targets
from responder.incident.finding import Finding
from responder.incident.state import Incident
from responder.triage.impact import ImpactSettings
from responder.triage.performer import circumstances_of


class Others(Alone):
    """One other incident, of what ours stands on."""

    def __init__(self, other: Incident) -> None:
        self._other = other

    async def open_incidents(self, limit: int) -> list[Incident]:
        return [self._other]

    def dependencies(self) -> dict[str, tuple[str, ...]]:
        return {"database": ("storage",)}


async def seen(*, ours: bool = False, theirs: bool = False) -> Finding:
    """With which of the two being a drill."""
    incident = Play().incident
    other = msgspec.structs.replace(incident, id="2" * 16, service="storage", drill=theirs)
    around = circumstances_of(msgspec.structs.replace(incident, drill=ours))
    around = msgspec.structs.replace(around, opened_at=AROUND.opened_at + 5 * MINUTE)
    async with aiohttp.ClientSession() as session:
        bench = Bench(session, Targets(), neighbours=Others(other))
        return await bench.see("impact", ImpactSettings(), around)


async def test_a_drill_and_what_is_in_earnest_do_not_see_each_other() -> None:
    assert "storage is firing too" in (await seen()).headline
    for found in (await seen(theirs=True), await seen(ours=True)):
        assert found.headline == "database: 0 alerts"
        assert "storage (firing)" not in found.detail
