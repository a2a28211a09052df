"""What probes and actions of the rule files say of each other: names that exist, and approvals that are meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from responder.durations import format_duration
from responder.incident.action import Approval
from responder.registry import did_you_mean
from responder.rules.raw import PluginEntry, RuleEntry
from responder.rules.reference_checks import Known

#: One attempt at an action, with its gates, must end within its lease.
LONGEST_CHANGE = timedelta(seconds=30)

Named = Mapping[str, Mapping[str, Any]]
Allowed = Mapping[tuple[str, str], Sequence[str]] | None


class PluginProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem of the entry ``name`` under ``key``; ``path`` leads to where it is."""

    key: str
    name: str
    text: str
    level: str = "error"
    path: tuple[str | int, ...] = ()


def plugin_problems(
    named: Named, rules: Sequence[RuleEntry], allowed: Allowed, known: Known
) -> Iterator[PluginProblem]:
    """Every problem."""
    for name, entry in named.get("probes", {}).items():
        yield from _suggestion(name, entry, known)
    for name, entry in named.get("actions", {}).items():
        yield from _probes_of(name, entry, known)
        yield from _meant(name, entry, allowed)
    for rule in rules:
        for number, one in enumerate(rule.shape.raises):
            if one.probe not in known("probes"):
                yield PluginProblem(
                    key="rules",
                    name=rule.shape.name,
                    text=_unknown(f"rule {rule.shape.name}: raise", "probe", one.probe, known),
                    path=("raise", number, "probe"),
                )


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
    for key, least in (("limit.count", settings.limit.count), ("give_up_after", settings.give_up_after)):
        if least < 1:
            text = f"actions.{name}.{key}: expected at least 1, got {least}"
            yield PluginProblem(key="actions", name=name, text=text, path=tuple(key.split(".")))
    for key in ("timeout", "verify_within"):
        if not getattr(settings, key):
            text = f"actions.{name}.{key}: expected a duration above zero"
            yield PluginProblem(key="actions", name=name, text=text, path=(key,))
    if settings.timeout > LONGEST_CHANGE:
        text = f"actions.{name}.timeout: at most {format_duration(LONGEST_CHANGE)}; what takes longer is waited for by verify_within"
        yield PluginProblem(key="actions", name=name, text=text, path=("timeout",))
    section = (settings.TARGET_KIND, settings.target)
    if allowed is not None and section in allowed and not allowed[section]:
        text = f"actions.{name}: targets.{section[0]}.{section[1]}.allow lists nothing, so the action will be refused"
        yield PluginProblem(key="actions", name=name, text=text, level="warning")


def _unknown(what: str, kind: str, wanted: str, known: Known) -> str:
    return f"{what}: no {kind} {wanted!r}{did_you_mean(wanted, known(kind + 's'))}"
