"""The actions of the rules in force: what each would do, and the objects that may be changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from responder.actions.base import ACTIONS, Action, ActionSettings, Plan
from responder.incident.message import OfferBrief
from responder.incident.stages.actions import undoable
from responder.incident.state import Incident
from responder.parameters import ParameterError
from responder.rules.model import ActionDefinition, RuleSet
from responder.store.ledger import object_key
from responder.targets.base import TargetError, Toolbox


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An action of the rule files, ready to be used."""

    name: str
    settings: ActionSettings
    action: Any  # an Action; protocols are no types of msgspec's

    @property
    def kind(self) -> str:
        """The section of ``targets`` that it belongs to."""
        return self.settings.TARGET_KIND

    def key(self, plan: Plan) -> str:
        """The object's name in the ledger: the same for every action and rule that means this object."""
        return object_key(self.kind, self.settings.target, plan.object)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may start, in words: ``text`` says exactly what would happen.

    ``refused`` says why it cannot be done as things stand; ``can_undo`` that the last run can be taken back.
    """

    name: str
    title: str
    text: str
    role: str
    approval: str
    refused: str = ""
    can_undo: bool = False
    running: bool = False


class ActionBook:
    """Looks actions up by name. Made anew for each set of rules, so that a reload changes them as a whole."""

    def __init__(self, rules: Callable[[], RuleSet], tools: Toolbox) -> None:
        self._rules = rules
        self._tools = tools
        self._digest = ""
        self._made: dict[str, Known] = {}

    def get(self, name: str) -> Known | None:
        """The action of that name; ``None`` where the rules in force have none."""
        rules = self._rules()
        if rules.digest != self._digest:
            self._made, self._digest = {}, rules.digest
        definition = rules.actions.get(name)
        if definition is None:
            return None
        if name not in self._made:
            self._made[name] = self._make(definition)
        return self._made[name]

    def _make(self, definition: ActionDefinition) -> Known:
        settings = definition.settings
        if not isinstance(settings, ActionSettings):
            raise TypeError(f"action {definition.name} has no settings of its type")
        action: Action = ACTIONS[definition.type](settings, self._tools)
        return Known(name=definition.name, settings=settings, action=action)

    def may_change(self, known: Known, plan: Plan) -> bool:
        """Whether the target's allow-list names the object."""
        target = getattr(self._tools.targets, known.kind).get(known.settings.target)
        return target is not None and all(listed(one, target.allow) for one in (plan.object, *plan.also))

    def verifying_probe(self, known: Known, incident: Incident) -> str | None:
        """The probe that tells whether the action has helped.

        The one that the rules name; else the first of the diagnosis that suggests the action; else the precondition's.
        """
        if known.settings.verify is not None:
            return known.settings.verify
        probes = self._rules().probes
        for name in incident.probes:
            if name in probes and getattr(probes[name].settings, "suggests", None) == known.name:
                return name
        return known.settings.precondition.probe if known.settings.precondition else None

    def offers(self, incident: Incident) -> tuple[Offer, ...]:
        """What the incident's runbook offers, in its order."""
        return tuple(self._offer(name, incident) for name in incident.offers)

    def _offer(self, name: str, incident: Incident) -> Offer:
        known = self.get(name)
        if known is None:
            return Offer(
                name=name, title=name, text=name, role="", approval="", refused="no rule file defines it"
            )
        text, refused = self._planned(known, incident.labels)
        runs = [run for run in incident.actions if run.name == name]
        return Offer(
            name=name,
            title=known.settings.title or name.replace("-", " ").capitalize(),
            text=text,
            role=str(known.settings.role),
            approval=str(known.settings.approval),
            refused=refused,
            can_undo=any(undoable(run) for run in runs),
            running=any(not run.status.final for run in runs),
        )

    def _planned(self, known: Known, labels: Mapping[str, str]) -> tuple[str, str]:
        try:
            plan = known.action.plan(labels)
        except (TargetError, ParameterError) as error:
            return known.name, str(error)
        if self.may_change(known, plan):
            return plan.text, ""
        return plan.text, not_listed(known, plan)


def not_listed(known: Known, plan: Plan) -> str:
    """Why the allow-list refuses, and what would let it through."""
    what = " and ".join((plan.object, *plan.also))
    return f"{what} {'are' if plan.also else 'is'} not in targets.{known.kind}.{known.settings.target}.allow"


def listed(what: str, patterns: Sequence[str]) -> bool:
    """Whether an allow-list names the object: word for word, or up to a ``*`` at the end of an entry."""
    return any(what.startswith(one[:-1]) if one.endswith("*") else what == one for one in patterns)


def briefs(offers: Sequence[Offer], incident: Incident, external_url: str) -> tuple[OfferBrief, ...]:
    """What a message says of the offers that can be started as things stand."""
    return tuple(
        OfferBrief(
            name=one.name,
            title=one.title,
            text=one.text,
            url=f"{external_url.rstrip('/')}/incidents/{incident.id}/actions/{quote(one.name, safe='')}",
        )
        for one in offers
        if not one.refused and not one.running
    )
