"""The escalation policy: copied into an incident when it opens, so that an edited rule changes no running one."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from responder.incident.severity import Level, Severity


class SeverityPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What one severity promises.

    ``escalate`` holds the delay from the start of an episode after which a level is paged; the primary is paged at
    once. ``channels`` are tried in this order where the contact names none of its own; empty means every configured
    channel.
    """

    title: str
    respond_within: timedelta
    escalate: dict[Level, timedelta]
    update_every: timedelta = timedelta(minutes=30)
    channels: tuple[str, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A service's row of the matrix, with every severity's promises.

    ``contacts`` are names; who they are is looked up when a page is sent. ``channels`` are the ordered channels of
    each contact by severity, already resolved against the configuration. ``row`` names the row that was taken (the
    default's, where the service has none).
    """

    row: str
    contacts: dict[Level, str]
    severities: dict[Severity, SeverityPolicy]
    channels: dict[str, dict[Severity, tuple[str, ...]]] = {}
    triage_wait: timedelta = timedelta(seconds=2)
    monitor_for: timedelta = timedelta(minutes=30)
    stale_after: timedelta = timedelta(hours=24)
    channel_patience: timedelta = timedelta(seconds=30)
