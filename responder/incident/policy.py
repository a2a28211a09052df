"""The escalation policy: copied into an incident when it opens, so that an edited rule changes no running one."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from responder.durations import format_duration
from responder.incident.severity import Level, Severity


class ChannelStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One channel of a person's plan.

    Without ``after`` it is tried where the one before has failed or does not deliver. With it, it is tried that long
    after the person was reached, neither sooner nor later, whatever the channels before it delivered.
    """

    channel: str
    after: timedelta | None = None

    def __str__(self) -> str:
        return self.channel if self.after is None else f"{self.channel} after {format_duration(self.after)}"


#: A person's channels by severity.
Plans = dict[Severity, tuple[ChannelStep, ...]]


class AcknowledgementPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long an acknowledgement stands while no person does anything; ``None`` for ever.

    Who has it is reminded at each ``remind_after`` of silence; after ``lapse_after`` it is paged anew.
    """

    remind_after: timedelta | None = None
    lapse_after: timedelta | None = None


class SeverityPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What one severity promises.

    ``escalate`` holds the delay from the start of an episode after which a level is paged; the primary is paged at
    once.
    """

    title: str
    respond_within: timedelta
    escalate: dict[Level, timedelta]
    update_every: timedelta = timedelta(minutes=30)
    acknowledgement: AcknowledgementPolicy = AcknowledgementPolicy()


class FlappingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What begins to fire ``count`` times ``within`` this is not paged anew each time."""

    count: int = 4
    within: timedelta = timedelta(minutes=15)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A service's row of the matrix, with every severity's promises.

    ``contacts`` are names; which people they stand for is asked when a level is reached. ``channels`` are the plans
    of these names, already resolved against the configuration. On the levels of ``everybody`` each person has to
    acknowledge. ``row`` names the row that was taken (the default's, where the service has none).
    """

    row: str
    contacts: dict[Level, str]
    severities: dict[Severity, SeverityPolicy]
    # Its name in the snapshot is another than schema 1's, whose readers then see the newer schema, not damage.
    channels: dict[str, Plans] = msgspec.field(name="plans", default_factory=dict)
    everybody: tuple[Level, ...] = ()
    triage_wait: timedelta = timedelta(seconds=2)
    monitor_for: timedelta = timedelta(minutes=30)
    stale_after: timedelta = timedelta(hours=24)
    channel_patience: timedelta = timedelta(seconds=30)
    flapping: FlappingPolicy = FlappingPolicy()
