"""What a probe is: one file, one class, registered under its ``type``, that looks and answers with a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Protocol

import msgspec

from responder.alerts import Alert
from responder.curves.painter import Painter
from responder.incident.finding import Finding, FindingStatus
from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.registry import Registry
from responder.targets.base import TargetSettings, Toolbox


class ProbeSettings(TargetSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every probe's section of the rule files may say (beside its ``type``).

    ``suggests`` names an action that would help where the finding is a warning or critical.
    """

    suggests: str | None = None


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe is told of the incident: sender's data, to be validated for what it becomes."""

    incident: str
    service: str
    labels: Mapping[str, str]
    opened_at: datetime
    severity: Severity = Severity.P3
    drill: bool = False


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of a finding: a PNG of at most 200 kB, and what it shows in words."""

    png: bytes
    alt: str


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A probe's own answer; the runner bounds, redacts, times and names it.

    ``link`` leads a person further (a dashboard); only http and https are shown.
    """

    status: FindingStatus
    headline: str
    detail: str = ""
    suggests: str | None = None
    chart: Chart | None = None
    link: str = ""


class Neighbours(Protocol):
    """What a probe may ask about incidents and rules; bounded, and only to look."""

    async def alerts(self, incident: str, limit: int) -> tuple[Sequence[Alert], int]:
        """A sample of the incident's alerts, and how many there are. Raises ``StoreError``."""
        ...

    async def open_incidents(self, limit: int) -> Sequence[Incident]:
        """Incidents that are open, newest first. Raises ``StoreError``."""
        ...

    def dependencies(self) -> Mapping[str, tuple[str, ...]]:
        """Each service of the rule files and what it stands on."""
        ...


class ProbeTools(Toolbox, frozen=True, kw_only=True):
    """What every probe is given beside the targets."""

    neighbours: Neighbours
    painter: Painter = msgspec.field(default_factory=Painter)


class Probe(Protocol):
    """A way to look at a target. It never writes, and never makes things worse.

    ``per_incident``: what it sees depends on more of the incident than the labels that its settings name; its
    findings are not shared between incidents.
    """

    Settings: ClassVar[type[ProbeSettings]]
    per_incident: ClassVar[bool]

    def __init__(self, settings: ProbeSettings, tools: ProbeTools) -> None: ...

    async def look(self, circumstances: Circumstances) -> Observation:
        """Look once. May raise anything: the runner turns it into a finding. Cancelled at its time limit."""
        ...


PROBES: Registry[Probe] = Registry("probe")

__all__ = [
    "PROBES", "Chart", "Circumstances", "Finding", "FindingStatus", "Neighbours", "Observation", "Probe",
    "ProbeSettings", "ProbeTools",
]  # fmt: skip
