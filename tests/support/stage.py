"""A stage for the pure core: minutes are numbers, nothing sleeps, and the expectation is the whole dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from responder.alerts import Alert, AlertStatus
from responder.incident.advance import advance
from responder.incident.around import Around
from responder.incident.decision import Decision, Measured, Reason
from responder.incident.draft import Outside
from responder.incident.effects import (
    CheckAction,
    Effect,
    LeaveDigest,
    PassOn,
    RunAction,
    RunTriage,
    SendMessage,
    SendNotice,
    SettleDoubts,
    Spread,
)
from responder.incident.facts import Fact, MessageDelivered, MessageFailed
from responder.incident.hold import Hold
from responder.incident.opening import Opening, Plan, open_incident
from responder.incident.policy import AcknowledgementPolicy, ChannelStep, Policy, SeverityPolicy
from responder.incident.reach import OnCall
from responder.incident.severity import Level, Severity
from responder.incident.state import Incident, Totals

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RESPONSE = {Severity.P1: 15, Severity.P2: 60, Severity.P3: 240, Severity.P4: 1440}


def plan(*steps: str | ChannelStep) -> tuple[ChannelStep, ...]:
    """Channels in their order."""
    return tuple(ChannelStep(channel=one) if isinstance(one, str) else one for one in steps)


def after(minutes: float, channel: str) -> ChannelStep:
    """A channel that is due so long after its person was reached."""
    return ChannelStep(channel=channel, after=minutes * MINUTE)


def policy(
    contacts: dict[Level, str] | None = None,
    channels: tuple[str | ChannelStep, ...] = ("chat",),
    unreachable: tuple[str, ...] = (),
    *,
    everybody: tuple[Level, ...] = (),
    standing: AcknowledgementPolicy | None = None,
) -> Policy:
    """The runbook's row for the database, its severities and their promises."""
    row = contacts if contacts is not None else {
        Level.PRIMARY: "dbteam", Level.SECONDARY: "platform", Level.EXECUTIVE: "cto",
    }  # fmt: skip
    return Policy(
        row="database",
        contacts=row,
        severities={
            severity: SeverityPolicy(
                title=severity.value,
                respond_within=minutes * MINUTE,
                escalate={Level.SECONDARY: minutes / 3 * MINUTE, Level.EXECUTIVE: minutes * MINUTE},
                acknowledgement=standing or AcknowledgementPolicy(),
            )
            for severity, minutes in RESPONSE.items()
        },
        channels={
            name: dict.fromkeys(Severity, () if name in unreachable else plan(*channels))
            for name in row.values()
        },
        everybody=everybody,
    )


