"""Runbooks, probes and actions of the rule files, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from responder.incident.action import Approval
from responder.rules.files import RunbookShape
from responder.rules.model import ActionDefinition, ProbeDefinition, Runbook
from responder.rules.raw import PluginEntry

Named = Mapping[str, Mapping[str, Any]]
#: The names of the configured targets, by section; ``None`` where they are not known.
Targets = Mapping[str, frozenset[str]] | None


def runbooks_of(named: Named, targets: Targets) -> dict[str, Runbook]:
    """By name, each with the probes that can be run here."""
    probes = named.get("probes", {})
    return {name: _runbook(name, shape, probes, targets) for name, shape in named.get("runbooks", {}).items()}


def probes_of(named: Named) -> dict[str, ProbeDefinition]:
    """By name."""
    return {
        name: ProbeDefinition(name=name, type=entry.type, settings=entry.settings)
        for name, entry in named.get("probes", {}).items()
    }


def actions_of(named: Named) -> dict[str, ActionDefinition]:
    """By name."""
    return {
        name: ActionDefinition(name=name, type=entry.type, settings=entry.settings)
        for name, entry in named.get("actions", {}).items()
    }


def automatic_of(actions: Mapping[str, ActionDefinition]) -> frozenset[str]:
    """The actions that need nobody's approval."""
    return frozenset(
        name
        for name, action in actions.items()
        if getattr(action.settings, "approval", None) is Approval.AUTOMATIC
    )


def _runbook(
    name: str,
    shape: RunbookShape,
    probes: Mapping[str, PluginEntry],
    targets: Targets,
) -> Runbook:
    """Without the probes whose target is not configured: what cannot be looked at is no news at 3 a.m."""
    left_out = {one for one in shape.diagnose if one in probes and _lacks_target(probes[one], targets)}
    return Runbook(
        name=name,
        summary=shape.summary,
        diagnose=tuple(one for one in shape.diagnose if one not in left_out),
        left_out=tuple(one for one in shape.diagnose if one in left_out),
        offer=shape.offer,
    )


def _lacks_target(probe: PluginEntry, targets: Targets) -> bool:
    section, target = getattr(probe.settings, "TARGET_KIND", ""), getattr(probe.settings, "target", None)
    return targets is not None and target is not None and target not in targets.get(section, ())
