"""``kubernetes.logs``: many pods side by side, equal lines counted, and what is said where a log cannot be read."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from kubernetes_api import FakeCluster, failing, hanging
from kubernetes_bench import Looking
from kubernetes_objects import container, ended, pod, running, waiting

from responder.incident.finding import Finding, FindingStatus
from responder.parameters import FromLabel
from responder.triage.kubernetes_log_lines import ERRORS, digest, line_check, lines_of
from responder.triage.kubernetes_logs import LogSettings

MINUTE = timedelta(minutes=1)


async def see(looking: Looking, labels: dict[str, str] | None = None, **more: Any) -> Finding:
    settings = LogSettings(**{"target": "prod", "selector": {"app": "superset"}, **more})
    return await looking.see("kubernetes.logs", settings, labels)


async def test_five_hundred_equal_lines_are_one_with_a_count(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(pod("superset-1"), pod("superset-2"))
    for number in (1, 2):
        kube.logs[f"superset-{number}", "app", False] = [
            (
                MINUTE,
                f"2026-11-24 03:00:{i % 60:02} ERROR no connection after {i} ms, request {i:032x}".encode(),
            )
            for i in range(250)
        ] + [(MINUTE, b"GET /health 200")]
    finding = await see(looking)
    assert finding.status is FindingStatus.WARNING
    assert finding.headline.startswith(
        "500 errors in 502 lines (2 pods in analytics, app=superset, last 1h): 500x 2026-11-24 03:00:00 ERROR no"
    )
    assert "[superset-1 and 1 more, last " in finding.detail.splitlines()[0]
    assert len(finding.detail.splitlines()) == 2


async def test_the_runbooks_errors_of_the_last_hour(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(pod("scout-1", labels={"app": "scout"}))
    kube.logs["scout-1", "app", False] = [
        (timedelta(hours=3), b"ERROR long ago"),
        (MINUTE, b"INFO 0 errors"),
        (MINUTE, b"ERROR lately"),
    ]
    finding = await see(looking, selector={"app": "scout"}, filter="ERROR")
    assert "1 error in 2 lines" in finding.headline
    assert "lately" in finding.detail
    assert "long ago" not in finding.detail
    quiet = await see(looking, selector={"app": "scout"}, filter="re2: time.?out")
    assert (quiet.status, quiet.detail) == (FindingStatus.OK, "")


async def test_what_passes_the_filter_may_count_as_an_error_and_enough_of_them_as_critical(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.pods(pod("superset-1"))
    kube.logs["superset-1", "app", False] = [(MINUTE, b"slow query")] * 20
    finding = await see(looking, filter="slow", errors="", warning=5, critical=20)
    assert finding.status is FindingStatus.CRITICAL
    found = await see(looking, filter="slow")
    assert (found.status, found.headline[:41]) == (
        FindingStatus.OK,
        "20 of 20 lines have 'slow', none is an er",
    )


async def test_every_container_is_read_by_name_and_the_one_before_a_crash_too(
    kube: FakeCluster, looking: Looking
) -> None:
    crashed = waiting(
        "app", "CrashLoopBackOff", "back-off 5m0s", restartCount=7, lastState=ended("OOMKilled", 137)
    )
    kube.pods(pod("superset-1", crashed, running("proxy")))
    kube.logs["superset-1", "app", True] = [(MINUTE, b"FATAL cannot allocate memory")]
    kube.logs["superset-1", "proxy", False] = [(MINUTE, b"upstream reset")]
    finding = await see(looking)
    assert finding.status is FindingStatus.WARNING
    assert finding.detail.splitlines()[0] == (
        "superset-1/app: CrashLoopBackOff, ended with OOMKilled (137) back-off 5m0s"
    )
    assert "1x FATAL cannot allocate memory [superset-1 (before its restart), last " in finding.detail
    assert "upstream reset" in finding.detail
    only = await see(looking, containers=("proxy",))
    assert "cannot allocate" not in only.detail


async def test_a_pod_that_has_not_started_says_why_instead_of_a_log(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.pods(
        pod("superset-1", waiting("app", "ImagePullBackOff", "Back-off pulling image v13"), phase="Pending"),
        pod("superset-2", phase="Pending") | {"status": {"phase": "Pending"}},
    )
    finding = await see(looking)
    assert finding.status is FindingStatus.WARNING
    assert "no log to read" in finding.headline
    assert "superset-1/app: ImagePullBackOff Back-off pulling image v13" in finding.detail
    assert "superset-2: pending, no container has started" in finding.detail
    assert not [path for path in kube.calls() if path.endswith("/log")]


async def test_one_node_that_hangs_hides_no_other_pods_log(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(pod("superset-1"), pod("superset-2"))
    kube.logs["superset-2", "app", False] = [(MINUTE, b"ERROR here")]
    kube.faults.append(hanging("superset-1/log"))
    finding = await see(looking, timeout=timedelta(seconds=8))
    assert "1 error in 1 line" in finding.headline
    assert re.search(r"superset-1/app: no answer within \d\.\d s; is its node well\?", finding.detail)


async def test_ten_logs_that_hang_leave_time_for_the_others(kube: FakeCluster, looking: Looking) -> None:
    for number in range(10):
        kube.pods(pod(f"superset-{number}", running(), running("proxy")))
    kube.logs["superset-9", "proxy", False] = [(MINUTE, b"ERROR here")]
    kube.faults.append(hanging("superset-1/log"))
    kube.faults += [hanging(f"superset-{number}/log") for number in range(6)]
    finding = await see(looking, timeout=timedelta(seconds=10))
    assert "1 error in 1 line" in finding.headline


async def test_at_most_ten_pods_are_read_and_those_in_trouble_first(
    kube: FakeCluster, looking: Looking
) -> None:
    for number in range(30):
        restarts = 2 if number == 29 else 0
        kube.pods(pod(f"superset-{number:02}", running(restarts=restarts)))
    finding = await see(looking)
    read = [path for path in kube.calls() if path.endswith("/log")]
    assert len(read) == 10
    assert any("superset-29" in path for path in read)
    assert "10 of 30 pods were read" in finding.detail
    assert finding.status is FindingStatus.OK


async def test_what_is_asked_of_the_server_is_bounded_on_its_side_too(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.pods(pod("superset-1"))
    await see(looking, tail=100, since=timedelta(minutes=10))
    _, path, query = kube.asked[-1]
    assert path == "/api/v1/namespaces/analytics/pods/superset-1/log"
    assert query == {
        "container": "app", "tailLines": "100", "sinceSeconds": "600", "timestamps": "true",
        "limitBytes": str(2 * 1024 * 1024),
    }  # fmt: skip


async def test_a_huge_log_keeps_its_end_and_a_line_that_was_cut_is_left_out(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.pods(pod("superset-1"))
    kube.logs["superset-1", "app", False] = [
        (MINUTE, b"%06d " % number + b"\xff\xfe" + b"x" * 400) for number in range(2_000)
    ] + [(MINUTE, b"ERROR the end")]
    finding = await see(looking, tail=5_000)
    assert "1x ERROR the end" in finding.detail
    lines = int(finding.headline.split(" lines")[0].split()[-1])
    assert 500 < lines < 700
    kube.logs["superset-1", "app", False] *= 4
    finding = await see(looking, tail=10_000)
    assert "over 2 MB for 10000 lines; the newest are missing" in finding.detail


async def test_secrets_in_logs_are_blanked_and_never_cut_in_two(kube: FakeCluster, looking: Looking) -> None:
    looking.secrets = ("a-configured-secret-value",)
    kube.pods(pod("superset-1"))
    padding = b"word " * 45
    kube.logs["superset-1", "app", False] = [
        (MINUTE, b"ERROR login with password=hunter2hunter2"),
        (MINUTE, b"ERROR " + padding + b"a-configured-secret-value"),
        (MINUTE, b"ERROR Authorization: Bearer abcdefghijklmnop"),
    ]
    finding = await see(looking)
    for part in ("hunter2", "a-config", "abcdefgh"):
        assert part not in finding.detail + finding.headline


async def test_control_characters_and_markup_of_a_log_stay_text(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(pod("superset-1"))
    kube.logs["superset-1", "app", False] = [(MINUTE, b"\x1b[31mERROR\x1b[0m \x00\x08 <!channel>\r")]
    finding = await see(looking)
    assert "1x ERROR <!channel> [superset-1" in finding.detail


async def test_no_pod_is_told_apart_from_no_error(kube: FakeCluster, looking: Looking) -> None:
    finding = await see(looking)
    assert (finding.status, finding.headline) == (
        FindingStatus.NO_DATA,
        "no pod in analytics, app=superset",
    )


async def test_a_role_without_logs_names_the_rule_that_is_missing(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.pods(pod("superset-1"))
    kube.denied.add(("get", "pods/log"))
    finding = await see(looking)
    assert finding.status is FindingStatus.DENIED
    assert finding.headline == (
        'prod: may not get pods/log in namespace analytics; its role needs apiGroups: [""], resources: [pods/log], '
        "verbs: [get]"
    )


async def test_a_pod_that_goes_while_its_log_is_read_is_a_note(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(pod("superset-1"), pod("superset-2"))
    kube.faults.append(failing(404, 'pods "superset-1" not found', path="superset-1/log"))
    finding = await see(looking)
    assert "superset-1/app: prod: no pod superset-1 in namespace analytics" in finding.detail


async def test_selector_values_may_come_from_labels_and_none_can_widen_it(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.pods(pod("superset-1"), pod("scout-1", labels={"app": "scout"}))
    selector = {"app": FromLabel(label="app")}
    assert (
        "1 pod in analytics, app=scout" in (await see(looking, {"app": "scout"}, selector=selector)).headline
    )
    before = len(kube.asked)
    for hostile in ("scout,app!=x", "in (a,b)", "a=b", "", "x" * 64, "scout\n", "../x"):
        finding = await see(looking, {"app": hostile}, selector=selector)
        assert finding.status is FindingStatus.ERROR, hostile
        assert "selector app" in finding.headline
    assert len(kube.asked) == before


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"selector": {}}, "an empty one would select everything"),
        ({"selector": " "}, "an empty one would select everything"),
        ({"selector": "app=superset)"}, "is not understood"),
        ({"selector": {"-bad": "x"}}, "is no label key"),
        ({"tail": 0}, "expected 1 to 10000 lines"),
        ({"tail": 10_001}, "expected 1 to 10000 lines"),
        ({"since": timedelta(0)}, "at least 1s"),
        ({"filter": "re2: ("}, "is no RE2 pattern"),
        ({"errors": "re2: (?=x)"}, "is no RE2 pattern"),
    ],
)
def test_settings_that_make_no_sense_are_refused_where_they_are_read(settings: Any, says: str) -> None:
    with pytest.raises(ValueError, match=r"expected|selector|RE2") as caught:
        LogSettings(**{"target": "prod", "selector": "app=superset", **settings})
    assert says in str(caught.value)


def test_errors_are_known_in_the_usual_forms() -> None:
    is_error = line_check(ERRORS)
    raw = b"""
