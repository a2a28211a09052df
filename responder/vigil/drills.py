"""Scheduled exercises: each occurrence once, whatever the number of replicas and restarts, and what came of it.

A drill is an alert of our own with ``drill="true"``; from there on everything is as in earnest. It is judged by whether
a person acknowledged in time, and ended by us: after the acknowledgement, or once the last level has had its time too.
One whose pages were held back until then, a maintenance window does that, says nothing of anybody: it was not run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from responder.alerts import fingerprint
from responder.incident.facts import ResolvedBy
from responder.incident.own import DRILL
from responder.incident.state import Incident
from responder.intake.notices import Own, firing, labels_of
from responder.rules.compile import DRILL_LABEL
from responder.rules.drills import Drill
from responder.store.signs import DrillRun
from responder.store.store import to_ms
from responder.vigil.road import Road

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=5)
#: An occurrence that was missed for longer is not made up: the time was chosen so that people expect it.
MADE_UP_WITHIN = timedelta(hours=1)
BY = "drill"


class Drills:
    """The drills of the rules in force."""

    def __init__(self, road: Road) -> None:
        self._road = road

    async def once(self) -> None:
        """Begin what is due, judge and end what is under way; one replica at a time.

        Raises:
            StoreError: where the store is away; what is due stays due.
        """
        rules = self._road.rules()
        if not rules.drills or not await self._road.signs.turn("drills", EVERY * 0.9):
            return
        now = await self._road.signs.now()
        for drill in rules.drills:
            await self._one(drill, now)

    async def _one(self, drill: Drill, now: datetime) -> None:
        run = await self._road.signs.drill(drill.name)
        if run is not None and run.incident:
            run = await self._followed(drill, run, now)
        due = drill.latest(now)
        if run is None or run.schedule != drill.schedule:
            # New, or at another time: its first occurrence is the next one.
            kept = run or DrillRun(schedule=drill.schedule, occurrence=due)
            await self._keep(drill, msgspec.structs.replace(kept, schedule=drill.schedule, occurrence=due))
        elif due > run.occurrence and not run.incident:
            await self._begin(drill, run, due, now)

    async def _begin(self, drill: Drill, run: DrillRun, due: datetime, now: datetime) -> None:
        """Have its alert fire; written down after that, so that a crash in between repeats what is a duplicate."""
        if now - due > MADE_UP_WITHIN:
            log.warning("drill missed; it is not made up", drill=drill.name, due_at=due.isoformat())
            await self._keep(drill, msgspec.structs.replace(run, occurrence=due))
            return
        road, own = self._road, _own(drill, due)
        await road.commits.submit([firing(own, road.rules())])
        incident = await road.signs.incident_of(fingerprint(labels_of(own)))
        log.info("drill begun", drill=drill.name, incident=incident)
        begun = msgspec.structs.replace(
            run, occurrence=due, began_at=now, ran_before=run.began_at, incident=incident, judged=False
        )
        await self._keep(drill, begun)

    async def _followed(self, drill: Drill, run: DrillRun, now: datetime) -> DrillRun:
        """How far it has come."""
        incident = await self._road.reader.snapshot(run.incident)
        if incident is None:
            over = run.began_at is None or now - run.began_at > MADE_UP_WITHIN
            followed = msgspec.structs.replace(run, incident="") if over else run
        elif _was_not_run(run, incident, now):
            followed = await self._not_run(drill, run, incident)
        else:
            followed = await self._run(drill, run, incident, now)
        if followed != run:
            await self._keep(drill, followed)
        return followed

    async def _run(self, drill: Drill, run: DrillRun, incident: Incident, now: datetime) -> DrillRun:
        """Judge it, and end it where it is over."""
        judged = _judged(run, incident, now)
        if not (judged.judged and _is_over(incident, now)):
            return judged
        await self._end(drill, run, incident, "the drill is over")
        return msgspec.structs.replace(judged, incident="")

    async def _not_run(self, drill: Drill, run: DrillRun, incident: Incident) -> DrillRun:
        """End it, and have what is known of the last one that was run stand."""
        why = "; ".join(one.text for one in incident.holds) or "it was closed before that"
        log.warning("drill not run: nobody was paged", drill=drill.name, incident=incident.id, why=why)
        await self._end(drill, run, incident, "the drill was not run: nobody was paged")
        return msgspec.structs.replace(run, began_at=run.ran_before, incident="")

    async def _end(self, drill: Drill, run: DrillRun, incident: Incident, note: str) -> None:
        """Close the incident, and have its alert resolve."""
        road = self._road
        now = await road.signs.now()
        await road.store.record(incident.id, ResolvedBy(at=now, by=BY, note=note, via=BY))
        road.look_at(incident.id)
        name = fingerprint(labels_of(_own(drill, run.occurrence)))
        await road.commits.submit([(name, "R", to_ms(run.occurrence), to_ms(now), 4, "", "", "")])

    async def _keep(self, drill: Drill, run: DrillRun) -> None:
        await self._road.signs.set_drill(drill.name, run)


def _own(drill: Drill, occurrence: datetime) -> Own:
    """Each occurrence is an alert and an incident of its own."""
    labels = {
        "alertname": DRILL,
        DRILL_LABEL: "true",
        "name": drill.name,
        "occurrence": occurrence.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
    text = f"{drill.name}: nothing is broken; acknowledge to show that a page reaches you"
    return Own(labels=labels, text=text, starts_at=occurrence, service=drill.service, severity=drill.severity)


def _judged(run: DrillRun, incident: Incident, now: datetime) -> DrillRun:
    """Met or not, once that can be said: at the acknowledgement, or at the deadline; one that comes later has its time."""
    taken = incident.acknowledged_at
    if taken is not None:
        met = run.met if run.judged else taken <= incident.respond_by
        seconds = max((taken - incident.opened_at) / timedelta(seconds=1), 0.0)
        return msgspec.structs.replace(run, judged=True, met=met, seconds=seconds)
    if not run.judged and (not incident.open or now > incident.respond_by):
        return msgspec.structs.replace(run, judged=True, met=False, seconds=None)
    return run


def _was_not_run(run: DrillRun, incident: Incident, now: datetime) -> bool:
    """Whether something held its pages back until an answer was due, or somebody closed it before there was a page."""
    if run.judged or incident.acknowledged_at is not None or incident.first_paged_at is not None:
        return False
    if incident.open:
        return bool(incident.holds) and now > incident.respond_by
    return not incident.episode.reached


def _is_over(incident: Incident, now: datetime) -> bool:
    """Whether it is to be ended: somebody has it, or the last level has had the promised time as well."""
    if incident.acknowledged_at is not None or not incident.open:
        return True
    return now > incident.respond_by + incident.promise.respond_within
