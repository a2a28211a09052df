"""Rules compiled for matching: an index on literal values, so that a thousand rules cost about what ten do.

Every rule is found by one of its matchers only: by the values of an equality or a plain alternation, or else by the
beginning that RE2 says every match of its pattern has. Candidates are then checked in file order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from responder.incident.message import Contact
from responder.incident.policy import AcknowledgementPolicy, ChannelStep, Policy, SeverityPolicy
from responder.incident.severity import LEVELS, Level, Severity
from responder.matchers import Matcher
from responder.rules.drills import compiled_drills
from responder.rules.files import (
    ContactShape,
    DefaultShape,
    RuleShape,
    ServiceFromLabel,
    SeverityFromLabel,
)
from responder.rules.model import Verdict
from responder.rules.plugins import Targets, actions_of, automatic_of, probes_of, runbooks_of
from responder.rules.raw import RawRules, levels_of, plan_of, row_of
from responder.rules.schedules import calendars_of, roster_of
from responder.text import one_line

DEFAULT_RULE = "default"
OTHER_SERVICE = "other"
OWN_SERVICE = "responder"
#: An alert that carries it as ``true`` is an exercise.
DRILL_LABEL = "drill"
_SERVICE_LIMIT = 100
_GROUP_VALUE_LIMIT = 500


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration adds to every policy, and the names of its targets by section (``None``: not known)."""

    channels: tuple[str, ...] = ()
    targets: Targets = None
    triage_wait: timedelta = timedelta(seconds=2)
    monitor_for: timedelta = timedelta(minutes=30)
    stale_after: timedelta = timedelta(hours=24)


class CompiledRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, ready to be checked."""

    name: str
    matchers: tuple[Matcher, ...]
    shape: RuleShape | DefaultShape

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether every matcher holds."""
        return all(matcher.matches(labels) for matcher in self.matchers)


class _Index:
    """Finds the rules that may match; it may name too many, never too few."""

    def __init__(self, rules: Sequence[CompiledRule]) -> None:
        self._literal: dict[str, dict[str, list[int]]] = {}
        self._prefix: dict[str, dict[str, list[int]]] = {}
        self._always: list[int] = []
        for number, rule in enumerate(rules):
            self._place(number, rule.matchers)
        self._lengths = {label: sorted({len(one) for one in found}) for label, found in self._prefix.items()}

    def _place(self, number: int, matchers: Sequence[Matcher]) -> None:
        literal = [m for m in matchers if m.literals is not None and "" not in m.literals]
        if literal:
            # An alertname tells more rules apart than an env does; then the fewest values.
            best = min(literal, key=lambda m: (m.name != "alertname", len(m.literals or ())))
            for value in best.literals or ():
                self._literal.setdefault(best.name, {}).setdefault(value, []).append(number)
            return
        prefixed = [(m, prefix) for m in matchers if (prefix := m.prefix)]
        if prefixed:
            best, prefix = max(prefixed, key=lambda pair: len(pair[1]))
            self._prefix.setdefault(best.name, {}).setdefault(prefix, []).append(number)
            return
        self._always.append(number)

    def candidates(self, labels: Mapping[str, str]) -> list[int]:
        """Numbers of rules that may match, in file order."""
        numbers = list(self._always)
        for label, values in self._literal.items():
            value = labels.get(label)
            if value is not None and value in values:
                numbers += values[value]
        for label, prefixes in self._prefix.items():
            value = labels.get(label)
            if value:
                for length in self._lengths[label]:
                    numbers += prefixes.get(value[:length], ())
        numbers.sort()
        return numbers


