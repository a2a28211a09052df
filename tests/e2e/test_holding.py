"""Windows over the API and from a terminal, dependencies and the morning, through a real daemon."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clocks import TurnedClock
from daemon import DaemonProcess, Receiver, alert, running, webhook_body
from site_of import Site, site
from waiting import eventually, until

from responder.clock import SystemClock
from responder.web import maintenance
from responder.web.openapi import description

RULES = """
severities:
  P1: {title: Critical, respond_within: 30m, escalate: {secondary: 10m, executive: 20m}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  api: {primary: backend, secondary: platform, executive: cto}
  platform: {primary: platform}
contacts: {dbteam: {timezone: UTC}, backend: {timezone: UTC}, platform: {}, cto: {}}
services: {api: {depends_on: [database]}}
rules:
  - name: all
    match: ['alertname=~"Alert.+"']
    severity: {label: severity, map: {P1: P1, P2: P2, P3: P3}, default: P1}
    service: {label: service}
    group_by: [alertname, service]
default: {severity: P3, service: platform}
"""


def hooked(hook: Receiver, **more: Any) -> dict[str, Any]:
    return {"channels": {"hook": {"type": "webhook", "url": hook.url}}, "hold_down": "1s", **more}


@pytest.fixture
async def daemon(hook: Receiver, tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with running(tmp_path / "daemon", hooked(hook), RULES) as found:
        yield found


def now() -> datetime:
    return SystemClock().now().replace(microsecond=0)


def told(hook: Receiver) -> list[str]:
    """Notices: messages to which there is nothing to say."""
    found = [one for one in hook.pages() if one["incident"]["state"] == "notice"]
    return [f"{one['to']}: {one['incident']['title']}" for one in found]


def pages(hook: Receiver) -> list[dict[str, Any]]:
    return [one for one in hook.pages() if one["incident"]["state"] != "notice"]


async def typed(daemon: DaemonProcess | Site, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "responder", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "RESPONDER_URL": daemon.url, "USER": "ana", "LOGNAME": "ana"},
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_a_window_suppresses_paging_until_it_ends_and_is_announced_on_both_sides(
    hook: Receiver, daemon: DaemonProcess
) -> None:
    body = {"name": "move", "match": ['service="database"'], "for": "15s", "by": "ana", "note": "moving"}
    status, made = await daemon.post("/api/v1/maintenance", body)
    assert status == 201, made
    assert (made["name"], made["by"], made["running"] is not None) == ("move", "ana", True)
    await daemon.alerts(webhook_body(alert(1), alert(2, service="api")))
    await until(lambda: pages(hook))
    assert [one["to"] for one in pages(hook)] == ["backend"]
    await until(lambda: "dbteam: Maintenance move has begun" in told(hook))
    (held,) = [one for one in await daemon.incidents() if one["service"] == "database"]
    assert held["state"] == "triggered"
    assert held["next_step"] is None
    assert [(one["kind"], one["by"]) for one in held["holds"]] == [("maintenance", f"move ({made['id']})")]
    console = (await daemon.get(f"/incidents/{held['id']}"))[1]
    assert "paging is held back (maintenance): move: moving, set by ana" in console
    await until(lambda: "dbteam" in [one["to"] for one in pages(hook)])
    assert made["running"]["to"] <= f"{SystemClock().now():%FT%TZ}"
    await until(lambda: "dbteam: Maintenance move is over" in told(hook))
    assert len(told(hook)) == 2
    _, metrics = await daemon.get("/metrics")
    assert 'responder_pages_held_total{kind="maintenance",service="database",severity="P1"} 1.0' in metrics


async def test_the_api_lists_refuses_repeats_and_ends_windows(daemon: DaemonProcess) -> None:
    path = "/api/v1/maintenance"
    weekly = {
        "match": ['cluster="eu"'], "starts": "2026-01-03T02:00", "every": "FREQ=WEEKLY;BYDAY=SA", "lasts": "2h",
        "timezone": "Asia/Manila",
    }  # fmt: skip
    status, made = await daemon.post(path, weekly)
    assert status == 201
    assert (made["every"], made["lasts"], made["timezone"]) == ("FREQ=WEEKLY;BYDAY=SA", "2h", "Asia/Manila")
    assert made["next"]["from"].endswith("T18:00:00Z")
    assert (await daemon.post(path, weekly))[0] == 200
    _, listed = await daemon.get(path)
    assert [one["id"] for one in listed["maintenance"]] == [made["id"]]
    for wrong, says in (
        ({"match": []}, "body.match: expected 1 to 20 matchers"),
        ({"match": ["x"]}, "body.match[0]: 'x': expected"),
        ({"match": ['a!="b"'], "for": "1h"}, "body.match: would hold back whatever has none"),
        ({"match": ['a="b"']}, "body: missing to"),
        ({"match": ['a="b"'], "for": "90d"}, "body.for: expected more than 0s and at most 31d, got 90d"),
        ({"match": ['a="b"'], "for": "0s"}, "body.for: expected more than 0s"),
        ({"match": ['a="b"', 'a="c"'], "for": "1h"}, 'body.match: a="b" and a="c" never hold together'),
        ({"match": ['a="b"'], "to": "2020-01-02T00:00:00Z"}, "body.to: 2020-01-02 00:00:00 UTC has passed already"),
        ({"match": ['a="b"'], "from": "2020-01-02T00:00:00Z", "for": "2h"}, "body.for: 2020-01-02 02:00:00 UTC has passed already"),
        ({"match": ['a="b"'], "from": "2100-01-02T00:00:00Z", "to": "2099-01-01T00:00:00Z"}, "body.from: expected a time"),
        ({"match": ['a="b"'], "from": "2099-01-02T00:00:00Z", "to": "2099-01-01T00:00:00Z"}, "body.to: expected a time after from"),
        ({**weekly, "every": "FREQ=DAILY;COUNT=2"}, "body.every: every time that it names is over"),
        ({"match": ['a="b"'], "for": "soon"}, "body.for: expected a duration"),
        ({"match": ['a="b"'], "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}, "expected a time to come"),
        ({"match": ['a="b"'], "to": "2100-01-01"}, "body.to: expected a time such as"),
        ({**weekly, "every": "FREQ=SECONDLY"}, "body.every: expected FREQ to be one of"),
        ({**weekly, "timezone": "Asia/Manilla"}, "body.timezone: expected a time zone"),
        ({**weekly, "lasts": "30d"}, "body.lasts: expected 1m to 7d, got 30d"),
        ({**weekly, "for": "1h"}, "body.for: goes with from"),
        ({"match": ['a="b"'], "until": "x"}, "unknown field `until`"),
    ):  # fmt: skip
        status, answer = await daemon.post(path, wrong)
        assert (status, says in answer["detail"]) == (400, True), answer
    status, _ = await daemon.call("DELETE", f"{path}/{made['id']}")
    assert status == 204
    assert (await daemon.call("DELETE", f"{path}/{made['id']}"))[0] == 404
    assert (await daemon.get(path))[1] == {"maintenance": []}


async def test_changes_need_a_responder_and_looking_a_viewer(hook: Receiver, tmp_path: Path) -> None:
    tokens = [{"name": role, "token": f"{role}-token", "role": role} for role in ("viewer", "responder")]
    async with running(tmp_path / "locked", hooked(hook, auth={"tokens": tokens}), RULES) as daemon:
        body = {"match": ['service="api"'], "for": "1h", "by": "ana"}
        viewer = {"Authorization": "Bearer viewer-token"}
        responder = {"Authorization": "Bearer responder-token"}
        assert (await daemon.post("/api/v1/maintenance", body))[0] == 401
        assert (await daemon.post("/api/v1/maintenance", body, headers=viewer))[0] == 403
        status, made = await daemon.post("/api/v1/maintenance", body, headers=responder)
        assert (status, made["by"]) == (201, "ana (token responder)")
        assert (await daemon.get("/api/v1/maintenance", headers=viewer))[0] == 200
        assert (await daemon.call("DELETE", f"/api/v1/maintenance/{made['id']}", headers=viewer))[0] == 403


async def test_windows_from_a_terminal(hook: Receiver, daemon: DaemonProcess) -> None:
    code, out = await typed(
        daemon,
        "maintenance",
        "add",
        "--service",
        "database",
        "--for",
        "2h",
        "--name",
        "move",
        "--note",
        "disks",
    )
    assert code == 0, out
    window = out.split()[0]
    assert 'move: service="database"  until ' in out
    assert out.rstrip().endswith("ana  disks")
    await daemon.alerts(webhook_body(alert(1)))
    await asyncio.sleep(0)
    code, out = await typed(daemon, "maintenance", "list")
    assert (code, window in out) == (0, True)
    (incident,) = await daemon.incidents()
    code, out = await typed(daemon, "incidents", "show", incident["id"])
    assert "paging is held back (maintenance): move: disks, set by ana until " in out
    assert pages(hook) == []
    code, out = await typed(daemon, "maintenance", "end", window)
    assert (code, out) == (
        0, "ended: what still fires is paged now, except for what something else holds back\n"
    )  # fmt: skip
    await until(lambda: [one["to"] for one in pages(hook)] == ["dbteam"])
    code, out = await typed(daemon, "maintenance", "add", "--match", "x", "--for", "2h")
    assert code == 1
    assert "body.match[0]" in out
    code, out = await typed(daemon, "maintenance", "end", "0" * 16)
    assert "404: no maintenance window" in out


async def test_a_window_survives_a_kill_and_its_end_is_not_slept_through(
    hook: Receiver, tmp_path: Path
) -> None:
    daemon = DaemonProcess(tmp_path / "killed", hooked(hook), RULES)
    await daemon.start()
    ends = now() + timedelta(seconds=20)
    body = {"match": ['service="database"'], "to": ends.isoformat(), "by": "ana"}
    assert (await daemon.post("/api/v1/maintenance", body))[0] == 201
    await daemon.alerts(webhook_body(alert(1)))
    await daemon.kill()
    await daemon.start()

    async def opened() -> Any:  # the kill may have come between the answer and the decision
        return await daemon.incidents()

    (incident,) = await eventually(opened)
    if now() < ends:  # a busy machine may take longer to start
        assert incident["holds"][0]["kind"] == "maintenance"
        assert pages(hook) == []
    await daemon.kill()
    await until(lambda: now() > ends)
    await daemon.start()
    await until(lambda: [one["to"] for one in pages(hook)] == ["dbteam"])
    await daemon.stop()


async def test_a_window_of_the_rule_files_holds_and_a_reload_takes_it_away(
    hook: Receiver, daemon: DaemonProcess
) -> None:
    window = (
        f"maintenance: [{{name: nightly, match: ['service=\"database\"'], from: {now() - timedelta(hours=1):%FT%TZ}, "
        f"to: {now() + timedelta(hours=1):%FT%TZ}}}]\n"
    )
    (daemon.folder / "rules" / "windows.yaml").write_text(window)
    assert (await daemon.post("/-/reload"))[0] == 200
    await daemon.alerts(webhook_body(alert(1)))

    async def held() -> Any:
        return (await daemon.incidents())[0]["holds"]

    assert (await eventually(held))[0]["by"] == "nightly"
    _, explained = await daemon.post(
        "/api/v1/explain", {"labels": {"alertname": "Alert1", "service": "database"}}
    )
    assert [(one["kind"], one["by"]) for one in explained["held"]] == [("maintenance", "nightly")]
    assert pages(hook) == []
    _, listed = await daemon.get("/api/v1/maintenance")
    assert [(one["id"], one["name"]) for one in listed["maintenance"]] == [(None, "nightly")]
    (daemon.folder / "rules" / "windows.yaml").write_text("maintenance: []\n")
    assert (await daemon.post("/-/reload"))[0] == 200
    await until(lambda: [one["to"] for one in pages(hook)] == ["dbteam"])


async def test_what_stands_on_a_service_that_pages_is_attached_and_paged_when_that_is_over(
    hook: Receiver, daemon: DaemonProcess
) -> None:
    await daemon.alerts(webhook_body(alert(1, severity="P1")))
    await until(lambda: len(pages(hook)) == 1)
    await daemon.alerts(webhook_body(alert(2, service="api", severity="P2")))
    await until(lambda: hook.pages("update"))
    (update,) = hook.pages("update")
    assert "More services are affected." in update["summary"]
    assert "Attached, and not paged by themselves: api (P2)" in update["summary"]
    by_service = {one["service"]: one for one in await daemon.incidents()}
    database, api = by_service["database"], by_service["api"]
    assert api["holds"][0]["by"] == database["id"]
    _, whole = await daemon.get(f"/api/v1/incidents/{database['id']}")
    assert [(one["service"], one["incident"]) for one in whole["attached"]] == [("api", api["id"])]
    await daemon.alerts(webhook_body(alert(1, severity="P1", status="resolved")))
    await until(lambda: "backend" in [one["to"] for one in pages(hook)])


async def test_a_drill_is_paged_whatever_its_service_stands_on_and_nobody_in_earnest_is_told_of_it(
    hook: Receiver, daemon: DaemonProcess
) -> None:
    await daemon.alerts(webhook_body(alert(1, severity="P1")))
    await until(lambda: len(pages(hook)) == 1)
    exercise = alert(2, service="api", severity="P1", drill="true")

    async def explained(labels: dict[str, str], **more: str) -> dict[str, Any]:
        status, answer = await daemon.post("/api/v1/explain", {"labels": labels, **more})
        assert status == 200, answer
        return answer  # type: ignore[no-any-return]

    found = await explained(exercise["labels"])
    assert (found["held"], found["stands_on"]) == ([], [])
    in_earnest = {name: value for name, value in exercise["labels"].items() if name != "drill"}
    assert [one["kind"] for one in (await explained(in_earnest))["held"]] == ["dependency"]
    later = await explained(exercise["labels"], at=f"{now() + timedelta(hours=1):%FT%TZ}")
    assert not any("carry it" in one for one in later["not_known"])
    await daemon.alerts(webhook_body(exercise))
    await until(lambda: len(pages(hook)) == 2)
    assert pages(hook)[1]["to"] == "backend"
    assert pages(hook)[1]["incident"]["title"].startswith("DRILL: ")
    await daemon.alerts(webhook_body(alert(3, service="api", severity="P1")))  # in earnest: it is attached
    await until(lambda: hook.pages("update"))
    (update,) = hook.pages("update")
    assert "not paged by themselves: api (P1)" in update["summary"]
    by_title = {one["title"][:6]: one for one in await daemon.incidents()}
    _, whole = await daemon.get(f"/api/v1/incidents/{by_title['Alert1']['id']}")
    assert [one["incident"] for one in whole["attached"]] == [by_title["Alert3"]["id"]]
    _, metrics = await daemon.get("/metrics")
    assert 'responder_pages_held_total{kind="dependency",service="api",severity="P1"} 1.0' in metrics


async def test_what_is_not_urgent_waits_for_the_morning_and_comes_as_one_list(
    hook: Receiver, tmp_path: Path, turned: TurnedClock
) -> None:
    hours = f"{now() - timedelta(hours=1):%H:%M}-{now() + timedelta(hours=3):%H:%M}"
    rules = f'{RULES}\nquiet_hours: {{P3: {{hours: "{hours}"}}}}\n'
    async with site(tmp_path, turned, rules, **hooked(hook, hold_down="0s")) as found:

        async def waiting() -> list[dict[str, Any]]:
            _, listed = await found.api("GET", "/incidents?service=database")
            return [(await found.api("GET", f"/incidents/{one['id']}"))[1] for one in listed["incidents"]]

        assert await found.alerts(*(alert(number, severity="P3") for number in range(1, 4))) == 200
        assert await found.alerts(alert(9, service="api", severity="P1")) == 200
        await until(lambda: pages(hook))
        assert [one["to"] for one in pages(hook)] == ["backend"]
        assert await found.alerts(alert(9, service="api", severity="P1", status="resolved")) == 200
        assert [one["holds"][0]["kind"] for one in await waiting()] == ["quiet hours"] * 3
        turned.turn(hours=2, minutes=58)
        await until(lambda: hook.pages("resolved"))  # the other one's watch is over by now
        assert len(pages(hook)) == 1
        turned.turn(minutes=3)
        await until(lambda: len(pages(hook)) == 2)
        page = pages(hook)[1]
        assert page["to"] == "dbteam"
        assert page["incident"]["title"].endswith("(and 2 more that waited)")
        assert page["summary"].count("- P3 database: Alert") == 2
        assert "Waited as well, and to be acknowledged as well:" in page["summary"]

        async def all_delivered() -> bool:
            return [page["status"] for one in await waiting() for page in one["pages"]] == ["delivered"] * 3

        await eventually(all_delivered)
        assert len(pages(hook)) == 2
        head = page["incident"]["id"]
        for one in await waiting():
            where = None if one["id"] == head else head
            assert [(sent["told_in"], sent["listed_in"]) for sent in one["pages"]] == [(None, where)]
            says = "delivered" if where is None else f"told in the list of incident {head}"
            name = one["alerts"][0]["fingerprint"]
            for arguments in (("explain", "--alert", name), ("incidents", "show", one["id"])):
                _, out = await typed(found, *arguments)
                assert f"primary dbteam over hook: {says}\n" in out
            for address in (f"/incidents/{one['id']}", f"/alerts/{name}"):
                link = f'told in the list of <a href="/incidents/{head}">'
                assert (link in await found.page(address)) is bool(where)

        link = await found.ack_link(page["incident"]["id"], "dbteam")
        shown = await found.page(link)
        assert "2 more waited with this one and are open as well" in shown
        assert "Acknowledge all 3 as dbteam" in shown
        shown = await found.press(link)  # this one only
        assert "Nobody further is paged for it." in shown
        assert "2 more waited with this one, and nobody has acknowledged them yet." in shown
        others = re.findall(r'href="(/ack/[^"]+)">P3 database: Alert', shown)
        assert len(others) == 2
        assert "Acknowledged by dbteam" in await found.press(others[0])
        assert "nobody has acknowledged it yet" in await found.page(link)
        shown = await found.press(link, list="all")
        assert [one["state"] for one in await waiting()] == ["acknowledged"] * 3
        assert "Nobody further is paged." in shown
        assert "waited with this one" not in shown


async def test_one_press_acknowledges_the_whole_list_of_a_morning(
    hook: Receiver, tmp_path: Path, turned: TurnedClock
) -> None:
    hours = f"{now() - timedelta(hours=1):%H:%M}-{now() + timedelta(hours=3):%H:%M}"
    rules = f'{RULES}\nquiet_hours: {{P3: {{hours: "{hours}"}}}}\n'
    async with site(tmp_path, turned, rules, **hooked(hook, hold_down="0s")) as found:
        assert await found.alerts(*(alert(number, severity="P3") for number in range(1, 4))) == 200

        async def states() -> list[str]:
            _, listed = await found.api("GET", "/incidents")
            return [one["state"] for one in listed["incidents"]]

        await until_held(found, 3)
        turned.turn(hours=3, minutes=1)
        await until(lambda: pages(hook))
        link = await found.ack_link(pages(hook)[0]["incident"]["id"], "dbteam")
        assert "Nobody further is paged." in await found.press(link, list="all")
        assert await states() == ["acknowledged"] * 3


async def until_held(found: Site, count: int) -> None:
    async def held() -> bool:
        _, listed = await found.api("GET", "/incidents")
        each = [(await found.api("GET", f"/incidents/{one['id']}"))[1] for one in listed["incidents"]]
        return len([one for one in each if one["holds"]]) == count

    await eventually(held)


def test_every_route_of_windows_is_described() -> None:
    paths = description()["paths"]
    for route in maintenance.routes():
        path = route.path.replace(":[0-9a-f]{16}", "")
        assert route.method.lower() in paths[path], path
    schemas = description()["components"]["schemas"]
    assert {
        "MaintenanceBody",
        "MaintenanceView",
        "MaintenanceListView",
        "HoldView",
        "AttachedView",
    } <= schemas.keys()
    assert json.dumps(schemas["MaintenanceBody"]).count('"from"') == 1


async def test_a_window_that_is_asked_for_twice_is_one_window(daemon: DaemonProcess) -> None:
    """Under a key as well as by the same person again; two would go on after one of them was ended."""
    path, body = "/api/v1/maintenance", {"match": ['service="database"'], "for": "2h", "by": "ana"}
    key = {"Idempotency-Key": "one"}
    status, made = await daemon.post(path, body, headers=key)
    assert (status, made["outcome"], made["warnings"]) == (201, "made", [])
    status, again = await daemon.post(path, body, headers=key)
    assert (status, again["outcome"], again["id"], again["running"]) == (
        200,
        "repeated",
        made["id"],
        made["running"],
    )
    status, answer = await daemon.post(path, {**body, "for": "3h"}, headers=key)
    assert (status, answer["detail"]) == (422, "Idempotency-Key: it came before with another request")
    status, longer = await daemon.post(path, {**body, "for": "3h", "note": "disks"})
    assert (status, longer["outcome"], longer["id"], longer["note"]) == (200, "extended", made["id"], "disks")
    assert longer["running"]["from"] == made["running"]["from"]
    assert longer["running"]["to"] > made["running"]["to"]
    status, known = await daemon.post(path, {**body, "for": "1h"})
    assert (status, known["outcome"], known["running"]) == (200, "known", longer["running"])
    status, other = await daemon.post(path, {**body, "by": "ben"})
    assert (status, other["outcome"]) == (201, "made")
    assert (await daemon.call("DELETE", f"{path}/{made['id']}"))[0] == 204
    assert [one["id"] for one in (await daemon.get(path))[1]["maintenance"]] == [other["id"]]
    status, answer = await daemon.post(path, body, headers=key)
    assert (status, "which has been ended since" in answer["detail"]) == (409, True)


async def test_what_is_too_long_is_refused_by_the_name_of_its_field_and_slips_are_pointed_out(
    daemon: DaemonProcess,
) -> None:
    path, body = "/api/v1/maintenance", {"match": ['service="database"'], "for": "2h"}
    for more, says in (
        ({"match": ['a="b"', f'a="{"x" * 1000}"']}, "body.match[1]: 1,004 characters are more than the limit of 1,000"),
        ({"name": "n" * 101}, "body.name: 101 characters"),
        ({"by": "n" * 101}, "body.by: 101 characters"),
        ({"note": "n" * 2001}, "body.note: 2,001 characters"),
        ({"every": "FREQ=DAILY;BYMONTHDAY=" + "1," * 400}, "body.every: "),
    ):  # fmt: skip
        status, answer = await daemon.post(path, {**body, **more})
        assert (status, says in answer["detail"]) == (422, True), answer
    _, made = await daemon.post(path, {**body, "match": ['service="databse"', 'clustr="eu"', 'tenant="x"']})
    assert made["warnings"] == [
        'no service that the rules name is matched by service="databse" (did you mean "database"?)',
        'no rule names the label clustr (did you mean "cluster"?)',
    ]
    _, made = await daemon.post(path, {**body, "match": ['service="api"', 'service="api"']})
    assert made["match"] == ['service="api"']
