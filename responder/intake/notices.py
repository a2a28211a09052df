"""Alerts of our own: they go the ordinary road, under the default rule, and the same one again is a duplicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
import structlog

from responder.alerts import NO_BEGINNING, Alert, AlertStatus, fingerprint
from responder.incident.canary import CANARY
from responder.incident.opening import Opening
from responder.incident.severity import Severity
from responder.intake.webhook import starts_ms
from responder.rules.compile import OWN_SERVICE
from responder.rules.model import RuleSet, Verdict
from responder.store.errors import StoreError
from responder.store.group_commit import GroupCommit
from responder.store.store import AlertWrite

log = structlog.get_logger(__name__)

_ENCODE = msgspec.json.Encoder()


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of our own. ``service`` and ``severity``: of whom it speaks, by default of us, at the default rule's.

    ``detail`` is what is true of this firing only. Most have no beginning: a fixed one makes a repeated notice a duplicate.
    """

    labels: dict[str, str]
    text: str
    detail: str = ""
    starts_at: datetime = NO_BEGINNING
    service: str | None = None
    severity: Severity | None = None


def opening_of(verdict: Verdict, *, canary: bool = False) -> str:
    """How an incident of this verdict begins, as the store keeps it."""
    opening = Opening(
        rule=CANARY if canary else verdict.rule,
        service=verdict.service,
        service_label=verdict.service_label,
        severity=verdict.severity,
        runbook=verdict.runbook,
        group=verdict.group,
        drill=verdict.drill,
        canary=canary,
    )
    return _ENCODE.encode(opening).decode()


def labels_of(own: Own) -> dict[str, str]:
    """All labels, with the service's."""
    return {**own.labels, "service": own.service or OWN_SERVICE}


def firing(own: Own, rules: RuleSet, *, canary: bool = False) -> AlertWrite:
    """The write that makes it fire."""
    labels = labels_of(own)
    verdict = rules.own(labels, service=own.service, severity=own.severity)
    alert = Alert(
        fingerprint=fingerprint(labels),
        status=AlertStatus.FIRING,
        labels=labels,
        annotations={"summary": own.text, **({"description": own.detail} if own.detail else {})},
        starts_at=own.starts_at,
    )
    raw = _ENCODE.encode(alert).decode()
    opening = opening_of(verdict, canary=canary)
    code = "C" if canary else "F"
    return (alert.fingerprint, code, starts_ms(alert), 0, verdict.severity.rank, verdict.key, opening, raw)


class Notices:
    """Tells our own people of what is wrong with us."""

    def __init__(self, commits: GroupCommit, rules: Callable[[], RuleSet]) -> None:
        self._commits = commits
        self._rules = rules

    def write(self, alertname: str, text: str, more: Mapping[str, str] | None = None) -> AlertWrite:
        """A notice, to be written with what it belongs to."""
        return firing(Own(labels={"alertname": alertname, **(more or {})}, text=text), self._rules())

    async def tell(self, alertname: str, text: str, more: Mapping[str, str] | None = None) -> None:
        """Open an incident of our own, once; where that cannot be written, the log has it."""
        try:
            await self._commits.submit([self.write(alertname, text, more)])
        except StoreError as error:
            log.warning("notice not recorded", alertname=alertname, error=str(error))
