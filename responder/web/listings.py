"""What the API lists beside incidents: the rules in force, and bodies that could not be read."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from responder.rules.compile import Compiled
from responder.store.reading import Quarantined


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule; ``match`` are its matchers as Alertmanager writes them."""

    name: str
    match: tuple[str, ...]
    runbook: str | None


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in force, in the order in which they are tried; ``digest`` is the same on replicas that agree."""

    digest: str
    rules: tuple[RuleView, ...]


class QuarantinedView(msgspec.Struct, frozen=True, kw_only=True):
    """A body or an alert that could not be read; ``size`` in bytes, as it came."""

    digest: str
    reason: str
    first_seen: str
    last_seen: str
    seen: int
    size: int


class QuarantineView(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, newest first."""

    quarantine: tuple[QuarantinedView, ...]


def rules_view(rules: Compiled) -> RulesView:
    """The rules, and the default rule at the end."""
    listed = tuple(
        RuleView(
            name=rule.name,
            match=tuple(str(matcher) for matcher in rule.matchers),
            runbook=rule.shape.runbook,
        )
        for rule in (*rules.rules, rules.default)
    )
    return RulesView(digest=rules.digest, rules=listed)


def quarantine_view(found: Iterable[Quarantined]) -> QuarantineView:
    """What is kept, without the bodies."""
    names = QuarantinedView.__struct_fields__
    return QuarantineView(
        quarantine=tuple(QuarantinedView(**{name: getattr(one, name) for name in names}) for one in found)
    )
