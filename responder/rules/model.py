"""The rules in force, compiled: what the rest of the daemon sees of the rule files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from responder.incident.action import Raise
from responder.incident.message import Contact
from responder.incident.policy import ChannelStep, Policy
from responder.incident.severity import Severity


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules say of one alert.

    ``key`` names the incident that it belongs to: a hex digest over the rule, the service and the labels of
    ``group`` (never over Alertmanager's grouping). ``service_label`` is the service as a metric label: one of the
    closed set, ``other`` where a label chose a service that no file names. A ``drill`` never shares an incident with
    alerts that are none.
    """

    rule: str
    severity: Severity
    service: str
    service_label: str
    key: str
    group: tuple[tuple[str, str], ...]
    runbook: str | None = None
    unmatched: bool = False
    severity_defaulted: bool = False
    drill: bool = False


class Runbook(msgspec.Struct, frozen=True, kw_only=True):
    """A runbook of the rule files: what to look at and what to offer.

    ``left_out`` are probes that it names whose target is not configured.
    """

    name: str
    summary: str = ""
    diagnose: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    offer: tuple[str, ...] = ()


class ProbeDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``probes``: its type and that type's own settings."""

    name: str
    type: str
    settings: msgspec.Struct


class ActionDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``actions``: its type and that type's own settings."""

    name: str
    type: str
    settings: msgspec.Struct


class RuleSet(Protocol):
    """Immutable; a reload makes a new one."""

    @property
    def digest(self) -> str:
        """Over the files' contents."""
        ...

    @property
    def contacts(self) -> Mapping[str, Contact]:
        """Who can be reached where, by name."""
        ...

    @property
    def runbooks(self) -> Mapping[str, Runbook]:
        """By name."""
        ...

    @property
    def probes(self) -> Mapping[str, ProbeDefinition]:
        """By name."""
        ...

    @property
    def actions(self) -> Mapping[str, ActionDefinition]:
        """By name."""
        ...

    @property
    def automatic(self) -> frozenset[str]:
        """The actions that need nobody's approval."""
        ...

    @property
    def raises(self) -> Mapping[str, tuple[Raise, ...]]:
        """The findings that make an incident of a rule worse, by the rule's name."""
        ...

    @property
    def dependencies(self) -> Mapping[str, tuple[str, ...]]:
        """Each service that says so, and what it stands on."""
        ...

    @property
    def services(self) -> frozenset[str]:
        """The services that some file names: the closed set of metric labels."""
        ...

    def match(self, labels: Mapping[str, str]) -> Verdict:
        """Which rule takes an alert with these labels, and what follows."""
        ...

    def own(
        self, labels: Mapping[str, str], *, service: str | None = None, severity: Severity | None = None
    ) -> Verdict:
        """The verdict on a notice of our own, by default for our own service at the default rule's severity."""
        ...

    def policy(self, service: str) -> Policy:
        """The service's row of the matrix (the default's where it has none) with every severity's promises."""
        ...

    def channels_of(self, name: str, severity: Severity, stands_for: str = "") -> tuple[ChannelStep, ...]:
        """The plan of channels of a contact or a person, whether any file names them or not.

        Who has none of their own is reached over those of the name that they stand for just now.
        """
        ...
