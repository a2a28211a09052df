"""Names in rule files that nothing bears: runbooks, probes, actions, channels, the default row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from responder.documents import Place, Problem
from responder.incident.severity import Level
from responder.registry import did_you_mean
from responder.rules.raw import RawRules, levels_of, plan_of


class PlaceOf(Protocol):
    """Where an entry stands, or what ``path`` leads to in it."""

    def __call__(self, key: str, name: str, /, *path: str | int) -> Place:
        """The place of an entry of this name under this key."""
        ...


class Known(Protocol):
    """The names of all entries under a key, also of those that could not be read."""

    def __call__(self, key: str, /) -> Collection[str]:
        """The names under this key."""
        ...


class Whatever(Collection[str]):
    """The names under a key of which not all can be read: any may be there, so none is missed."""

    def __init__(self, read: Collection[str]) -> None:
        self._read = read

    def __contains__(self, _name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def runbook_problem(rule: str, wanted: str, place: Place, known: Known) -> Iterator[Problem]:
    """A runbook that a rule names and that is not there."""
    runbooks = known("runbooks")
    if wanted not in runbooks:
        yield place.problem(f"rule {rule}: no runbook {wanted!r}{did_you_mean(wanted, runbooks)}")


def reference_problems(raw: RawRules, place_of: PlaceOf, known: Known) -> Iterator[Problem]:
    """What rules and runbooks name."""
    rows = known("escalation")
    for entry in raw.rules:
        shape = entry.shape
        if shape.runbook is not None:
            place = place_of("rules", shape.name, "runbook")
            yield from runbook_problem(shape.name, shape.runbook, place, known)
        if isinstance(shape.service, str) and rows and shape.service not in rows:
            text = f"rule {shape.name}: service {shape.service!r} has no row in escalation; the default's is taken"
            yield place_of("rules", shape.name, "service").problem(text, "warning")
    for name, runbook in raw.named["runbooks"].items():
        for key, field, wanted in (
            ("probes", "diagnose", runbook.diagnose),
            ("actions", "offer", runbook.offer),
        ):
            for number, one in enumerate(wanted):
                if one not in known(key):
                    text = (
                        f"runbook {name}: no {key.removesuffix('s')} {one!r}{did_you_mean(one, known(key))}"
                    )
                    yield place_of("runbooks", name, field, number).problem(text)


def channel_problems(raw: RawRules, place_of: PlaceOf, known: Sequence[str] | None) -> Iterator[Problem]:
    """Channels that are not configured (``None``: that is not known), and levels in the wrong order."""
    wanted: list[tuple[str, str, str, tuple[str | int, ...]]] = [
        ("severities", str(s), c.channel, ("channels", number))
        for s, shape in raw.severities.items()
        for number, c in enumerate(plan_of(shape.channels))
    ]
    for name, contact in raw.named["contacts"].items():
        wanted += [
            ("contacts", name, c.channel, ("channels", str(severity), number))
            for severity, chosen in contact.channels.items()
            for number, c in enumerate(plan_of(chosen))
        ]
    for key, name, channel, path in wanted:
        if known is not None and channel not in known:
            text = f"{key}.{name}: no channel {channel!r} in the configuration{did_you_mean(channel, known)}"
            yield place_of(key, name, *path).problem(text)
    for severity, shape in raw.severities.items():
        secondary, executive = levels_of(shape)[Level.SECONDARY], levels_of(shape)[Level.EXECUTIVE]
        if secondary > executive:
            text = f"severities.{severity}: the executive is paged before the secondary"
            yield place_of("severities", severity, "escalate").problem(text, "warning")


def default_row_problems(raw: RawRules, place_of: PlaceOf, known: Known) -> Iterator[Problem]:
    """Whether what no rule takes has somebody to be paged for it."""
    service = raw.default.service
    name = service if isinstance(service, str) else service.default
    if name is not None and name not in known("escalation"):
        text = f"default: service {name!r} has no row in escalation: nobody would be paged; add escalation.{name}"
        yield place_of("default", "default", "service").problem(text)
