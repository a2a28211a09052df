"""Over which channels somebody could be reached: the configured ones of their plan that have an address for them."""

from __future__ import annotations

from collections.abc import Mapping

from responder.incident.severity import Severity
from responder.oncall.readiness import Reach
from responder.paging.base import Channel
from responder.rules.compile import Compiled


def reach_of(rules: Compiled, channels: Mapping[str, Channel]) -> Reach:
    """Answers for a person, a severity and the name they stand for, as the delivery of a page would find it."""

    def reach(person: str, severity: str, stands_for: str) -> tuple[str, ...]:
        contact = rules.contact(person, stands_for)
        plan = [step.channel for step in rules.channels_of(person, Severity(severity), stands_for)]
        return tuple(name for name in plan if name in channels and channels[name].reaches(contact))

    return reach
