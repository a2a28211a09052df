"""What a probe is: one file, one class, registered under its ``type``, that looks and answers with a finding."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

import aiohttp
import msgspec

from responder.clock import Clock
from responder.config import Targets
from responder.incident.finding import Finding, FindingStatus
from responder.registry import Registry


class ProbeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every probe's section of the rule files may say (beside its ``type``)."""

    timeout: timedelta = timedelta(seconds=5)


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe is told of the incident: sender's data, to be validated for what it becomes."""

    incident: str
    service: str
    labels: Mapping[str, str]
    opened_at: datetime


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A probe's own answer; the runner bounds, redacts, times and names it."""

    status: FindingStatus
    headline: str
    detail: str = ""
    suggests: str | None = None


class ProbeTools(msgspec.Struct, frozen=True, kw_only=True):
    """What every probe is given: the configured targets, one HTTP session and the clock."""

    targets: Targets
    session: aiohttp.ClientSession
    clock: Clock


class Probe(Protocol):
    """A way to look at a target. It never writes, and never makes things worse.

    ``target_kind`` is the section of ``targets`` that its ``target`` setting names, so that ``check`` can tell.
    """

    Settings: ClassVar[type[ProbeSettings]]
    target_kind: ClassVar[str]

    def __init__(self, settings: ProbeSettings, tools: ProbeTools) -> None: ...

    async def look(self, circumstances: Circumstances) -> Observation:
        """Look once. May raise anything: the runner turns it into a finding. Cancelled at its time limit."""
        ...


PROBES: Registry[Probe] = Registry("probe")

__all__ = ["PROBES", "Circumstances", "Finding", "Observation", "Probe", "ProbeSettings", "ProbeTools"]
