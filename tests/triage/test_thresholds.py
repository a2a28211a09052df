"""Limits of probes that could never be a warning, or would always be one, are no settings at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from responder.triage.base import PROBES, ProbeSettings

PROBES.discover("responder.triage")


def made(kind: str, **settings: Any) -> ProbeSettings:
    return PROBES[kind].Settings(target="main", **settings)  # type: ignore[call-arg]


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        ("postgres", {"query": "connections", "warning": 0.9, "critical": 0.8}, r"0.8 is less bad than warning \(0.9\)"),
        # What is not given is the query's own, and that has to be said of somewhere.
        ("postgres", {"query": "connections", "warning": 0.97}, r"0.95 is less bad than warning \(0.97\)"),
        ("postgres", {"query": "cache", "warning": 0.8, "critical": 0.9}, r"0.9 is less bad than warning \(0.8\)"),
        (
            "postgres",
            {"query": "idle_in_transaction", "warning": minutes(20), "critical": minutes(5)},
            r"5m is less bad than warning \(20m\)",
        ),
        ("postgres", {"query": "deadlocks", "warning": -1}, "expects a number an hour, such as 2, got -1"),
        ("postgres", {"sql": "SELECT 1", "warning": 10, "critical": 5}, r"5 is less bad than warning \(10\)"),
        ("pgbouncer", {"warning": minutes(1)}, r"10s is less bad than warning \(1m\)"),
        ("kubernetes.top", {"warning": -1}, "warning: expected a share above 0 and at most 1"),
        ("kubernetes.top", {"critical": 95}, "critical: expected a share above 0 and at most 1"),
        ("kubernetes.top", {"warning": 0.9, "critical": 0.8}, "0.8 is less bad than warning"),
        ("kubernetes.pods", {"critical": 0}, "critical: expected a share"),
        ("kubernetes.logs", {"selector": "app=a", "warning": 10, "critical": 5}, "5 is less bad than warning"),
        ("kubernetes.logs", {"selector": "app=a", "warning": -1}, "expected a number of errors, or 0 for never"),
        ("supabase.logs", {"function": "f", "warning": 0.5}, r"0.2 is less bad than warning \(0.5\)"),
    ],
)  # fmt: skip
def test_critical_is_the_worse_of_the_two(kind: str, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        made(kind, **settings)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("postgres", {"query": "connections", "warning": 0.9, "critical": 0.9}),
        ("postgres", {"query": "cache", "warning": 0.9, "critical": 0.8}),
        ("postgres", {"query": "size", "critical": 500}),
        # Before the query's own warning: all of it is meant to be critical.
        ("postgres", {"query": "connections", "critical": 0.5}),
        ("pgbouncer", {"show": "stats", "critical": timedelta(milliseconds=50)}),
        ("postgres", {"sql": "SELECT 1", "critical": 5}),
        ("kubernetes.top", {"warning": 0.5, "critical": 1}),
        ("kubernetes.logs", {"selector": "app=a", "warning": 10, "critical": 0}),
        ("kubernetes.logs", {"selector": "app=a", "warning": 0, "critical": 5}),
    ],
)
def test_the_same_for_both_or_only_one_of_them_is_meant(kind: str, settings: dict[str, Any]) -> None:
    assert made(kind, **settings).timeout > timedelta(0)
