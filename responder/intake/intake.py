"""From a decoded body to durable alerts: classified by the rules, written in a group, answered after that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from responder.alerts import Alert, AlertStatus, fingerprint
from responder.incident.opening import Opening
from responder.intake.webhook import Decoded, ends_ms, starts_ms
from responder.metrics import Metrics
from responder.rules.model import RuleSet, Verdict
from responder.store.errors import StoreError
from responder.store.group_commit import GroupCommit
from responder.store.reading import Reader
from responder.store.store import AlertWrite

log = structlog.get_logger(__name__)

#: Outcomes of ``ingest.lua`` that changed something.
CHANGES = frozenset("narq")
_ENCODE = msgspec.json.Encoder()
_OPENINGS_KEPT = 10_000
#: Our own notices have no beginning of their own; a fixed one makes a repeated notice a duplicate.
_SINCE = datetime(2000, 1, 1, tzinfo=UTC)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The answer's body: what became of the alerts of one webhook."""

    received: int
    changed: int
    duplicate: int
    quarantined: int


class Intake:
    """The road of an alert up to the disk."""

    def __init__(
        self,
        commits: GroupCommit,
        reader: Reader,
        rules: Callable[[], RuleSet],
        metrics: Metrics,
        *,
        refused: Callable[[Sequence[tuple[Alert, AlertWrite]]], object] = lambda _: None,
    ) -> None:
        """``refused`` hears of alerts that could not be written."""
        self._refused = refused
        self._commits = commits
        self._reader = reader
        self._rules = rules
        self._metrics = metrics
        self._received = {status: metrics.alerts_received.labels(status) for status in AlertStatus}
        self._openings: dict[Verdict, str] = {}

    async def take(self, body: Decoded) -> Summary:
        """Make every good alert of the body durable, and keep the bad ones aside.

        Raises:
            StoreError: where they could not be written; nothing is answered with 200 then.
        """
        writes = [self._write(alert, raw, self._rules()) for alert, raw in body.good]
        try:
            return await self._take(body, writes)
        except BaseException:  # whatever kept it from the disk, the time limit of the answer among it
            self._refused([(alert, write) for (alert, _), write in zip(body.good, writes, strict=True)])
            raise

    async def _take(self, body: Decoded, good: Sequence[AlertWrite]) -> Summary:
        writes = list(good)
        firing = sum(write[1] == "F" for write in writes)
        self._received[AlertStatus.FIRING].inc(firing)
        self._received[AlertStatus.RESOLVED].inc(len(writes) - firing)
        quarantined = [await self.quarantine(bad.raw, bad.reason) for bad in body.bad]
        if body.truncated:
            self._metrics.alerts_truncated.inc(body.truncated)
            writes.append(self._notice("ResponderAlertsTruncated", _truncated_text(body)))
        if body.bad:
            writes.append(self._notice("ResponderAlertQuarantined", _quarantined_text(body)))
        taken = await self._commits.submit(writes) if writes else None
        outcomes = taken.outcomes[: len(body.good)] if taken else ""
        changed = sum(letter in CHANGES for letter in outcomes)
        duplicate = len(outcomes) - changed
        self._metrics.alerts_duplicate.inc(duplicate)
        return Summary(
            received=len(body.good) + len(body.bad),
            changed=changed,
            duplicate=duplicate,
            quarantined=len(quarantined),
        )

    async def quarantine(self, raw: bytes, reason: str) -> int:
        """Keep what could not be read, once per distinct content; how often it has been seen."""
        self._metrics.alerts_quarantined.inc()
        seen = await self._reader.quarantine(raw, reason)
        if seen == 1:
            log.warning("quarantined", reason=reason, size=len(raw))
        return seen

    async def refused(self, alertname: str, text: str) -> None:
        """Something was refused as a whole: that is seen as an incident of our own, once."""
        try:
            await self._commits.submit([self._notice(alertname, text)])
        except StoreError as error:
            log.warning("refusal not recorded", alertname=alertname, error=str(error))

    def _write(self, alert: Alert, raw: str, rules: RuleSet) -> AlertWrite:
        name = alert.fingerprint or fingerprint(alert.labels)
        if alert.status is AlertStatus.RESOLVED:
            return (name, "R", starts_ms(alert), ends_ms(alert), 4, "", "", "")
        verdict = rules.match(alert.labels)
        if verdict.unmatched:
            self._metrics.alerts_unmatched.inc()
        if verdict.severity_defaulted:
            self._metrics.severity_defaulted.inc()
        rank = verdict.severity.rank
        return (name, "F", starts_ms(alert), 0, rank, verdict.key, self._opening(verdict), raw)

    def _opening(self, verdict: Verdict) -> str:
        known = self._openings.get(verdict)
        if known is None:
            if len(self._openings) >= _OPENINGS_KEPT:
                self._openings.clear()
            opening = Opening(
                rule=verdict.rule,
                service=verdict.service,
                service_label=verdict.service_label,
                severity=verdict.severity,
                runbook=verdict.runbook,
                group=verdict.group,
            )
            known = self._openings[verdict] = _ENCODE.encode(opening).decode()
        return known

    def _notice(self, alertname: str, text: str) -> AlertWrite:
        """An alert of our own; it goes the ordinary road, and the same notice again is a duplicate."""
        labels = {"alertname": alertname, "service": "responder"}
        alert = Alert(
            fingerprint=fingerprint(labels),
            status=AlertStatus.FIRING,
            labels=labels,
            annotations={"summary": text},
            starts_at=_SINCE,
        )
        verdict = self._rules().own(labels)
        raw = _ENCODE.encode(alert).decode()
        rank = verdict.severity.rank
        return (alert.fingerprint, "F", starts_ms(alert), 0, rank, verdict.key, self._opening(verdict), raw)


def _truncated_text(body: Decoded) -> str:
    return (
        f"Alertmanager left {body.truncated} alert(s) out of a body to receiver {body.receiver}: "
        "raise or remove max_alerts of its webhook_config"
    )


def _quarantined_text(body: Decoded) -> str:
    reasons: Sequence[str] = [bad.reason for bad in body.bad[:3]]
    return f"{len(body.bad)} alert(s) of a body could not be read and are in quarantine: {'; '.join(reasons)}"
