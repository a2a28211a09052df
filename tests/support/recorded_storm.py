"""The recorded storm: a database falls over, and what stands on it; 1,000 alerts of 12 services in five minutes.

``python tests/support/recorded_storm.py`` writes the recording anew, the same to the byte. A line is one webhook: when it
comes and since when its alerts fire (milliseconds), whether they fire, their name, service, severity, shard, and the
instances, one alert each.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

RECORDING = Path(__file__).parents[1] / "fixtures" / "storm" / "recording.tsv"
#: What stands on what, as a rule file says it.
SERVICES = """
services:
  pgbouncer: {depends_on: [database]}
  auth: {depends_on: [pgbouncer]}
  api: {depends_on: [pgbouncer, cache]}
  search: {depends_on: [database]}
  billing: {depends_on: [api, auth]}
  dashboards: {depends_on: [api]}
  reports: {depends_on: [database, dashboards]}
  mail: {depends_on: [queue]}
"""
#: An incident for each name, service and shard; a P1 is paged over the phone as well.
RULES = """
severities:
  P1: {respond_within: 15m, escalate: {secondary: 5m, executive: 15m}}
  P2: {respond_within: 1h, escalate: {secondary: 20m, executive: 1h}}
  P3: {respond_within: 4h}
  P4: {respond_within: 24h}
escalation:
  database: {primary: dba, secondary: lead, executive: cto}
  pgbouncer: {primary: dba, secondary: lead, executive: cto}
  cache: {primary: platform, secondary: lead, executive: cto}
  queue: {primary: platform, secondary: lead, executive: cto}
  storage: {primary: platform, secondary: lead, executive: cto}
  mail: {primary: platform, secondary: lead, executive: cto}
  auth: {primary: backend, secondary: lead, executive: cto}
  api: {primary: backend, secondary: lead, executive: cto}
  search: {primary: backend, secondary: lead, executive: cto}
  billing: {primary: backend, secondary: lead, executive: cto}
  dashboards: {primary: analysts, secondary: lead, executive: cto}
  reports: {primary: analysts, secondary: lead, executive: cto}
default: {severity: P3, service: storage}
rules:
  - name: all
    match: ['alertname=~".+"']
    severity: {label: severity, map: {P1: P1, P2: P2, P3: P3, P4: P4}, default: P3}
    service: {label: service, default: storage}
    group_by: [alertname, service, shard]
