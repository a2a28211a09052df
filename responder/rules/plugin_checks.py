"""What probes and actions of the rule files say of each other: names that exist, and approvals that are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from responder.durations import format_duration
from responder.incident.action import Approval
from responder.ranges import Range
from responder.registry import did_you_mean
from responder.rules.attempts import attempt_problem
from responder.rules.limits import LONGEST_CHANGE, LONGEST_LOOK
from responder.rules.raw import PluginEntry, RuleEntry
from responder.rules.reference_checks import Known

_NONE, _MOMENT, _SECOND, _DAY = (
    timedelta(0),
    timedelta(milliseconds=10),
    timedelta(seconds=1),
    timedelta(days=1),
)
#: By key: what a setting that every action has may be, and what else is to be said where it is not.
_ACTION: dict[str, tuple[Range[Any], str]] = {
    "timeout": (Range(_MOMENT, LONGEST_CHANGE), "; what takes longer is waited for by verify_within"),
    "verify_within": (Range(_MOMENT, _DAY), ""),
    "limit.count": (Range(1, 1_000), ""),
    "limit.per": (
        Range(_SECOND, 30 * _DAY),
        "; a shorter span is no limit: cooldown is the pause between two changes",
    ),
    "cooldown": (Range(_NONE, 7 * _DAY), ""),
    "give_up_after": (Range(1, 100), ""),
}
#: The same, of every probe.
_PROBE: dict[str, tuple[Range[Any], str]] = {
    "timeout": (Range(_MOMENT, _DAY), ""),
}

Named = Mapping[str, Mapping[str, Any]]
Allowed = Mapping[tuple[str, str], Sequence[str]] | None
#: What of an entry, by its name, can only be refused: the setting, and why.
Foresee = Callable[[str, PluginEntry], Iterable[tuple[str, str]]]


class PluginProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem of the entry ``name`` under ``key``; ``path`` leads to where it is."""

    key: str
    name: str
    text: str
    level: str = "error"
    path: tuple[str | int, ...] = ()


def plugin_problems(
    named: Named, rules: Sequence[RuleEntry], allowed: Allowed, known: Known, foresee: Foresee | None = None
) -> Iterator[PluginProblem]:
    """Every problem."""
    for name, entry in named.get("probes", {}).items():
        yield from _suggestion(name, entry, known)
        yield from _outside("probes", name, entry, _PROBE)
        yield from _cut_off(name, entry)
    for name, entry in named.get("actions", {}).items():
        yield from _probes_of(name, entry, known)
        yield from _outside("actions", name, entry, _ACTION)
        if text := attempt_problem(name, entry, named.get("probes", {})):
            yield PluginProblem(key="actions", name=name, text=text, path=("timeout",))
        yield from _meant(name, entry, allowed)
    if foresee is not None:
        yield from _foreseen(named, foresee)
    for rule in rules:
        for number, one in enumerate(rule.shape.raises):
            if one.probe not in known("probes"):
                yield PluginProblem(
                    key="rules",
                    name=rule.shape.name,
                    text=_unknown(f"rule {rule.shape.name}: raise", "probe", one.probe, known),
                    path=("raise", number, "probe"),
                )


def _foreseen(named: Named, foresee: Foresee) -> Iterator[PluginProblem]:
    for section in ("probes", "actions"):
        for name, entry in named.get(section, {}).items():
            for key, why in foresee(name, entry):
                text = f"{section}.{name}.{key}: {why}"
                yield PluginProblem(key=section, name=name, text=text, level="warning", path=(key,))


def _outside(
    section: str, name: str, entry: PluginEntry, ranges: Mapping[str, tuple[Range[Any], str]]
) -> Iterator[PluginProblem]:
    """Each setting that is not within its range."""
    for key, (allowed, more) in ranges.items():
        value: Any = entry.settings
        for part in key.split("."):
            value = getattr(value, part)
        if objection := allowed.objection(value):
            text = f"{section}.{name}.{key}: {objection}{more}"
            yield PluginProblem(key=section, name=name, text=text, path=tuple(key.split(".")))


def _cut_off(name: str, entry: PluginEntry) -> Iterator[PluginProblem]:
    """A probe that may take longer than all of them have together."""
    limit = getattr(entry.settings, "timeout", _NONE)
    if limit > LONGEST_LOOK:
        text = (
            f"probes.{name}.timeout: all probes of an incident together are given up after "
            f"{format_duration(LONGEST_LOOK)}: {format_duration(limit)} is never reached"
        )
        yield PluginProblem(key="probes", name=name, text=text, level="warning", path=("timeout",))


def _suggestion(name: str, entry: PluginEntry, known: Known) -> Iterator[PluginProblem]:
    wanted = getattr(entry.settings, "suggests", None)
    if wanted is not None and wanted not in known("actions"):
        text = _unknown(f"probes.{name}.suggests", "action", wanted, known)
        yield PluginProblem(key="probes", name=name, text=text, path=("suggests",))


def _probes_of(name: str, entry: PluginEntry, known: Known) -> Iterator[PluginProblem]:
    precondition = getattr(entry.settings, "precondition", None)
    wanted = {
        "precondition.probe": precondition.probe if precondition is not None else None,
        "verify": getattr(entry.settings, "verify", None),
    }
    for key, probe in wanted.items():
        if probe is not None and probe not in known("probes"):
            text = _unknown(f"actions.{name}.{key}", "probe", probe, known)
            yield PluginProblem(key="actions", name=name, text=text, path=tuple(key.split(".")))


def _meant(name: str, entry: PluginEntry, allowed: Allowed) -> Iterator[PluginProblem]:
    settings: Any = entry.settings
    if settings.approval is Approval.AUTOMATIC and settings.precondition is None:
        text = (
            f"actions.{name}: approval: automatic needs a precondition, so that it starts only where it helps"
        )
        yield PluginProblem(key="actions", name=name, text=text, path=("approval",))
    if settings.precondition is not None and not settings.precondition.status:
        text = (
            f"actions.{name}.precondition.status: expected at least one state such as critical: "
            "without any the action would never be done"
        )
        yield PluginProblem(key="actions", name=name, text=text, path=("precondition", "status"))
    section = (settings.TARGET_KIND, settings.target)
    if allowed is not None and section in allowed and not allowed[section]:
        text = f"actions.{name}: targets.{section[0]}.{section[1]}.allow lists nothing, so the action will be refused"
        yield PluginProblem(key="actions", name=name, text=text, level="warning")


def _unknown(what: str, kind: str, wanted: str, known: Known) -> str:
    return f"{what}: no {kind} {wanted!r}{did_you_mean(wanted, known(kind + 's'))}"
