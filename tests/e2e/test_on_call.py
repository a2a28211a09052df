"""Who is on call, asked of a running daemon; and the page that goes to whoever that is."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from daemon import DaemonProcess, Receiver, alert, running, webhook_body
from feed import calendar, event, feed_server
from waiting import eventually, until

from responder.clock import SystemClock
from responder.web import oncall, overrides
from responder.web.openapi import description

RULES = """
severities:
  P1: {title: Critical, respond_within: 30m, escalate: {secondary: 10m, executive: 20m}}
escalation:
  database: {primary: dbteam, secondary: night, executive: cto}
  platform: {primary: cto}
contacts: {ana: {}, ben: {}, cyd: {}, cto: {}, pair: {members: [ben, cyd]}}
schedules:
  dbteam: {timezone: Asia/Manila, rotation: [ana]}
  night: {timezone: Europe/Berlin, rotation: [ben, cyd], handoff: "Mon 09:00", start: 2099-01-01}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database, group_by: [alertname]}
default: {severity: P3, service: platform}
"""


def hooked(hook: Receiver, **more: Any) -> dict[str, Any]:
    return {"channels": {"hook": {"type": "webhook", "url": hook.url}}, **more}


@pytest.fixture
async def daemon(hook: Receiver, tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with running(tmp_path / "daemon", hooked(hook), RULES) as found:
        yield found


def now() -> datetime:
    return SystemClock().now().replace(microsecond=0)


def stretch(hours: int = 1) -> dict[str, str]:
    return {
        "from": (now() - timedelta(hours=1)).isoformat(),
        "to": (now() + timedelta(hours=hours)).isoformat(),
    }


async def levels(daemon: DaemonProcess, query: str = "") -> dict[str, tuple[list[str], str]]:
    status, answer = await daemon.get(f"/api/v1/oncall{query}")
    assert status == 200, answer
    (row,) = [one for one in answer["oncall"] if one["service"] == "database"]
    return {one["level"]: (one["people"], one["why"]) for one in row["levels"]}


async def test_the_page_goes_to_whoever_is_on_call_and_a_gap_falls_to_the_next_level(
    daemon: DaemonProcess, hook: Receiver
) -> None:
    status, made = await daemon.post(
        "/api/v1/schedules/dbteam/overrides", {"who": "pair", "by": "ana", "note": "dentist", **stretch()}
    )
    assert (status, made["who"], made["by"], made["note"]) == (201, ["pair"], "ana", "dentist")
    await daemon.alerts(webhook_body(alert(1)))
    await until(lambda: len(hook.pages()) == 2)
    assert sorted(page["to"] for page in hook.pages()) == ["ben", "cyd"]
    assert (await daemon.call("DELETE", f"/api/v1/schedules/dbteam/overrides/{made['id']}"))[0] == 204
    await daemon.alerts(webhook_body(alert(2)))
    await until(lambda: len(hook.pages()) == 3)
    assert hook.pages()[-1]["to"] == "ana"


async def test_a_level_with_nobody_falls_to_the_next_at_once_and_says_so(
    hook: Receiver, tmp_path: Path
) -> None:
    rules = RULES.replace("primary: dbteam, secondary: night", "primary: night, secondary: dbteam")
    async with running(tmp_path, hooked(hook), rules) as daemon:
        await daemon.alerts(webhook_body(alert(1)))
        await until(hook.pages)
        assert (hook.pages()[0]["to"], hook.pages()[0]["level"]) == ("ana", "secondary")
        incident = (await daemon.incidents())[0]["id"]
        _, one = await daemon.get(f"/api/v1/incidents/{incident}")
        assert any("nobody is on call" in entry["text"] for entry in one["timeline"])
        assert "not everybody who will be paged is there" in daemon.log()
        assert "nobody is on call for night" in daemon.log()


async def test_who_is_on_call_is_told_for_any_time(daemon: DaemonProcess) -> None:
    assert await levels(daemon) == {
        "primary": (["ana"], "rotation"), "secondary": ([], "nobody"), "executive": (["cto"], "always"),
    }  # fmt: skip
    status, answer = await daemon.get("/api/v1/oncall?at=2099-02-02T08:30:00Z")
    assert (status, answer["at"]) == (200, "2099-02-02T08:30:00Z")
    assert (await levels(daemon, "?at=2099-02-02T08:30:00Z"))["secondary"][0] in (["ben"], ["cyd"])
    for text in ("2099-02-02T09:30:00+01:00", quote("2099-02-02T09:30:00+01:00")):
        assert (await daemon.get(f"/api/v1/oncall?at={text}"))[1]["at"] == "2099-02-02T08:30:00Z"
    for text in ("noon", "", "2026-01-01", "2026-01-01T09:00", "0001-01-01T00:00:00Z", "9" * 5_000):
        status, answer = await daemon.get(f"/api/v1/oncall?at={text}")
        assert status == 400, text
        assert answer["detail"].startswith("at: expected ")


async def test_the_coming_weeks_are_shown_with_their_gaps(daemon: DaemonProcess) -> None:
    status, weeks = await daemon.get(
        "/api/v1/schedules/night?from=2098-12-29T00:00:00Z&to=2099-01-14T00:00:00Z"
    )
    assert status == 200
    spans = weeks["spans"]
    assert (weeks["timezone"], spans[0]["from"], spans[-1]["to"]) == (
        "Europe/Berlin", "2098-12-29T00:00:00Z", "2099-01-14T00:00:00Z",
    )  # fmt: skip
    assert [(one["people"], one["why"]) for one in spans] == [
        ([], "nobody"), (["ben"], "rotation"), (["cyd"], "rotation"),
    ]  # fmt: skip
    assert (await daemon.get("/api/v1/schedules/night"))[0] == 200
    for query in (
        "?to=2000-01-01T00:00:00Z",
        "?from=2026-01-01T00:00:00Z&to=2028-01-01T00:00:00Z",
        "?from=x",
    ):
        assert (await daemon.get(f"/api/v1/schedules/night{query}"))[0] == 400
    status, answer = await daemon.get("/api/v1/schedules/nihgt")
    assert (status, answer["detail"]) == (404, "no schedule 'nihgt' (did you mean \"night\"?)")


async def test_overrides_and_swaps_are_listed_once_each_and_survive_a_restart(daemon: DaemonProcess) -> None:
    body = {"who": ["ben"], "by": "ana", **stretch(2)}
    first, again = [await daemon.post("/api/v1/schedules/dbteam/overrides", body) for _ in range(2)]
    assert (first[0], again[0], first[1]["id"]) == (201, 200, again[1]["id"])
    swap = {"between": ["ben", "@cyd"], "from": "2099-01-05 00:00", "to": "2099-01-19", "note": "holiday"}
    status, made = await daemon.post("/api/v1/schedules/night/swaps", swap)
    assert (status, made["kind"], made["who"], made["from"]) == (
        201,
        "swap",
        ["ben", "cyd"],
        "2099-01-04T23:00:00Z",
    )
    await daemon.kill()
    await daemon.start()
    assert (await levels(daemon))["primary"] == (["ben"], "override")
    _, listed = await daemon.get("/api/v1/schedules/dbteam/overrides")
    assert [one["id"] for one in listed["overrides"]] == [first[1]["id"]]
    _, schedules = await daemon.get("/api/v1/schedules")
    assert [(one["name"], one["people"], len(one["overrides"])) for one in schedules["schedules"]] == [
        ("dbteam", ["ben"], 1), ("night", [], 1),
    ]  # fmt: skip
    # An id of another schedule is none of this one's.
    assert (await daemon.call("DELETE", f"/api/v1/schedules/dbteam/overrides/{made['id']}"))[0] == 404
    assert (await daemon.call("DELETE", f"/api/v1/schedules/night/overrides/{made['id']}"))[0] == 204
    assert (await daemon.call("DELETE", f"/api/v1/schedules/night/overrides/{made['id']}"))[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("overrides", {"who": "zoe"}, "body.who: no contact 'zoe'"),
        ("overrides", {"who": "benn"}, "body.who: no contact 'benn' (did you mean \"ben\"?)"),
        ("overrides", {"who": []}, "body.who: expected at least one name"),
        ("overrides", {"who": ["ana"] * 30}, "body.who: expected at most 20 names"),
        ("overrides", {"who": "dbteam"}, "body.who: leads back to dbteam"),
        ("overrides", {"who": 7}, "body.who"),
        ("overrides", {"who": "ana", "from": "soon"}, "body.from: expected a time such as"),
        ("overrides", {"who": "ana", "to": "2020-01-01"}, "body.to: expected a time after from"),
        (
            "overrides",
            {"who": "ana", "from": "2020-01-01", "to": "2020-01-02"},
            "what is over cannot be changed",
        ),
        ("overrides", {"who": "ana", "to": "2099-01-01"}, "body.to: expected at most 366 days after from"),
        ("overrides", {"who": "ana", "too": 1}, "too"),
        ("swaps", {"between": ["ana"]}, "body.between"),
        ("swaps", {"between": ["ana", "@ana"]}, "body.between: expected different names"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused_by_field(
    daemon: DaemonProcess, path: str, body: dict[str, Any], says: str
) -> None:
    status, answer = await daemon.post(f"/api/v1/schedules/dbteam/{path}", {**stretch(), **body})
    assert status == 400
    assert says in answer["detail"]
    assert (await daemon.get("/api/v1/schedules/dbteam/overrides"))[1] == {"overrides": []}


async def test_whoever_may_only_look_changes_nothing(hook: Receiver, tmp_path: Path) -> None:
    tokens = [{"name": "eye", "token": "eye-token", "role": "viewer"}]
    async with running(tmp_path, hooked(hook, auth={"tokens": tokens}), RULES) as daemon:
        body = json.dumps({"who": "ben", **stretch()}).encode()
        for headers, code in (({}, 401), ({"Authorization": "Bearer eye-token"}, 403)):
            status, _ = await daemon.call(
                "POST", "/api/v1/schedules/dbteam/overrides", data=body, headers=headers
            )
            assert status == code
            assert (
                await daemon.call("DELETE", f"/api/v1/schedules/dbteam/overrides/{'0' * 16}", headers=headers)
            )[0] == code
        assert (await daemon.get("/api/v1/schedules", headers={"Authorization": "Bearer eye-token"}))[
            0
        ] == 200
        assert (await daemon.get("/api/v1/oncall"))[0] == 401


async def test_metrics_say_whether_somebody_will_be_there(daemon: DaemonProcess) -> None:
    async def shown() -> str:
        _, text = await daemon.get("/metrics")
        return text if "responder_oncall_ready{" in text else ""

    text = await eventually(shown)
    assert 'responder_oncall_ready{level="primary",service="database"} 1.0' in text
    assert 'responder_oncall_ready{level="secondary",service="database"} 0.0' in text
    assert 'responder_oncall_ready{level="executive",service="database"} 1.0' in text


async def test_a_calendar_that_goes_away_keeps_its_last_good_copy_across_a_restart(
    hook: Receiver, tmp_path: Path
) -> None:
    async with feed_server() as server:
        today, later = (f"{now() + timedelta(days=days):%Y%m%d}" for days in (-1, 3))
        server.body = calendar(event(f"VALUE=DATE:{today}", f"VALUE=DATE:{later}", "Ben Cruz"))
        old = "{timezone: Asia/Manila, rotation: [ana]}"
        new = f"{{timezone: UTC, ical: {{url: '{server.url}', refresh: 1m, people: {{Ben Cruz: ben}}}}}}"
        async with running(tmp_path, hooked(hook), RULES.replace(old, new)) as daemon:
            assert (await levels(daemon))["primary"] == (["ben"], "calendar")
            server.status = 500
            await daemon.kill()
            await daemon.start()
            assert (await levels(daemon))["primary"] == (["ben"], "calendar")

            async def complained() -> Any:
                _, listed = await daemon.get("/api/v1/schedules")
                state = listed["schedules"][0]["calendar"]
                return state if state["problem"] else None

            state = await eventually(complained)
            assert state["problem"] == "it answers 500"
            assert state["confirmed_at"] < state["failing_since"]
            _, text = await daemon.get("/metrics")
            (line,) = [
                one
                for one in text.splitlines()
                if one.startswith('responder_calendar_last_success_timestamp_seconds{name="dbteam"}')
            ]
            confirmed = datetime.fromisoformat(state["confirmed_at"]).timestamp()
            assert float(line.split()[-1]) == pytest.approx(confirmed, abs=0.01)
            assert "token-4711" not in daemon.log() + text


def test_every_route_of_schedules_is_described() -> None:
    described = description()["paths"]
    for route in (*oncall.routes(), *overrides.routes()):
        path = re.sub(r"{(\w+):.*}", r"{\1}", route.path)
        assert route.method.lower() in described[path], path