"""
LENGTH = timedelta(minutes=5)
ALERTS = 1_000
#: The P1 in the thick of it, of a service that stands on nothing.
THICK = "ObjectsLost"
_HA = 0.12  # of the webhooks come a second time, from the other Alertmanager
_SECOND = 1_000


@dataclass(frozen=True)
class Webhook:
    """One line of the recording."""

    at: int
    since: int
    firing: bool
    name: str
    service: str
    severity: str
    shard: str
    instances: tuple[str, ...]

    def body(self, moment_of: Any) -> bytes:
        """As Alertmanager would have sent it; ``moment_of`` maps milliseconds of the recording to a time."""
        since, until = (_rfc(moment_of(ms)) for ms in (self.since, self.at))
        alerts = [
            {
                "status": "firing" if self.firing else "resolved", "labels": self.labels(instance),
                "annotations": {"summary": f"{self.name} of {self.service} on {instance}"}, "startsAt": since,
                "endsAt": "0001-01-01T00:00:00Z" if self.firing else until, "generatorURL": "",
            }
            for instance in self.instances
        ]  # fmt: skip
        return json.dumps(
            {
                "version": "4", "groupKey": f"{{}}:{{{self.name}}}", "receiver": "responder", "truncatedAlerts": 0,
                "externalURL": "http://alertmanager.example:9093", "alerts": alerts,
            }
        ).encode()  # fmt: skip

    def labels(self, instance: str) -> dict[str, str]:
        return {
            "alertname": self.name, "service": self.service, "severity": self.severity, "shard": self.shard,
            "instance": instance,
        }  # fmt: skip


def read(file: Path = RECORDING) -> list[Webhook]:
    """The recording, in the order of its times."""
    return [_webhook(line) for line in file.read_text().splitlines()]


def _webhook(line: str) -> Webhook:
    at, since, status, name, service, severity, shard, instances = line.split("\t")
    return Webhook(
        int(at), int(since), status == "firing", name, service, severity, shard, tuple(instances.split(","))
    )


def _line(one: Webhook) -> str:
    status = "firing" if one.firing else "resolved"
    fields = (
        one.at,
        one.since,
        status,
        one.name,
        one.service,
        one.severity,
        one.shard,
        ",".join(one.instances),
    )
    return "\t".join(map(str, fields))


def _rfc(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# How it was made.


@dataclass(frozen=True)
class Wave:
    """Alerts of one name and service: from when to when they begin, in how many shards, so many in each at the most."""

    name: str
    service: str
    severity: str
    begins: float
    ends: float
    shards: int
    each: int = 4


#: In their order: what was there before, the fall of the database, what stands on it, and what has nothing to do with it.
WAVES = (
    Wave("BackupLate", "database", "P4", 2, 12, 3, 1),
    Wave("PodRestarts", "queue", "P3", 4, 280, 34, 3),
    Wave("HighLatency", "api", "P2", 14, 60, 24),  # some of it comes before its cause
    Wave("DatabaseDown", "database", "P1", 20, 21, 1, 1),
    Wave("TooManyConnections", "pgbouncer", "P2", 24, 70, 10),
    Wave("ReplicationBroken", "database", "P2", 30, 90, 4, 3),
    Wave("ErrorRate", "api", "P2", 32, 140, 40),
    Wave("LoginsFail", "auth", "P2", 36, 120, 16),
    Wave("ChargesFail", "billing", "P2", 45, 200, 22),
    Wave("IndexStale", "search", "P3", 50, 220, 18),
    Wave("PanelsEmpty", "dashboards", "P3", 55, 240, 26),
    Wave("ReportLate", "reports", "P4", 60, 280, 18, 3),
    Wave("CacheMisses", "cache", "P3", 70, 180, 16, 3),
    Wave("QueueGrows", "queue", "P3", 90, 250, 24, 3),
    Wave("MailDelayed", "mail", "P3", 110, 290, 18, 3),
    Wave("VolumeSlow", "storage", "P2", 120, 200, 14, 2),  # new kinds in the middle
    Wave(THICK, "storage", "P1", 150, 151, 1, 1),
    Wave("CertificateExpires", "auth", "P4", 155, 156, 2, 1),
    Wave("ConsumerStuck", "queue", "P2", 170, 230, 6, 2),
    Wave("DiskFillsUp", "cache", "P2", 185, 210, 4, 2),
    Wave("MailBounces", "mail", "P4", 215, 260, 8, 2),
    Wave("SlowQueries", "database", "P3", 230, 290, 10, 3),
)


def made(chance: random.Random) -> list[Webhook]:
    """The storm, from its waves: what begins, what ends again, what flaps, and what comes twice."""
    begun = [one for wave in WAVES for one in _wave(wave, chance)]
    flapping = list(_flapping(chance))
    begun = _exactly(ALERTS - len({one.instances for one in flapping}), begun)
    found = [*begun, *_ended(begun, chance), *flapping]
    found += [
        replace(one, at=one.at + chance.randrange(200, 9_000)) for one in found if chance.random() < _HA
    ]
    length = int(LENGTH.total_seconds()) * _SECOND
    return sorted((one for one in found if one.at < length), key=lambda one: (one.at, _line(one)))


def _wave(wave: Wave, chance: random.Random) -> Iterator[Webhook]:
    for shard in range(wave.shards):
        at = round(chance.uniform(wave.begins, wave.ends) * _SECOND)
        count = chance.randint(max(1, wave.each - 1), wave.each)
        names = tuple(f"{wave.service}-{shard:02}-{number}" for number in range(count))
        yield Webhook(at, at, True, wave.name, wave.service, wave.severity, f"s{shard:02}", names)


def _exactly(count: int, begun: Sequence[Webhook]) -> list[Webhook]:
    """Every alert is one of its own; the last shards are made larger or smaller until there are so many."""
    found, missing = list(begun), count - sum(len(one.instances) for one in begun)
    by_size = sorted(range(len(found)), key=lambda index: (-len(found[index].instances), index))
    for turn in range(abs(missing)):
        index = by_size[turn % (len(by_size) // 2)]
        names = found[index].instances
        more = (*names, f"{names[0]}-{len(names)}") if missing > 0 else names[:-1]
        found[index] = replace(found[index], instances=more)
    return found


def _ended(begun: Sequence[Webhook], chance: random.Random) -> Iterator[Webhook]:
    """A quarter of what is no more than P2 is over within the five minutes."""
    for one in begun:
        if one.severity != "P1" and chance.random() < 0.25:
            yield replace(one, at=one.at + chance.randrange(60_000, 200_000), firing=False)


def _flapping(chance: random.Random) -> Iterator[Webhook]:
    """Three things that cannot make up their minds."""
    for shard in range(3):
        at = 30_000 + chance.randrange(10_000)
        for _ in range(7):
            names, label = (f"cache-f{shard}-0",), f"f{shard}"
            yield Webhook(at, at, True, "Evictions", "cache", "P3", label, names)
            ends = at + chance.randrange(9_000, 14_000)
            yield Webhook(ends, at, False, "Evictions", "cache", "P3", label, names)
            at = ends + chance.randrange(9_000, 14_000)


def written() -> str:
    """The recording's text."""
    return "\n".join(_line(one) for one in made(random.Random(2026))) + "\n"


if __name__ == "__main__":
    RECORDING.parent.mkdir(parents=True, exist_ok=True)
    RECORDING.write_text(written())
