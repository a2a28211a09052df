"""Supabase's services and Edge Functions, as the Management API tells of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from fake_supabase import INGEST, OTHER, REF, TOKEN, FakeSupabase
from peers import Answer, dropping, endless, hanging, saying
from probe_bench import AROUND, Bench

from responder.config import SupabaseTarget, Targets
from responder.incident.finding import Finding, FindingStatus
from responder.parameters import FromLabel
from responder.secrets import Secret
from responder.triage.base import ProbeSettings
from responder.triage.supabase_health import Service, SupabaseHealthSettings
from responder.triage.supabase_logs import Level, SupabaseLogsSettings

OK, WARNING, CRITICAL = FindingStatus.OK, FindingStatus.WARNING, FindingStatus.CRITICAL
DENIED, ERROR = FindingStatus.DENIED, FindingStatus.ERROR


@pytest.fixture
async def supabase() -> AsyncIterator[FakeSupabase]:
    async with FakeSupabase().running() as running:
        yield running


async def see(
    url: str,
    kind: str,
    settings: ProbeSettings,
    labels: dict[str, str] | None = None,
    token: str = TOKEN,
    project_ref: str = REF,
) -> Finding:
    project = SupabaseTarget(url=url, project_ref=project_ref, access_token=Secret(token))
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        around = msgspec.structs.replace(AROUND, labels=labels or {})
        return await Bench(session, Targets(supabase={"main": project})).see(kind, settings, around)


async def health(supabase: FakeSupabase, **more: Any) -> Finding:
    target = {name: more.pop(name) for name in ("url", "project_ref", "token") if name in more}
    settings = SupabaseHealthSettings(target="main", **more)
    return await see(target.pop("url", supabase.url), "supabase.health", settings, **target)


async def logs(
    supabase: FakeSupabase, labels: dict[str, str] | None = None, token: str = TOKEN, **more: Any
) -> Finding:
    settings = SupabaseLogsSettings(target="main", **{"function": "ingest-transaction", **more})
    return await see(supabase.url, "supabase.logs", settings, labels, token=token)


async def test_all_services_are_asked_about_at_once(supabase: FakeSupabase) -> None:
    finding = await health(supabase)
    assert (finding.status, finding.headline) == (OK, "main: 6 services are healthy")
    assert len(supabase.asked) == 1
    assert int(supabase.asked[0].query["timeout_ms"]) == 4_000
    one = await health(supabase, services=(Service.PG_BOUNCER,))
    assert one.headline == "main: pg_bouncer is healthy"


async def test_the_worst_comes_first_and_whatever_is_unknown_is_a_warning(supabase: FakeSupabase) -> None:
    supabase.health = {
        "rest": "COMING_UP",
        "db": {"status": "UNHEALTHY", "error": "connection refused, password=hunter22"},
        "auth": "ON_HOLIDAY",
        "storage": None,
    }
    finding = await health(supabase)
    assert finding.status is CRITICAL
    assert finding.headline.startswith("main: db: UNHEALTHY (connection refused")
    assert finding.headline.endswith("2 of 6 healthy")
    assert "hunter22" not in finding.headline + finding.detail
    assert finding.detail.splitlines()[0].startswith("db: UNHEALTHY")
    assert "storage: no word of it" in finding.detail
    supabase.health = {"rest": "COMING_UP"}
    assert (await health(supabase)).status is WARNING


REFUSALS = [
    (401, "access token is wrong, expired or revoked", DENIED),
    (403, "access token may not ask this", DENIED),
    (404, "no such project", ERROR),
    (429, "too many requests), asks to wait 30 s", ERROR),
    (500, "main answers 500", CRITICAL),
]


@pytest.mark.parametrize(("status", "words", "state"), REFUSALS)
async def test_refusals_say_what_they_mean(
    supabase: FakeSupabase, status: int, words: str, state: FindingStatus
) -> None:
    answer = saying(status, f'{{"message": "no, {TOKEN}"}}', **{"Retry-After": "30"} if status == 429 else {})
    supabase.instead = dict.fromkeys(("health", "functions", "analytics/endpoints/logs"), answer)
    for finding in (await health(supabase), await logs(supabase)):
        assert finding.status is state
        assert words in finding.headline
        assert TOKEN not in finding.headline + finding.detail


async def test_a_wrong_token_and_another_project(supabase: FakeSupabase) -> None:
    wrong = await health(supabase, token="sbp_wrong")
    assert (wrong.status, "sbp_wrong" in wrong.headline) == (DENIED, False)
    assert (await health(supabase, project_ref="z" * 20)).status is DENIED


async def test_what_is_configured_wrongly_says_how_it_should_be(supabase: FakeSupabase) -> None:
    odd = await health(supabase, project_ref="../../v1/projects")
    assert odd.headline.endswith("project_ref: expected the project's reference, 20 small letters")
    own = await health(supabase, url=f"https://{REF}.supabase.co")
    assert own.headline.endswith("this is a project's own; the Management API is at https://api.supabase.com")
    assert supabase.asked == []


@pytest.mark.parametrize("answer", [endless, dropping, saying(200, "[" * 5_000), saying(200, '{"a": 1}')])
async def test_broken_answers_are_findings(supabase: FakeSupabase, answer: Answer) -> None:
    for path in ("health", "functions", "analytics/endpoints/logs"):
        supabase.instead = {path: answer}
        finding = await (health(supabase) if path == "health" else logs(supabase))
        assert finding.status is ERROR, finding


async def test_a_hang_ends_at_the_limit(supabase: FakeSupabase) -> None:
    supabase.instead = {"functions": hanging, "health": hanging}
    assert (await health(supabase, timeout=timedelta(seconds=0.2))).status is FindingStatus.TIMEOUT
    assert (await logs(supabase, timeout=timedelta(seconds=0.2))).status is FindingStatus.TIMEOUT


def busy(supabase: FakeSupabase) -> None:
    supabase.calls = (
        [(INGEST, 200, 80.0)] * 375 + [(INGEST, 500, 1_200.0)] * 30 + [(INGEST, 546, 9_810.0)] * 7
    )
    supabase.calls += [(OTHER, 500, 60_000.0)] * 50
    supabase.lines = [
        (INGEST, "log", "Boot", "booted (time: 32ms)"),
        *[
            (INGEST, "error", "Log", f"insert of {n} failed: no connection to 10.0.0.{n}:6543")
            for n in range(30)
        ],
        (INGEST, "warning", "Log", "pool is at 95%"),
        (INGEST, "info", "Log", "batch done"),
        (INGEST, "error", "UncaughtException", "Error: token=abcdef123456 refused"),
        (OTHER, "error", "Log", "not ours"),
    ]


async def test_how_many_calls_failed_how_slowly_and_what_the_function_said(supabase: FakeSupabase) -> None:
    busy(supabase)
    finding = await logs(supabase)
    assert finding.status is WARNING
    assert finding.headline == (
        "37 of 412 calls of ingest-transaction failed (5xx) in the last 1h, slowest 9.8 s"
    )
    assert finding.detail.splitlines() == [
        "375 x 200, 30 x 500, 7 x 546 (out of CPU time or memory)",
        "30 x insert of 29 failed: no connection to 10.0.0.29:6543",
        "1 x Error: token=<redacted> refused",
        "1 x pool is at 95%",
    ]


async def test_levels_and_thresholds_are_the_rules(supabase: FakeSupabase) -> None:
    busy(supabase)
    assert (await logs(supabase, critical=0.05)).status is CRITICAL
    assert (await logs(supabase, warning=0.5, critical=0.9)).status is OK
    info = await logs(supabase, level=Level.INFO)
    assert "1 x batch done" in info.detail
    assert "booted" not in info.detail
    error = await logs(supabase, level=Level.ERROR, limit=1)
    assert len(error.detail.splitlines()) == 2


async def test_a_function_that_was_not_called_or_is_throttled(supabase: FakeSupabase) -> None:
    finding = await logs(supabase, since=timedelta(minutes=15))
    assert finding.status is FindingStatus.NO_DATA
    assert finding.headline == "no call of ingest-transaction in the last 15m"
    supabase.functions[0]["status"] = "THROTTLED"
    finding = await logs(supabase)
    assert (finding.status, finding.headline.endswith("the function is THROTTLED")) == (WARNING, True)


async def test_the_span_is_a_day_at_most_and_reaches_the_newest_lines(supabase: FakeSupabase) -> None:
    for since in (timedelta(hours=25), timedelta(seconds=30)):
        finding = await logs(supabase, since=since)
        assert finding.headline.startswith("since: from 1m to 24h is expected")
    assert supabase.asked == []
    assert (await logs(supabase, since=timedelta(hours=24))).status is FindingStatus.NO_DATA
    assert supabase.spans == [timedelta(hours=24)] * 2


async def test_an_error_in_an_answer_with_200_is_an_error(supabase: FakeSupabase) -> None:
    for body in (
        '{"result": null, "error": "Backend error! Retry your query."}',
        '{"result": [], "error": {"code": 400, "message": "Backend error! in query", "errors": [], "status": "x"}}',
    ):
        supabase.instead = {"analytics/endpoints/logs": saying(200, body)}
        finding = await logs(supabase)
        assert (finding.status, "cannot search the logs: Backend error!" in finding.headline) == (ERROR, True)


async def test_rows_of_another_shape_are_an_error(supabase: FakeSupabase) -> None:
    supabase.instead = {"analytics/endpoints/logs": saying(200, '{"result": [{"status": "many"}]}')}
    assert "log rows of another shape" in (await logs(supabase)).headline


HOSTILE = [
    "x' or '1'='1",
    "../functions",
    "a b",
    "",
    "ingest-transaction'--",
    "x" * 200,
    "\u202e",
    "a/b",
    "%27",
]


@pytest.mark.parametrize("value", HOSTILE)
async def test_a_label_is_a_slug_or_nothing_is_asked(supabase: FakeSupabase, value: str) -> None:
    finding = await logs(supabase, {"function": value}, function=FromLabel(label="function"))
    assert finding.status is ERROR
    assert supabase.asked == []


async def test_a_label_names_a_function_and_an_unknown_one_gets_a_hint(supabase: FakeSupabase) -> None:
    busy(supabase)
    named = FromLabel(label="function", default="health")
    assert "412 calls" in (await logs(supabase, {"function": "ingest-transaction"}, function=named)).headline
    assert "50 calls of health" in (await logs(supabase, {}, function=named)).headline
    finding = await logs(supabase, {"function": "ingest-transactions"}, function=named)
    assert finding.headline == (
        'the project has no Edge Function ingest-transactions (did you mean "ingest-transaction"?)'
    )


async def test_only_a_uuid_goes_into_a_query(supabase: FakeSupabase) -> None:
    supabase.functions[0]["id"] = "x' or '1'='1"
    finding = await logs(supabase)
    assert (finding.status, finding.headline) == (ERROR, "the id of ingest-transaction is no UUID")
    assert supabase.searches == []


async def test_a_function_that_writes_without_end_is_bounded(supabase: FakeSupabase) -> None:
    supabase.calls = [(INGEST, 200, 5.0)]
    supabase.lines = [(INGEST, "error", "Log", chr(97 + n % 26) * 2_000 + " x") for n in range(400)]
    finding = await logs(supabase, limit=50)
    assert len(finding.detail) <= 2_000
