"""What the simulation of everything is made of: rules, channels, Alertmanagers, and all the alerts that there can be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from causes import QUIET
from fake_alertmanager import FakeAlertmanager
from held import BASE
from mirror import SENDER
from whole import Phones

from responder.alerts import fingerprint

RULES = f"""
services:
  api: {{depends_on: [database]}}
  dashboards: {{depends_on: [api]}}
quiet_hours: {{P3: {QUIET}, P4: {QUIET}}}
{BASE}
"""
CHANNELS = ("phone", "chat")
SERVICES = ("database", "api", "dashboards", "platform")
#: A few alerts that come and go, several of them in one incident; and the others, which come in a storm.
FEW, MANY = 16, 160


def label_sets() -> list[dict[str, str]]:
    few = [
        {
            "alertname": f"A{number % 2}", "service": SERVICES[number // 2 % 4], "cluster": "c0",
            "severity": f"P{1 + number // 8 + number % 2}", "instance": "ab"[number // 8],
        }
        for number in range(FEW)
    ]  # fmt: skip
    many = [
        {
            "alertname": f"S{number % 3}", "service": SERVICES[number % 4], "cluster": f"c{number % 40}",
            "severity": ("P3", "P2", "P4", "P3", "P1")[number // 12 % 5], "instance": f"i{number}",
        }
        for number in range(MANY)
    ]  # fmt: skip
    return few + many


def settings(peers: list[FakeAlertmanager], phones: Phones) -> dict[str, Any]:
    """Two channels to the same receiver, two Alertmanagers, and no patience with a store that is away."""
    return {
        "external_url": "https://responder.example",
        "channels": {name: {"type": "webhook", "url": f"{phones.url}/{name}"} for name in CHANNELS},
        "alertmanager": {"urls": [peer.url for peer in peers], "timeout": "10s"},
        "blind_after": "1s",
        "bundling": {"after": 3, "within": "5m", "new_kinds": 2, "digest_every": "1m"},
    }


def webhook(labels: Mapping[str, str], since: str, until: str = "") -> bytes:
    """What Alertmanager posts of one alert; with an end where it has resolved."""
    alert = {
        "status": "resolved" if until else "firing", "labels": labels, "annotations": {}, "startsAt": since,
        "endsAt": until or "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": fingerprint(dict(labels)),
    }  # fmt: skip
    return json.dumps(
        {
            "version": "4", "groupKey": "{}:{}", "receiver": "responder", "externalURL": SENDER,
            "truncatedAlerts": 0, "alerts": [alert],
        }
    ).encode()  # fmt: skip