class Compiled:
    """The rules in force. Implements :class:`responder.rules.model.RuleSet`; immutable."""

    def __init__(self, raw: RawRules, timing: Timing) -> None:
        self.raw = raw
        self.digest = raw.digest
        self._timing = timing
        self.rules = tuple(
            CompiledRule(name=entry.shape.name, matchers=entry.matchers, shape=entry.shape)
            for entry in raw.rules
        )
        self.default = CompiledRule(name=DEFAULT_RULE, matchers=(), shape=raw.default)
        self._index = _Index(self.rules)
        named = raw.named
        self.rows: dict[str, dict[Level, str]] = {
            n: row_of(shape) for n, shape in named.get("escalation", {}).items()
        }
        self.contacts = {name: _contact(name, shape) for name, shape in named.get("contacts", {}).items()}
        self._contact_shapes: dict[str, ContactShape] = named.get("contacts", {})
        self.roster = roster_of(named)
        self.calendars = calendars_of(named)
        self.runbooks = runbooks_of(named, timing.targets)
        self.probes = probes_of(named)
        self.actions = actions_of(named)
        self.automatic = automatic_of(self.actions)
        self.raises = {entry.shape.name: entry.shape.raises for entry in raw.rules if entry.shape.raises}
        self.dependencies: dict[str, tuple[str, ...]] = {
            name: shape.depends_on for name, shape in named.get("services", {}).items()
        }
        fixed = {
            rule.shape.service for rule in (*self.rules, self.default) if isinstance(rule.shape.service, str)
        }
        self.services = (
            frozenset(self.rows)
            | fixed
            | {OWN_SERVICE, *(drill.service for drill in raw.drills)}
            | frozenset(named.get("services", {}))
        )
        self._default_service = _fixed_service(raw.default.service) or "platform"
        self._policies: dict[str, Policy] = {}
        self.drills = compiled_drills(raw.drills)

    def candidates(self, labels: Mapping[str, str]) -> list[CompiledRule]:
        """The rules that may match, in file order, without the default rule."""
        return [self.rules[number] for number in self._index.candidates(labels)]

    def rule_for(self, labels: Mapping[str, str]) -> CompiledRule:
        """The first rule that matches; the default rule where none does."""
        for number in self._index.candidates(labels):
            rule = self.rules[number]
            if rule.matches(labels):
                return rule
        return self.default

    def match(self, labels: Mapping[str, str]) -> Verdict:
        """Which rule takes an alert with these labels, and what follows."""
        rule = self.rule_for(labels)
        return self._verdict(rule, labels, self._service(rule.shape.service, labels))

    def own(
        self, labels: Mapping[str, str], *, service: str | None = None, severity: Severity | None = None
    ) -> Verdict:
        """A notice of our own: under the default rule whatever the files say, and an incident for each label set."""
        names = tuple(name for name in labels if name != "service")
        verdict = self._verdict(self.default, labels, service or OWN_SERVICE, names)
        return msgspec.structs.replace(verdict, severity=severity) if severity else verdict

    def _verdict(
        self, rule: CompiledRule, labels: Mapping[str, str], service: str, names: tuple[str, ...] = ()
    ) -> Verdict:
        shape = rule.shape
        severity, defaulted = _severity(shape.severity, labels)
        drill = is_drill(labels)
        names = names or shape.group_by or ("alertname",)
        if drill and DRILL_LABEL not in names:
            names = (*names, DRILL_LABEL)  # an exercise never joins what is in earnest
        group = tuple([(name, labels[name][:_GROUP_VALUE_LIMIT]) for name in sorted(names) if name in labels])
        return Verdict(
            rule=rule.name,
            severity=severity,
            service=service,
            service_label=service if service in self.services else OTHER_SERVICE,
            key=_key(rule.name, service, group),
            group=group,
            runbook=shape.runbook,
            unmatched=rule is self.default,
            severity_defaulted=defaulted,
            drill=drill,
        )

    def _service(self, wanted: ServiceFromLabel | str, labels: Mapping[str, str]) -> str:
        if isinstance(wanted, str):
            return wanted
        value = one_line(labels.get(wanted.label, ""), _SERVICE_LIMIT)
        return value or wanted.default or self._default_service

    def policy(self, service: str) -> Policy:
        """The service's row of the matrix (the default's where it has none) with every severity's promises."""
        row = service if service in self.rows else self._default_service
        if row not in self._policies:
            self._policies[row] = self._policy(row)
        return self._policies[row]

    def _policy(self, row: str) -> Policy:
        contacts = self.rows.get(row, {})
        return Policy(
            row=row,
            contacts=contacts,
            severities={
                severity: SeverityPolicy(
                    title=shape.title,
                    respond_within=shape.respond_within,
                    update_every=shape.update_every,
                    escalate=levels_of(shape),
                    acknowledgement=AcknowledgementPolicy(
                        remind_after=shape.acknowledgement.remind_after,
                        lapse_after=shape.acknowledgement.lapse_after,
                    ),
                )
                for severity, shape in self.raw.severities.items()
            },
            channels={
                name: {severity: self.channels_of(name, severity) for severity in Severity}
                for name in contacts.values()
            },
            everybody=self._everybody(row),
            triage_wait=self._timing.triage_wait,
            monitor_for=self._timing.monitor_for,
            stale_after=self._timing.stale_after,
        )

    def channels_of(self, name: str, severity: Severity, stands_for: str = "") -> tuple[ChannelStep, ...]:
        """A person's own channels for a severity, else those of the name they stand for, the severity's, every one."""
        shapes = (self._contact_shapes.get(one) for one in (name, stands_for))
        own = next(
            (shape.channels[severity] for shape in shapes if shape and shape.channels.get(severity)), ()
        )
        return plan_of(own or self.raw.severities[severity].channels or self._timing.channels)

    def contact(self, name: str, stands_for: str = "") -> Contact:
        """Where somebody can be reached; who has no entry of their own, where the name they stand for can be."""
        found = self.contacts.get(name) or self.contacts.get(stands_for) or Contact(name=name)
        return msgspec.structs.replace(found, name=name)

    def _everybody(self, row: str) -> tuple[Level, ...]:
        """The levels of a row on which each person has to acknowledge."""
        shape = self.raw.named.get("escalation", {}).get(row)
        wanted = shape.everybody if shape is not None else False
        return (LEVELS if wanted else ()) if isinstance(wanted, bool) else wanted


def is_drill(labels: Mapping[str, str]) -> bool:
    """Whether an alert with these labels is an exercise."""
    return labels.get(DRILL_LABEL) == "true"


def _contact(name: str, shape: ContactShape) -> Contact:
    kinds = ("slack", "email", "phone", "pagerduty", "ntfy", "teams")
    addresses = {kind: address for kind in kinds if (address := getattr(shape, kind))}
    return Contact(name=name, addresses=addresses)


def _severity(wanted: SeverityFromLabel | Severity, labels: Mapping[str, str]) -> tuple[Severity, bool]:
    if isinstance(wanted, Severity):
        return wanted, False
    found = wanted.map.get(labels.get(wanted.label, ""))
    return (wanted.default, True) if found is None else (found, False)


def _fixed_service(wanted: ServiceFromLabel | str) -> str | None:
    return wanted if isinstance(wanted, str) else wanted.default


def _key(rule: str, service: str, group: tuple[tuple[str, str], ...]) -> str:
    """A digest over the parts, each with its length in front: no two lists of parts run together."""
    parts = [rule, service]
    for pair in group:
        parts += pair
    text = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
