"""From a decoded body to durable alerts: classified by the rules, written in a group, answered after that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from responder.alerts import Alert, AlertStatus, fingerprint
from responder.intake.heartbeats import Heartbeats
from responder.intake.notices import Notices, opening_of
from responder.intake.senders import LISTED, signed
from responder.intake.webhook import Decoded, ends_ms, starts_ms
from responder.metrics import Metrics
from responder.overflow import Overflow
from responder.rules.model import RuleSet, Verdict
from responder.store.group_commit import GroupCommit
from responder.store.reading import Reader
from responder.store.store import AlertWrite

log = structlog.get_logger(__name__)

#: Outcomes of ``ingest.lua`` that changed something.
CHANGES = frozenset("narqb")
_OPENINGS_KEPT = 10_000


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The answer's body: what became of the alerts of one webhook."""

    received: int
    changed: int
    duplicate: int
    quarantined: int


class IntakeHooks(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears of every body that was read (``met``), and of alerts that could not be written (``refused``)."""

    met: Callable[[Decoded], None] = lambda _: None
    refused: Callable[[Sequence[tuple[Alert, AlertWrite]]], object] = lambda _: None


class Intake:
    """The road of an alert up to the disk."""

    def __init__(
        self,
        commits: GroupCommit,
        reader: Reader,
        rules: Callable[[], RuleSet],
        metrics: Metrics,
        heartbeats: Heartbeats,
        hooks: IntakeHooks | None = None,
    ) -> None:
        self._hooks = hooks or IntakeHooks()
        self._commits = commits
        self._beats_of = heartbeats.of if heartbeats.by_name else None
        self.notices = Notices(commits, rules)
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
        self._hooks.met(body)
        rules = self._rules()
        beats: dict[str, AlertWrite] = {}
        writes = [self._write(alert, signed(raw, body.sender), rules, beats) for alert, raw in body.good]
        try:
            return await self._take(body, writes, beats)
        except BaseException:  # whatever kept it from the disk, the time limit of the answer among it
            self._hooks.refused([(alert, write) for (alert, _), write in zip(body.good, writes, strict=True)])
            raise

    async def _take(
        self, body: Decoded, good: Sequence[AlertWrite], beats: Mapping[str, AlertWrite]
    ) -> Summary:
        resolved = sum(alert.status is AlertStatus.RESOLVED for alert, _ in body.good)
        self._received[AlertStatus.FIRING].inc(len(good) - resolved)
        self._received[AlertStatus.RESOLVED].inc(resolved)
        writes = [*good, *beats.values()]
        quarantined = [await self.quarantine(bad.raw, bad.reason) for bad in body.bad]
        if body.truncated:
            self._metrics.alerts_truncated.inc(body.truncated)
            writes.append(self.notices.write("ResponderAlertsTruncated", _truncated_text(body)))
        if body.bad:
            writes.append(self.notices.write("ResponderAlertQuarantined", _quarantined_text(body)))
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

    @property
    def open(self) -> bool:
        """Whether there is room for new alerts."""
        return not (self._commits.full or self._commits.closed)

    def found(self, alert: Alert, raw: str) -> AlertWrite | None:
        """How an alert is written that was found in Alertmanager's list; one that is a sign of life has to come."""
        if self._beats_of is not None and self._beats_of(alert.labels):
            return None
        return self._write(alert, signed(raw, LISTED), self._rules(), {})

    async def quarantine(self, raw: bytes, reason: str) -> int:
        """Keep what could not be read, once per distinct content; how often it has been seen."""
        self._metrics.alerts_quarantined.inc()
        seen, dropped = await self._reader.quarantine(raw, reason)
        for _ in range(dropped):
            self._metrics.overflowed(Overflow.QUARANTINE)
        if seen == 1:
            log.warning("quarantined", reason=reason, size=len(raw))
        return seen

    def _write(self, alert: Alert, raw: str, rules: RuleSet, beats: dict[str, AlertWrite]) -> AlertWrite:
        """What is written of an alert; where it is a sign of life, that goes into ``beats``."""
        name = alert.fingerprint or fingerprint(alert.labels)
        watches = self._beats_of(alert.labels) if self._beats_of is not None else ()
        if alert.status is AlertStatus.RESOLVED:
            return (name, "T" if watches else "R", starts_ms(alert), ends_ms(alert), 4, "", "", "")
        if watches:
            beats.update((watch.key, watch.beat) for watch in watches)
            return (name, "T", starts_ms(alert), 0, 4, "", "", "")
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
            known = self._openings[verdict] = opening_of(verdict)
        return known


def _truncated_text(body: Decoded) -> str:
    return (
        f"Alertmanager left {body.truncated} alert(s) out of a body to receiver {body.receiver}: "
        "raise or remove max_alerts of its webhook_config"
    )


def _quarantined_text(body: Decoded) -> str:
    reasons: Sequence[str] = [bad.reason for bad in body.bad[:3]]
    return f"{len(body.bad)} alert(s) of a body could not be read and are in quarantine: {'; '.join(reasons)}"