class Play:
    """Plays facts to one incident and keeps the dialogue."""

    def __init__(
        self,
        severity: Severity = Severity.P1,
        probes: tuple[str, ...] = (),
        rules: Policy | None = None,
        on_call: OnCall | None = None,
        holds: tuple[Hold, ...] = (),
        around: Around | None = None,
        *,
        drill: bool = False,
    ) -> None:
        self.on_call = on_call or OnCall()
        self.holds = holds
        self.around = around or Around()
        self.severity = severity
        self.firing = dict.fromkeys(Severity, 0)
        self.fired = dict.fromkeys(Severity, 0)
        self.resolved = self.doubts = 0
        self.minute = 0.0
        alert = Alert(
            fingerprint="0" * 16,
            status=AlertStatus.FIRING,
            labels={"alertname": "PostgresTooManyConnections", "service": "database"},
            annotations={"summary": "97 of 100 connections used"},
            starts_at=START,
        )
        opening = Opening(
            rule="r", service="database", service_label="database", severity=severity, drill=drill
        )
        plan = Plan(policy=rules or policy(), probes=probes)
        self.incident: Incident = open_incident("1" * 16, "k", opening, alert, plan, START)
        self.decisions: list[Decision] = []
        self.effects: list[tuple[float, Effect]] = []
        self.asides: list[tuple[float, SendMessage]] = []
        self.fire(severity)
        self.at(0, opened=True)

    @property
    def totals(self) -> Totals:
        return Totals(
            firing=dict(self.firing),
            fired=dict(self.fired),
            resolved=self.resolved,
            doubts=self.doubts,
            heard_at=START + self.minute * MINUTE,
        )

    def fire(self, severity: Severity, count: int = 1) -> Play:
        self.firing[severity] += count
        self.fired[severity] += count
        return self

    def clear(self, severity: Severity | None = None) -> Play:
        for one in [severity] if severity else list(Severity):
            self.resolved += self.firing[one]
            self.firing[one] = 0
        return self

    def at(self, minute: float, *facts: Fact, opened: bool = False) -> Decision:
        """Decide at this minute; what it asks for is performed at once only where the test says so."""
        self.minute = minute
        now = START + minute * MINUTE
        outside = Outside(on_call=self.on_call, holds=self.holds, around=self.around)
        decision = advance(self.incident, self.totals, facts, now, opened=opened, outside=outside)
        self.incident = msgspec.json.decode(msgspec.json.encode(decision.incident), type=Incident)
        self.decisions.append(decision)
        aside = [one for one in decision.effects if isinstance(one, SendMessage) and one.aside]
        self.asides += [(minute, effect) for effect in aside]
        self.effects += [(minute, effect) for effect in decision.effects if effect not in aside]
        return decision

    def until(self, minute: float) -> Play:
        """Let the alarm clock ring as often as the incident asks for it, up to this minute."""
        for _ in range(10_000):
            wake = self.incident.wake_at
            if wake is None or wake > START + minute * MINUTE:
                return self
            self.at((wake - START) / MINUTE)
        pytest.fail("the incident wakes without end")

    def delivered(self, minute: float | None = None) -> Decision:
        """Every message asked for by the last decision is delivered."""
        facts = [
            MessageDelivered(at=self.now, effect=e.id, page=e.page, kind=e.kind, attempt=1)
            for e in self.decisions[-1].effects
            if isinstance(e, SendMessage)
        ]
        return self.at(self.minute if minute is None else minute, *facts)

    def failed(self, reason: str = "gone") -> Decision:
        """Every message asked for by the last decision fails for good."""
        facts = [
            MessageFailed(at=self.now, effect=e.id, page=e.page, kind=e.kind, reason=reason)
            for e in self.decisions[-1].effects
            if isinstance(e, SendMessage)
        ]
        return self.at(self.minute, *facts)

    @property
    def now(self) -> datetime:
        return START + self.minute * MINUTE

    @property
    def dialogue(self) -> list[tuple[float, str]]:
        """Who was asked what, at which minute."""
        return [(round(minute, 2), _short(effect)) for minute, effect in self.effects]

    @property
    def measured(self) -> list[Measured]:
        return [one for decision in self.decisions for one in decision.measured]

    def reasons(self) -> list[Reason]:
        return [entry.reason for decision in self.decisions for entry in decision.entries]


def _short(effect: Effect) -> str:
    match effect:
        case SendMessage(kind=kind, level=level, contact=contact, channel=channel):
            return f"{kind} {level} {contact} {channel}"
        case RunTriage(probes=probes):
            return f"triage {','.join(probes)}"
        case SettleDoubts() | Spread() | LeaveDigest():
            return str(type(effect).__struct_config__.tag)
        case PassOn(fact=fact):
            return f"pass on {fact.__struct_config__.tag}"
        case SendNotice(contact=contact, title=title):
            return f"notice {contact} {title}"
        case RunAction(name=name) | CheckAction(name=name):
            return f"{type(effect).__struct_config__.tag} {name}"


def kinds(effects: Sequence[Effect]) -> list[str]:
    """What is asked of whom, without what is only said aside."""
    return [_short(effect) for effect in effects if not getattr(effect, "aside", False)]
