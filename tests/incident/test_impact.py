"""What an incident touches, who stands on it, and which failing dependency explains it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import MINUTE, START, policy

from responder.alerts import Alert, AlertStatus
from responder.incident.impact import SERVICES_WALKED, Impact, Scene, impact, reached
from responder.incident.severity import Severity
from responder.incident.state import Episode, Incident, Monitoring, Totals, Triggered

CHAIN = {"web": ("api",), "api": ("database", "cache"), "database": ("disk",), "reports": ("database",)}


def incident(
    service: str, at: datetime = START, *, severity: Severity = Severity.P1, firing: int = 1
) -> Incident:
    return Incident(
        id=f"{hash((service, at)) & 0xFFFFFFFFFFFFFFFF:016x}", key="k", opened_at=at, rule="r", service=service,
        title=f"{service.title()}Down: gone", labels={}, severity=severity, policy=policy(),
        state=Triggered() if firing else Monitoring(at, at), episode=Episode(number=1, began_at=at),
        totals=Totals(firing={severity: firing}), respond_by=at, now=at,
    )  # fmt: skip


def alert(minute: float = 0, *, status: AlertStatus = AlertStatus.FIRING, **labels: str) -> Alert:
    return Alert(
        status=status, labels={"alertname": "HighAPILatency", **labels}, starts_at=START + minute * MINUTE
    )


def seen(
    *others: Incident,
    service: str = "api",
    alerts: tuple[Alert, ...] = (alert(),),
    total: int | None = None,
    dependencies: Mapping[str, tuple[str, ...]] | None = None,
    drill: bool = False,
) -> Impact:
    scene = Scene(
        incident="1" * 16, service=service, opened_at=START, alerts=alerts,
        total=len(alerts) if total is None else total, others=others,
        dependencies=CHAIN if dependencies is None else dependencies, drill=drill,
    )  # fmt: skip
    return impact(scene)


def test_a_dependency_that_fires_too_is_named_as_the_likely_cause() -> None:
    found = seen(incident("database", START - 3 * MINUTE))
    assert found.explained
    assert found.headline.startswith(
        "database is firing too since 02:57 (P1 DatabaseDown: gone): likely cause; api: 1 alert, since 03:00 UTC"
    )
    assert "it stands on: database (firing), cache, disk" in found.detail
    assert "firing too: database P1 since 02:57, triggered: DatabaseDown: gone (incident " in found.detail


def test_of_a_chain_that_fires_the_far_end_is_the_cause() -> None:
    found = seen(incident("database"), incident("disk", START + 2 * MINUTE, severity=Severity.P3))
    assert found.headline.startswith("disk is firing too since 03:02 (P3 DiskDown: gone): likely cause")
    assert "database (firing), cache, disk (firing)" in found.detail


def test_what_came_long_after_us_what_is_over_and_what_we_do_not_stand_on_is_no_cause() -> None:
    late = seen(incident("database", START + 16 * MINUTE))
    assert not late.explained
    assert late.headline.startswith(
        "database is firing too since 03:16 (P1 DatabaseDown: gone); api: 1 alert"
    )
    for other in (incident("database", firing=0), incident("reports"), incident("api"), incident("unheard")):
        found = seen(other)
        assert not found.explained
        assert found.headline == "api: 1 alert, since 03:00 UTC; web stands on it"


def test_our_own_incident_explains_nothing_even_in_a_circle() -> None:
    circle = {"api": ("database",), "database": ("api",)}
    own = msgspec.structs.replace(incident("api"), id="1" * 16)
    found = seen(own, incident("database"), dependencies=circle)
    assert found.headline.startswith("database is firing too")
    assert "stands on it: database" in found.detail


def test_a_drill_explains_nothing_is_touched_by_nothing_and_looks_at_nothing_in_earnest() -> None:
    below = incident("database", START - 3 * MINUTE)
    above = incident("web", START + MINUTE)
    alone = seen().detail
    assert seen(*(msgspec.structs.replace(one, drill=True) for one in (below, above))).detail == alone
    found = seen(below, above, drill=True)
    assert not found.explained
    assert found.detail == alone


def test_who_stands_on_it_and_fires_too_is_part_of_the_impact_but_no_cause() -> None:
    found = seen(incident("web", START + MINUTE, severity=Severity.P2), service="database")
    assert not found.explained
    assert found.headline.endswith("; api, reports, web stand on it")
    assert "stands on it: api, reports, web (firing)" in found.detail
    assert "firing too: web P2 since 03:01" in found.detail


def test_places_are_counted_from_what_fires() -> None:
    alerts = (
        alert(-4, namespace="prod", cluster="eu", instance="a:1", service="api"),
        alert(-2, namespace="prod", cluster="eu", instance="b:1", service="gateway"),
        alert(-9, namespace="old", instance="c:1", status=AlertStatus.RESOLVED),
    )
    found = seen(alerts=alerts)
    assert (
        found.headline
        == "api: 3 alerts, 1 namespace, 1 cluster, 2 instances, since 02:56 UTC; web stands on it"
    )
    assert found.detail.splitlines()[:6] == [
        "seen: 3 of 3 alerts, 1 resolved",
        "alert: HighAPILatency (2)",
        "services: api, gateway",
        "namespace: prod (2)",
        "cluster: eu (2)",
        "instances: a:1, b:1",
    ]


def test_a_sample_says_so_and_lists_are_cut() -> None:
    alerts = tuple(alert(instance=f"i{n:03d}") for n in range(200))
    found = seen(alerts=alerts, total=100_000)
    assert "100,000 alerts, 200+ instances" in found.headline
    assert "instances: i000, i001, i002, i003, i004 and 195 more" in found.detail
    assert "seen: 200 of 100,000 alerts" in found.detail


def test_an_incident_of_another_day_is_told_with_its_date() -> None:
    found = seen(incident("database", START - timedelta(days=2)))
    assert "since 2026-11-22 03:00" in found.headline


def test_nothing_known_is_still_a_sentence() -> None:
    found = seen(alerts=(), dependencies={})
    assert (found.headline, found.explained) == ("api: 0 alerts", False)


def test_hostile_labels_stay_on_their_line() -> None:
    found = seen(alerts=(alert(namespace="x\ncluster: faked\x1b[31m\u202e", instance="y" * 8_000),))
    assert "namespace: x cluster: faked [31m" in found.detail
    assert len(found.detail) < 1_000


names = st.sampled_from("abcdefgh")


@given(edges=st.dictionaries(names, st.lists(names, max_size=4).map(tuple)), start=names)
def test_the_walk_ends_whatever_the_circles_and_finds_all(
    edges: dict[str, tuple[str, ...]], start: str
) -> None:
    found = reached(start, edges)
    assert start not in found
    for service in (start, *found):
        assert set(edges.get(service, ())) <= {start, *found}


@pytest.mark.parametrize("size", [10, 100_000])
def test_the_walk_is_bounded(size: int) -> None:
    line = {str(n): (str(n + 1),) for n in range(size)}
    assert len(reached("0", line)) == min(size, SERVICES_WALKED)
