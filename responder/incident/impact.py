"""What an incident touches: services, places, who stands on them, and a failing dependency that explains it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from responder.alerts import Alert, AlertStatus
from responder.incident.state import Incident
from responder.text import one_line

#: The labels that say where something runs, with their name in the singular.
PLACES: tuple[tuple[str, str], ...] = (
    ("service", "service"),
    ("namespace", "namespace"),
    ("cluster", "cluster"),
    ("instance", "instance"),
)
#: A dependency's alert may need longer than ours to fire: one that came so much later may still be the cause.
AFTERWARDS = timedelta(minutes=15)
SERVICES_WALKED = 200
_NAMED = 5
_VALUE = 60
_TITLE = 80


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to look at: a sample of the incident's alerts with their total, and the other open incidents.

    A ``drill`` is touched by nothing that is in earnest, and touches nothing.
    """

    incident: str
    service: str
    opened_at: datetime
    alerts: Sequence[Alert]
    total: int
    others: Sequence[Incident]
    dependencies: Mapping[str, tuple[str, ...]]
    drill: bool = False


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: one line, the rest, and whether a dependency explains the incident."""

    headline: str
    detail: str
    explained: bool


def impact(scene: Scene) -> Impact:
    """Who is touched, by whom, since when."""
    below = reached(scene.service, scene.dependencies)
    above = reached(scene.service, turned(scene.dependencies))
    others = [one for one in scene.others if _concerns(scene, one)]
    causes = _firing(others, below, deepest_first=True)
    touched = _firing(others, above, deepest_first=False)
    likely = [one for one in causes if one.opened_at <= scene.opened_at + AFTERWARDS]
    headline = _extent(scene, above)
    if likely:
        headline = f"{_fires_too(likely[0], scene.opened_at)}: likely cause; {headline}"
    elif causes:
        headline = f"{_fires_too(causes[0], scene.opened_at)}; {headline}"
    lines = [*_places(scene), *_links("stands on it", above, touched), *_links("it stands on", below, causes)]
    lines += [f"firing too: {_described(one, scene.opened_at)}" for one in [*causes, *touched][: 2 * _NAMED]]
    return Impact(headline=headline, detail="\n".join(lines), explained=bool(likely))


def _concerns(scene: Scene, other: Incident) -> bool:
    """Whether another incident fires, and may have to do with this one."""
    return other.id != scene.incident and other.totals.firing_now > 0 and not (scene.drill or other.drill)


def reached(service: str, edges: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Every service that the edges lead to, with its distance; a circle is walked once, and the walk is bounded."""
    found: dict[str, int] = {}
    waiting = deque([(service, 0)])
    while waiting and len(found) < SERVICES_WALKED:
        here, distance = waiting.popleft()
        for there in edges.get(here, ()):
            if there != service and there not in found:
                found[there] = distance + 1
                waiting.append((there, distance + 1))
    return found


def turned(edges: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The edges the other way round: what stands on each service."""
    turned: dict[str, list[str]] = {}
    for service, below in sorted(edges.items()):
        for one in below:
            turned.setdefault(one, []).append(service)
    return {service: tuple(above) for service, above in turned.items()}


def _firing(
    others: Iterable[Incident], services: Mapping[str, int], *, deepest_first: bool
) -> list[Incident]:
    """The incidents of these services; of a chain that fires, its far end is the cause."""
    sign = -1 if deepest_first else 1
    found = [one for one in others if one.service in services]
    return sorted(found, key=lambda one: (sign * services[one.service], one.severity, one.opened_at, one.id))


def _fires_too(other: Incident, ours: datetime) -> str:
    what = one_line(other.title, _TITLE)
    return f"{other.service} is firing too since {_clock(other.opened_at, ours)} ({other.severity} {what})"


def _described(other: Incident, ours: datetime) -> str:
    title = one_line(other.title, _TITLE)
    since = _clock(other.opened_at, ours)
    return (
        f"{other.service} {other.severity} since {since}, {other.state_name}: {title} (incident {other.id})"
    )


def _clock(at: datetime, now: datetime) -> str:
    """A time of day, with its date where that is not the same."""
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def _extent(scene: Scene, above: Mapping[str, int]) -> str:
    firing = _alerts_firing(scene)
    parts = [_counted(scene.total, "alert")]
    for label, word in PLACES:
        values = {one.labels[label] for one in firing if one.labels.get(label)}
        if label != "service" and values:
            parts.append(_counted(len(values), word, more=len(scene.alerts) < scene.total))
    text = f"{scene.service}: {', '.join(parts)}"
    since = min((one.starts_at for one in firing), default=None)
    if since is not None:
        text += f", since {_clock(since, scene.opened_at)} UTC"
    if above:
        text += f"; {_listed(above)} {'stand' if len(above) > 1 else 'stands'} on it"
    return text


def _alerts_firing(scene: Scene) -> Sequence[Alert]:
    """What fires; all of them where nothing does any more."""
    return [one for one in scene.alerts if one.status is AlertStatus.FIRING] or scene.alerts


def _counted(count: int, word: str, *, more: bool = False) -> str:
    return f"{count:,}{'+' if more else ''} {word}{'s' if count != 1 else ''}"


def _places(scene: Scene) -> list[str]:
    firing = _alerts_firing(scene)
    resolved = sum(one.status is AlertStatus.RESOLVED for one in scene.alerts)
    lines = [f"seen: {len(scene.alerts):,} of {_counted(scene.total, 'alert')}, {resolved:,} resolved"]
    for label, word in (("alertname", "alert"), *PLACES):
        counts = Counter(one_line(one.labels[label], _VALUE) for one in firing if one.labels.get(label))
        if counts:
            shown = [f"{value} ({count})" if count > 1 else value for value, count in _most(counts)]
            lines.append(f"{word}{'s' if len(counts) != 1 else ''}: {_and_more(shown, len(counts))}")
    return lines


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_NAMED]


def _links(what: str, services: Mapping[str, int], firing: Sequence[Incident]) -> list[str]:
    """One line on the services of one direction; those that fire are marked."""
    if not services:
        return []
    marked = {one.service for one in firing}
    shown = [f"{one} (firing)" if one in marked else one for one in services][: 2 * _NAMED]
    return [f"{what}: {_and_more(shown, len(services))}"]


def _listed(services: Mapping[str, int]) -> str:
    return _and_more(list(services)[:_NAMED], len(services))


def _and_more(shown: Sequence[str], total: int) -> str:
    more = total - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