2026-11-24T03:00:00.1Z {"level":"error","msg":"lost connection","ts":1}
2026-11-24T03:00:00.1Z {"severity": "INFO", "message": "0 errors"}
2026-11-24T03:00:00.1Z {"levelname": "CRITICAL", "event": "gone"}
2026-11-24T03:00:00.1Z level=error msg="no route"
2026-11-24T03:00:00.1Z E1124 03:00:00.123456       1 leader.go:12] lost lease
2026-11-24T03:00:00.1Z panic: runtime error: index out of range
2026-11-24T03:00:00.1Z Traceback (most recent call last):
2026-11-24T03:00:00.1Z 3 errors were fixed
2026-11-24T03:00:00.1Z {"half": "json
no time stamp at all ERROR
"""
    found = digest(lines_of(raw, "a", whole=True), lambda _: True, is_error)
    errors = [group.sample for group in found.groups if group.error]
    assert errors == [
        "ERROR lost connection",
        "CRITICAL gone",
        'level=error msg="no route"',
        "E1124 03:00:00.123456 1 leader.go:12] lost lease",
        "panic: runtime error: index out of range",
        "Traceback (most recent call last):",
        "no time stamp at all ERROR",
    ]
    assert (found.read, found.errors) == (10, 7)


async def test_init_containers_that_fail_are_read(kube: FakeCluster, looking: Looking) -> None:
    made = pod("superset-1", waiting("app", "PodInitializing"), phase="Pending")
    made["spec"]["initContainers"] = [container("migrate")]
    made["status"]["initContainerStatuses"] = [
        {"name": "migrate", "ready": False, "restartCount": 3, "state": ended("Error", 1), "lastState": {}}
    ]
    kube.pods(made)
    kube.logs["superset-1", "migrate", False] = [(MINUTE, b"ERROR relation does not exist")]
    finding = await see(looking)
    assert "1x ERROR relation does not exist" in finding.detail


async def test_being_cancelled_ends_every_call(kube: FakeCluster, looking: Looking) -> None:
    for number in range(8):
        kube.pods(pod(f"superset-{number}"))
    kube.faults.append(hanging("/log"))
    task = asyncio.create_task(see(looking))
    async with asyncio.timeout(30):
        while not [path for path in kube.calls() if path.endswith("/log")]:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
