"""Type ``kubernetes.events``: the warnings of a namespace, grouped and counted, newest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec

from responder.durations import format_duration, rough_duration
from responder.incident.finding import FindingStatus
from responder.parameters import Parameter, check_known, kubernetes_name, resolve
from responder.targets.kubernetes_calls import EVENTS, Ask
from responder.targets.kubernetes_objects import Event
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.kubernetes_common import KubernetesSettings, counted, lines, said
from responder.triage.log_lines import alike

_READ = 2_000
_MESSAGE = 200
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class EventSettings(KubernetesSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``object``: only what is about the object of that name, or about what it has made (its pods)."""

    object: Parameter | None = None
    since: timedelta = timedelta(hours=1)
    limit: int = 10

    def __post_init__(self) -> None:
        """Refuse what is no name."""
        super().__post_init__()
        check_known(self.object, "object", kubernetes_name)


class _Group(msgspec.Struct):
    """Events that say the same of objects of one kind."""

    reason: str
    kind: str
    sample: str
    count: int = 0
    last: datetime = _BEGINNING
    names: set[str] = msgspec.field(default_factory=set)


@PROBES.register("kubernetes.events")
class KubernetesEvents:
    """What the cluster itself has warned of."""

    Settings: ClassVar[type[ProbeSettings]] = EventSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: EventSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """One list call, by the server narrowed to warnings."""
        s, clusters = self._settings, self._tools.clusters
        place = clusters.place(s.target, s.namespace, circumstances.labels)
        about = "" if s.object is None else resolve(s.object, circumstances.labels, "object", kubernetes_name)
        ask = Ask(place=place, what=EVENTS, query={"fieldSelector": "type=Warning"}, limit=s.timeout)
        found = await clusters.listed(ask, Event, _READ)
        now = self._tools.clock.now()
        groups = _grouped(
            [
                one
                for one in found.items
                if now - _last(one) <= s.since and _is_about(one.involved_object.name, about)
            ]
        )
        where = f"in {place.namespace}" + (f" about {about}" if about else "")
        where += f", last {format_duration(s.since)}" + (
            "" if found.complete else f"; only {_READ} were read"
        )
        if not groups:
            return Observation(status=FindingStatus.OK, headline=f"no warning events {where}")
        top = groups[0]
        total = sum(one.count for one in groups)
        headline = (
            f"{counted(total, 'warning event')} {where}; newest: {top.reason} {_whom(top)}: {top.sample}"
        )
        detail = lines((_line(one, now) for one in groups), max(s.limit, 1))
        return Observation(status=FindingStatus.WARNING, headline=headline, detail=detail)


def _grouped(events: list[Event]) -> list[_Group]:
    groups: dict[tuple[str, str, str], _Group] = {}
    for event in events:
        about = event.involved_object
        key = event.reason, about.kind, alike(event.message.replace(about.name, "")[:_MESSAGE])
        group = groups.get(key)
        if group is None:
            sample = said(event.message)
            group = groups[key] = _Group(event.reason or "?", about.kind or "object", sample)
        group.count += max(event.series.count if event.series else event.count, 1)
        group.names.add(about.name)
        group.last = max(group.last, _last(event))
    return sorted(groups.values(), key=lambda one: one.last, reverse=True)


def _last(event: Event) -> datetime:
    """When it was last seen: old and new recorders fill in different fields."""
    series = event.series.last_observed_time if event.series else None
    known = (series, event.last_timestamp, event.event_time, event.metadata.creation_timestamp)
    return max((one for one in known if one is not None), default=_BEGINNING)


def _is_about(name: str, about: str) -> bool:
    return not about or name == about or name.startswith(f"{about}-")


def _whom(group: _Group) -> str:
    more = f" and {len(group.names) - 1} more" if len(group.names) > 1 else ""
    return f"{group.kind.lower()} {min(group.names)}{more}"


def _line(group: _Group, now: datetime) -> str:
    return f"{rough_duration(now - group.last)} ago, {group.count}x {group.reason} {_whom(group)}: {group.sample}"
