"""Every metric in one place, derived from decisions, with every label set there is at zero from the start.

No label holds a value that a sender chooses: a service that no rule file names counts as ``other``.
Source: Prometheus' naming and instrumentation practices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from responder.incident import decision as decided
from responder.incident.decision import Decision, Measured
from responder.incident.severity import LEVELS, Severity
from responder.incident.state import Incident
from responder.overflow import Overflow
from responder.release import release

OTHER = "other"

_PROMISES = (
    decided.FirstPaged, decided.Escalated, decided.ResponseJudged, decided.AcknowledgedAfter, decided.ResolvedAfter,
)  # fmt: skip
_DRILL = (*_PROMISES, decided.PagesHeld)
_ALL = (*_PROMISES, decided.Opened, decided.Unreachable)

_TO_PAGE = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300)
#: Cut at the promised response times: 15 m, 1 h, 4 h, 24 h.
_TO_ACKNOWLEDGE = (60, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_TO_RESOLVE = (300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 259200, 604800)
_PROBE = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20)

WEBHOOK_CODES = ("200", "400", "401", "413", "415", "503")
ACTION_OUTCOMES = (
    "refused", "rehearsed", "performed", "failed", "unknown", "effective", "ineffective",
)  # fmt: skip
HEARTBEAT_OUT_OUTCOMES = ("sent", "failed", "withheld")
PAGE_OUTCOMES = (
    "delivered", "retried", "failed", "unreachable", "dropped", "expired", "listed", "folded", "unasked",
)  # fmt: skip


class Metrics:
    """The daemon's numbers, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.webhooks = Counter(
            "responder_webhooks_total", "Webhook requests by answer", ["code"], registry=registry
        )
        self.alerts_received = Counter(
            "responder_alerts_received_total", "Alerts received, before deduplication",
            ["status"], registry=registry,
        )  # fmt: skip
        self.alerts_duplicate = Counter(
            "responder_alerts_duplicate_total", "Alerts that changed nothing", registry=registry
        )
        self.alerts_unmatched = Counter(
            "responder_alerts_unmatched_total",
            "Firing alerts that fell to the default rule",
            registry=registry,
        )
        self.alerts_quarantined = Counter(
            "responder_alerts_quarantined_total", "Alerts or bodies that could not be read", registry=registry
        )
        self.alerts_truncated = Counter(
            "responder_alerts_truncated_total",
            "Alerts that Alertmanager left out of a body",
            registry=registry,
        )
        self.severity_defaulted = Counter(
            "responder_severity_defaulted_total", "Firing alerts whose severity label was unknown",
            registry=registry,
        )  # fmt: skip
        self.incidents_opened = Counter(
            "responder_incidents_opened_total", "Incidents opened", ["service", "severity"], registry=registry
        )
        self.incidents_open = Gauge(
            "responder_incidents_open", "Open incidents", ["service", "severity", "state"], registry=registry
        )
        self._durations(registry)
        self.sla_response = Counter(
            "responder_sla_response_total", "Response promises, judged once an episode: at the acknowledgement or at the deadline",
            ["service", "severity", "outcome"], registry=registry,
        )  # fmt: skip
        self.escalations = Counter(
            "responder_escalations_total", "Levels paged because the one before did not acknowledge",
            ["service", "severity", "level"], registry=registry,
        )  # fmt: skip
        self.unreachable = Counter(
            "responder_levels_unreachable_total", "Levels on which nobody was on call or nobody could be reached",
            ["service", "severity", "level"], registry=registry,
        )  # fmt: skip
        self.pages_held = Counter(
            "responder_pages_held_total", "Times that something began to hold an incident's pages back",
            ["service", "severity", "kind"], registry=registry,
        )  # fmt: skip
        self.pages = Counter(
            "responder_pages_total", "Messages by channel and what became of them", ["channel", "outcome"],
            registry=registry,
        )  # fmt: skip
        self.channel_up = Gauge(
            "responder_channel_up", "Whether this replica's own sends over the channel get through", ["channel"],
            registry=registry,
        )  # fmt: skip
        self.slack_socket_connected = Gauge(
            "responder_slack_socket_connected", "Whether this replica's Socket Mode connection is open", ["channel"],
            registry=registry,
        )  # fmt: skip
        self.actions = Counter(
            "responder_actions_total", "Actions by name and outcome", ["action", "outcome"], registry=registry
        )
        self._state(registry)

    def _durations(self, registry: CollectorRegistry) -> None:
        self.time_to_page = Histogram(
            "responder_time_to_page_seconds", "From the opening of an incident, or the end of what held it back, to its first delivered page",
            ["severity"], buckets=_TO_PAGE, registry=registry,
        )  # fmt: skip
        self.time_to_acknowledge = Histogram(
            "responder_time_to_acknowledge_seconds", "From the first page's due time to the acknowledgement",
            ["service", "severity"], buckets=_TO_ACKNOWLEDGE, registry=registry,
        )  # fmt: skip
        self.time_to_resolve = Histogram(
            "responder_time_to_resolve_seconds", "From the opening of an incident to its end, the watch included",
            ["service", "severity"], buckets=_TO_RESOLVE, registry=registry,
        )  # fmt: skip
        self.probe_duration = Histogram(
            "responder_probe_duration_seconds", "How long probes took", ["probe", "outcome"],
            buckets=_PROBE, registry=registry,
        )  # fmt: skip

    def _state(self, registry: CollectorRegistry) -> None:
        self.store_up = Gauge("responder_store_up", "Whether the store answers", registry=registry)
        self.blind_mode = Gauge(
            "responder_blind_mode",
            "Whether this replica takes no alerts because the store does not, and pages from memory",
            registry=registry,
        )
        self.blind_pages = Counter(
            "responder_blind_pages_total", "Pages that were delivered from memory", registry=registry
        )
        self.wake_lag = Gauge(
            "responder_wake_lag_seconds",
            "How long the longest overdue incident has been due",
            registry=registry,
        )
        self.outbox_depth = Gauge(
            "responder_outbox_depth", "Lanes of effects that wait to be performed", registry=registry
        )
        self.outbox_lag = Gauge(
            "responder_outbox_lag_seconds", "How long the longest overdue lane of effects has been due", registry=registry
        )  # fmt: skip
        self.heartbeat_last_seen = Gauge(
            "responder_heartbeat_last_seen_timestamp_seconds", "When a heartbeat was last seen", ["name"],
            registry=registry,
        )  # fmt: skip
        self.reconcile_success = Gauge(
            "responder_reconcile_last_success_timestamp_seconds",
            "When this replica last compared with Alertmanager, every peer answering", registry=registry,
        )  # fmt: skip
        self.reconcile_changes = Counter(
            "responder_reconcile_changes_total", "What comparing with Alertmanager has changed", ["kind"],
            registry=registry,
        )  # fmt: skip
        self.oncall_ready = Gauge(
            "responder_oncall_ready",
            "Whether in the coming 14 days somebody is on call at this level, can be reached, and is not everywhere",
            ["service", "level"], registry=registry,
        )  # fmt: skip
        self.calendar_last_success = Gauge(
            "responder_calendar_last_success_timestamp_seconds",
            "When a schedule's calendar was last read or found unchanged; 0 for never", ["name"],
            registry=registry,
        )  # fmt: skip
        self._overflow = Counter(
            "responder_overflow_total", "What found no place in a bounded queue or memory, by which", ["queue"],
            registry=registry,
        )  # fmt: skip
        self.effects_unreadable = Counter(
            "responder_effects_unreadable_total", "Effects dropped because no replica could read them",
            registry=registry,
        )  # fmt: skip
        for queue in Overflow:
            self._overflow.labels(queue)
        self._liveness(registry)
        self.reload_successful = Gauge(
            "responder_config_last_reload_successful", "Whether the last load of the rules succeeded",
            registry=registry,
        )  # fmt: skip
        self.reload_timestamp = Gauge(
            "responder_config_last_reload_success_timestamp_seconds", "When the rules were last loaded",
            registry=registry,
        )  # fmt: skip
        self.config_stale = Gauge(
            "responder_config_stale", "Whether responder.yaml on disk is not what runs, or has errors; a restart reads it",
            registry=registry,
        )  # fmt: skip
        build = Gauge("responder_build_info", "The running version", ["version"], registry=registry)
        build.labels(release()).set(1)

    def _liveness(self, registry: CollectorRegistry) -> None:
        self.heartbeat_out = Counter(
            "responder_heartbeat_out_total", "Our own signs of life: sent, failed, or withheld because something is wrong",
            ["outcome"], registry=registry,
        )  # fmt: skip
        self.heartbeat_out_success = Gauge(
            "responder_heartbeat_out_last_success_timestamp_seconds", "When this replica last gave its sign of life",
            registry=registry,
        )  # fmt: skip
        self.canary_seconds = Histogram(
            "responder_canary_seconds", "How long the canary took from its opening to the delivery of its page",
            buckets=_TO_PAGE, registry=registry,
        )  # fmt: skip
        self.canary_failures = Counter(
            "responder_canary_failures_total", "Canaries that did not come through in time", registry=registry
        )
        self.canary_success = Gauge(
            "responder_canary_last_success_timestamp_seconds", "When the canary last came through", registry=registry
        )  # fmt: skip
        self.watchdog_repairs = Counter(
            "responder_watchdog_repairs_total", "States that cannot be, which the watchdog mended", ["kind"],
            registry=registry,
        )  # fmt: skip
        self.watchdog_run = Gauge(
            "responder_watchdog_last_run_timestamp_seconds", "When the watchdog last ran, on any replica", registry=registry
        )  # fmt: skip
        self.drill_seconds = Gauge(
            "responder_drill_seconds", "How long the last run of a drill took to be acknowledged", ["name"],
            registry=registry,
        )  # fmt: skip
        self.drill_result = Gauge(
            "responder_drill_last_result", "Whether the last run of a drill was acknowledged in time", ["name"],
            registry=registry,
        )  # fmt: skip
        self.drill_run = Gauge(
            "responder_drill_last_run_timestamp_seconds", "When a drill was last begun", ["name"], registry=registry
        )  # fmt: skip
        for outcome in HEARTBEAT_OUT_OUTCOMES:
            self.heartbeat_out.labels(outcome)

    def begin(self, services: Iterable[str], channels: Iterable[str], actions: Iterable[str]) -> None:
        """Show every label set that can occur, at zero: the first event must be seen by ``rate()``."""
        for code in WEBHOOK_CODES:
            self.webhooks.labels(code)
        for status in ("firing", "resolved"):
            self.alerts_received.labels(status)
        for channel in channels:
            for outcome in PAGE_OUTCOMES:
                self.pages.labels(channel, outcome)
        for action in actions:
            for outcome in ACTION_OUTCOMES:
                self.actions.labels(action, outcome)
        for severity in Severity:
            self.time_to_page.labels(severity)
            for service in (*services, OTHER):
                self._begin_service(service, severity)

    def _begin_service(self, service: str, severity: Severity) -> None:
        for metric in (self.incidents_opened, self.time_to_acknowledge, self.time_to_resolve):
            metric.labels(service, severity)
        for outcome in ("met", "breached"):
            self.sla_response.labels(service, severity, outcome)
        for level in LEVELS:
            self.escalations.labels(service, severity, level)
            self.unreachable.labels(service, severity, level)

    def observe(self, decision: Decision) -> None:
        """Count what a decision says; nobody else counts incidents. The canary is counted by nobody."""
        incident = decision.incident
        service = incident.service_label
        for measured in _counted(incident, decision.measured):
            severity = measured.severity
            match measured.what:
                case decided.Opened():
                    self.incidents_opened.labels(service, severity).inc()
                case decided.FirstPaged(seconds=seconds):
                    self.time_to_page.labels(severity).observe(seconds)
                case decided.Escalated(level=level):
                    self.escalations.labels(service, severity, level).inc()
                case decided.Unreachable(level=level):
                    self.unreachable.labels(service, severity, level).inc()
                case decided.PagesHeld(kind=kind):
                    self.pages_held.labels(service, severity, kind.name.lower()).inc()
                case decided.ResponseJudged(met=met):
                    self.sla_response.labels(service, severity, "met" if met else "breached").inc()
                case decided.AcknowledgedAfter(seconds=seconds):
                    self.time_to_acknowledge.labels(service, severity).observe(seconds)
                case decided.ResolvedAfter(seconds=seconds):
                    self.time_to_resolve.labels(service, severity).observe(seconds)

    def overflowed(self, queue: Overflow) -> None:
        """Count something that found no place."""
        self._overflow.labels(queue).inc()

    def set_shared(self, counts: Mapping[tuple[str, str, str], int], depth: int, lag: float) -> None:
        """Show the store's counts: open incidents, what waits; the same on every replica, so dashboards take the maximum."""
        self.store_up.set(True)
        self.outbox_depth.set(depth)
        self.outbox_lag.set(lag)
        self.incidents_open.clear()
        for labels, count in counts.items():
            self.incidents_open.labels(*labels).set(count)

    def set_ready(self, ready: Mapping[tuple[str, str], bool]) -> None:
        """Show, for each service and level of the matrix, whether somebody will be there; rows that went are gone."""
        self.oncall_ready.clear()
        for labels, one in ready.items():
            self.oncall_ready.labels(*labels).set(one)

    def set_calendars(self, confirmed: Mapping[str, float]) -> None:
        """Show when each calendar was last confirmed."""
        self.calendar_last_success.clear()
        for name, at in confirmed.items():
            self.calendar_last_success.labels(name).set(at)

    def expose(self, accept: str) -> tuple[bytes, str]:
        """The text that the ``Accept`` header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


def _counted(incident: Incident, measured: Iterable[Measured]) -> list[Measured]:
    """What of an incident is counted: nothing of the canary, and of a drill nothing of promises and pages held back."""
    left_out = _ALL if incident.canary else _DRILL if incident.drill else ()
    return [one for one in measured if not isinstance(one.what, left_out)]
