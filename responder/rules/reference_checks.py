"""Names in rule files that nothing bears: runbooks, probes, actions, channels, the default row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from responder.documents import Place, Problem
from responder.incident.severity import Level
from responder.registry import did_you_mean
from responder.rules.raw import RawRules, levels_of, plan_of

PlaceOf = Callable[[str, str], Place]


def reference_problems(
    raw: RawRules, place_of: PlaceOf, claimed: Collection[tuple[str, str]]
) -> Iterator[Problem]:
    """What rules and runbooks name; ``claimed`` are all entries, also those that could not be read."""
    runbooks, rows = raw.named["runbooks"], raw.named["escalation"]
    for entry in raw.rules:
        shape = entry.shape
        if shape.runbook is not None and shape.runbook not in runbooks:
            text = f"rule {shape.name}: no runbook {shape.runbook!r}{did_you_mean(shape.runbook, runbooks)}"
            yield entry.place.problem(text)
        if isinstance(shape.service, str) and rows and shape.service not in rows:
            text = f"rule {shape.name}: service {shape.service!r} has no row in escalation; the default's is taken"
            yield entry.place.problem(text, "warning")
    for name, runbook in runbooks.items():
        for key, wanted in (("probes", runbook.diagnose), ("actions", runbook.offer)):
            for one in wanted:
                if one not in raw.named[key] and (key, one) not in claimed:
                    text = f"runbook {name}: no {key.removesuffix('s')} {one!r}{did_you_mean(one, raw.named[key])}"
                    yield place_of("runbooks", name).problem(text)


def channel_problems(raw: RawRules, place_of: PlaceOf, known: Sequence[str] | None) -> Iterator[Problem]:
    """Channels that are not configured (``None``: that is not known), and levels in the wrong order."""
    wanted: list[tuple[str, str, str]] = [
        ("severities", str(s), c.channel)
        for s, shape in raw.severities.items()
        for c in plan_of(shape.channels)
    ]
    for name, contact in raw.named["contacts"].items():
        wanted += [
            ("contacts", name, c.channel) for chosen in contact.channels.values() for c in plan_of(chosen)
        ]
    for key, name, channel in wanted:
        if known is not None and channel not in known:
            text = f"{key}.{name}: no channel {channel!r} in the configuration{did_you_mean(channel, known)}"
            yield place_of(key, name).problem(text)
    for severity, shape in raw.severities.items():
        secondary, executive = levels_of(shape)[Level.SECONDARY], levels_of(shape)[Level.EXECUTIVE]
        if secondary > executive:
            text = f"severities.{severity}: the executive is paged before the secondary"
            yield place_of("severities", severity).problem(text, "warning")


def default_row_problems(raw: RawRules, place_of: PlaceOf) -> Iterator[Problem]:
    """Whether what no rule takes has somebody to be paged for it."""
    service, rows = raw.default.service, raw.named["escalation"]
    name = service if isinstance(service, str) else service.default
    if name is not None and name not in rows:
        text = f"default: service {name!r} has no row in escalation: nobody would be paged; add escalation.{name}"
        yield place_of("default", "default").problem(text)
