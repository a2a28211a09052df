"""Performs :class:`RunTriage`: each finding becomes a fact of its incident as soon as it is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from responder.engine.outbox import Done
from responder.incident.effects import RunTriage
from responder.incident.facts import Fact, FindingArrived, TriageEnded
from responder.incident.finding import Finding
from responder.incident.state import Incident
from responder.store.loaded import Attempt
from responder.triage.base import Circumstances
from responder.triage.runner import TriageRunner


class TriagePerformer:
    """Runs the probes of an episode and records what they see."""

    def __init__(
        self, runner: Callable[[], TriageRunner], record: Callable[[str, Fact, bool], Awaitable[None]]
    ) -> None:
        """``record`` makes a fact durable and has its incident looked at; it may not raise."""
        self._runner = runner
        self._record = record

    async def perform(self, attempt: Attempt) -> Done:
        """Run all of them; a crash on the way runs them again, which is harmless: they only look."""
        effect, incident = attempt.expect(RunTriage), attempt.snapshot
        if incident is None or incident.episode.number != effect.episode:
            return Done()
        now = attempt.at

        async def arrived(finding: Finding) -> None:
            fact = FindingArrived(at=now, episode=effect.episode, finding=finding)
            await self._record(effect.incident, fact, effect.urgent)

        await self._runner().run(effect.probes, circumstances_of(incident), arrived)
        return Done(facts=(TriageEnded(at=now, episode=effect.episode),))


def circumstances_of(incident: Incident) -> Circumstances:
    """What a probe is told of an incident."""
    return Circumstances(
        incident=incident.id,
        service=incident.service,
        labels=incident.labels,
        opened_at=incident.opened_at,
        severity=incident.severity,
        drill=incident.drill,
    )
