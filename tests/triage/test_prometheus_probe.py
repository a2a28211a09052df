"""The curve of an alert: on the real Prometheus, and on a strict fake for what the real one does rarely."""

from __future__ import annotations

import asyncio
import io
import random
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from fake_prometheus import error, fake_prometheus, matrix, times
from PIL import Image
from probe_bench import Alone, Bench
from prometheus import remembering

from responder.alerts import Alert, AlertStatus
from responder.clock import SystemClock
from responder.config import PrometheusTarget, Targets
from responder.curves import painter
from responder.incident.finding import Finding, FindingStatus
from responder.parameters import FromLabel
from responder.secrets import Secret
from responder.triage.base import Circumstances
from responder.triage.prometheus_settings import PrometheusSettings
from responder.triage.prometheus_words import expression_of, subject_of

AGO = timedelta(minutes=15)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


def fired(expression: str = "latency > 0.5", *, ago: timedelta = AGO, **labels: str) -> Alert:
    """An alert as a Prometheus that we must never contact sends it."""
    host = "http://evil.example:9090"
    return Alert(
        status=AlertStatus.FIRING,
        labels={"alertname": "HighAPILatency", **labels},
        starts_at=SystemClock().now() - ago,
        generator_url=f"{host}/graph?g0.expr={quote(expression)}&g0.tab=1" if expression else "",
        annotations={},
    )


class Knows(Alone):
    def __init__(self, *alerts: Alert) -> None:
        self.known = list(alerts)

    async def alerts(self, incident: str, limit: int) -> tuple[list[Alert], int]:
        return self.known[:limit], len(self.known)


class Looking:
    """A probe with its surroundings; keeps the charts."""

    def __init__(self, session: aiohttp.ClientSession, url: str, *alerts: Alert, **target: Any) -> None:
        targets = Targets(prometheus={"main": PrometheusTarget(url=url, **target)})
        self.alerts = alerts or (fired(),)
        self.bench = Bench(session, targets, neighbours=Knows(*self.alerts))

    async def see(self, **settings: Any) -> Finding:
        labels = dict(self.alerts[0].labels)
        around = Circumstances(
            incident="1" * 16,
            service="api",
            labels=labels,
            opened_at=SystemClock().now() - AGO,
        )
        made = PrometheusSettings(target="main", **settings)
        return await self.bench.see("prometheus", made, around)

    def chart(self, finding: Finding) -> Image.Image:
        image = Image.open(io.BytesIO(self.bench.charts[finding.chart]))
        image.load()
        return image


def history() -> str:
    """Two hours: a latency that climbs for the last twenty minutes, and 150 filling disks, one of them fast."""
    dice, now = random.Random(5), SystemClock().now().timestamp()
    lines = ["# TYPE latency gauge"]
    for at in range(0, 7_200, 15):
        value = 0.12 + 0.02 * dice.random() + max(0, at - 6_000) / 1_200 * 2.3
        lines.append(f'latency{{job="api",path="/a\\"b\\\\c\\nd"}} {value} {now - 7_200 + at:.3f}')
    lines.append("# TYPE disk gauge")
    for number in range(150):
        for at in range(0, 7_200, 60):
            value = 70 - at / 110 if number == 7 else 20 + number
            lines.append(f'disk{{instance="n{number}",job="node"}} {value} {now - 7_200 + at:.3f}')
    return "\n".join(lines) + "\n"


@pytest.mark.debian("prometheus", "promtool")
async def test_the_real_prometheus_is_asked_for_the_alerts_own_expression_without_its_threshold(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with remembering(tmp_path, history()) as url:
        looking = Looking(session, url, fired("latency > 0.5", job="api"))
        finding = await looking.see(unit="seconds")
        assert finding.status is FindingStatus.WARNING
        assert finding.headline.startswith("2.")
        assert " s now, threshold 0.5 s, over it for 16m, rising for " in finding.headline
        sparks = finding.detail.splitlines()[0]
        assert sparks.startswith("▁▁▁▁▁▁▁▁▁▁")
        assert "█ 0.12 s to 2." in sparks
        assert sparks.endswith("in 2h")
        assert looking.chart(finding).size == (1000, 440)
        assert "threshold 0.5 s" in finding.chart_alt

        # The worst of more series than are asked for at once, and how many there are.
        disks = Looking(session, url, fired("disk < 10 # percent", job="node", instance="n7"))
        finding = await disks.see(unit="percent")
        assert finding.headline.startswith("5.")
        assert "% now (instance=n7), threshold 10 %, below it for" in finding.headline
        assert finding.headline.endswith("; 1 of 150 series below it")
        assert "and 140 more" in finding.detail

        # A label's value is a value, whatever it holds: quotes, backslashes, a line break.
        hostile = Looking(session, url, fired("", path='/a"b\\c\nd'))
        path = {"path": FromLabel(label="path")}
        for query in (
            "latency{path={path}} > 0.5",
            'latency{path="{path}"} > 0.5',
            "latency{path=~{path}} > 0.5",
        ):
            finding = await hostile.see(query=query, values=path, unit="seconds")
            assert finding.status is FindingStatus.WARNING, (query, finding)
        injecting = Looking(session, url, fired("", path='x"} or disk or up{x="'))
        finding = await injecting.see(query='latency{path="{path}"}', values=path)
        assert finding.status is FindingStatus.NO_DATA

        for expression, status, said in (
            ("latency >", FindingStatus.ERROR, "main does not understand the query: 1:10: parse error"),
            (
                "disk * on(job) disk",
                FindingStatus.ERROR,
                "main cannot evaluate the query: found duplicate series",
            ),
            ("nothing > 1", FindingStatus.NO_DATA, "no data for nothing"),
        ):
            finding = await Looking(session, url, fired(expression)).see()
            assert finding.status is status
            assert finding.headline.startswith(said)
            assert finding.chart == ""


def climbing(_request: web.Request, form: dict[str, str]) -> dict[str, Any]:
    points = times(form)
    return matrix(({"job": "api"}, [(at, str(0.1 + max(0, n - 200) * 0.05)) for n, at in enumerate(points)]))


async def test_the_question_is_bounded_and_goes_nowhere_but_to_the_configured_server(
    session: aiohttp.ClientSession,
) -> None:
    async with fake_prometheus(climbing) as fake:
        looking = Looking(
            session, f"{fake.url}/prefix", headers={"Authorization": Secret("Bearer s3cret-token")}
        )
        finding = await looking.see(timeout=timedelta(seconds=30))
    assert finding.status is FindingStatus.WARNING
    [(path, form)] = fake.asked
    assert path == "/api/v1/query_range"
    assert form["query"] == "latency"
    assert float(form["timeout"]) < 30
    assert int(form["limit"]) <= 100
    assert (float(form["end"]) - float(form["start"])) / float(form["step"]) == pytest.approx(250, abs=1)
    assert fake.headers[0]["Authorization"] == "Bearer s3cret-token"
    assert "s3cret-token" not in repr(finding)


async def test_a_short_range_has_no_points_finer_than_fifteen_seconds(session: aiohttp.ClientSession) -> None:
    async with fake_prometheus(climbing) as fake:
        await Looking(session, fake.url).see(range=timedelta(minutes=5))
    assert float(fake.asked[0][1]["step"]) == 15


ERRORS: list[tuple[Any, FindingStatus, str]] = [
    (error("bad_data", "1:2: parse error"), FindingStatus.ERROR, "main does not understand the query: 1:2: parse error"),
    (error("execution", "too many samples"), FindingStatus.ERROR, "main cannot evaluate the query: too many samples"),
    (error("timeout", "query timed out"), FindingStatus.TIMEOUT, "main gave the query up at its time limit: query timed out"),
    (error("internal", "x" * 5_000), FindingStatus.ERROR, "main answers 200: xxx"),
    (web.Response(status=503, text="Service Unavailable"), FindingStatus.ERROR, "main is not ready (503)"),
    (web.Response(status=401, text="no"), FindingStatus.DENIED, "main refuses the credentials (401)"),
    (web.Response(status=404, text="no"), FindingStatus.ERROR, "main has no Prometheus API at its address (404)"),
    (
        web.Response(status=302, headers={"Location": "http://169.254.169.254/"}),
        FindingStatus.ERROR,
        "main answers with a redirect (302), which is not followed",
    ),
    (web.Response(text="<html>login</html>"), FindingStatus.ERROR, "main answers 200, but not in JSON as Prometheus does"),
    (web.Response(text="[" * 200_000), FindingStatus.ERROR, "main answers 200, but not in JSON"),
    (web.Response(text='{"status":"success"}'), FindingStatus.ERROR, "main answers with nothing, expected a matrix"),
    (
        {"status": "success", "data": {"resultType": "streams", "result": []}},
        FindingStatus.ERROR,
        "main answers with streams, expected a matrix",
    ),
    (
        {"status": "success", "data": {"resultType": "matrix", "result": [{"values": "x"}]}},
        FindingStatus.ERROR,
        "main answers with a matrix that cannot be read",
    ),
    (matrix(), FindingStatus.NO_DATA, "no data for latency"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "status", "said"), ERRORS, ids=[said for _, _, said in ERRORS])
async def test_what_the_server_refuses_is_a_finding_that_says_why(
    session: aiohttp.ClientSession, answer: Any, status: FindingStatus, said: str
) -> None:
    async with fake_prometheus(answer) as fake:
        finding = await Looking(session, fake.url).see()
    assert (finding.status, finding.headline[: len(said)]) == (status, said)
    assert finding.chart == ""
    assert len(finding.headline) <= 200


async def test_nobody_there_and_a_hang_are_findings(session: aiohttp.ClientSession) -> None:
    finding = await Looking(session, "http://127.0.0.1:9").see()
    assert (finding.status, finding.headline) == (
        FindingStatus.ERROR,
        "cannot reach main: Connection refused",
    )

    async def hang(_request: web.Request, _form: dict[str, str]) -> None:
        await asyncio.Event().wait()

    async with fake_prometheus(hang) as fake:
        finding = await Looking(session, fake.url).see(timeout=timedelta(seconds=0.3))
    assert (finding.status, finding.headline) == (FindingStatus.TIMEOUT, "no answer within 0.3 s")


async def test_an_answer_without_end_is_cut_and_the_worst_series_are_asked_for(
    session: aiohttp.ClientSession,
) -> None:
    def endless(request: web.Request, form: dict[str, str]) -> Any:
        if "topk" in form["query"]:
            return climbing(request, form)
        return web.Response(body=b'{"status":"success","data":{"x":"' + b"y" * 5_000_000 + b'"}}')

    count = {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "5000"]}]},
    }

    def answer(request: web.Request, form: dict[str, str]) -> Any:
        return count if request.path.endswith("/query") else endless(request, form)

    async with fake_prometheus(answer) as fake:
        finding = await Looking(session, fake.url).see()
        assert finding.status is FindingStatus.WARNING
        assert [path for path, _ in fake.asked] == [
            "/api/v1/query_range",
            "/api/v1/query_range",
            "/api/v1/query",
        ]
        assert "topk(20, last_over_time((\nlatency\n)[29s:29s] @ " in fake.asked[1][1]["query"]
    async with fake_prometheus(lambda _r, _f: web.Response(body=b"[" * 5_000_000)) as fake:
        finding = await Looking(session, fake.url).see()
    assert finding.headline == "main answers more than 2 MiB: narrow the query"


async def test_a_server_that_cannot_choose_the_worst_still_gives_what_it_gave(
    session: aiohttp.ClientSession,
) -> None:
    def answer(request: web.Request, form: dict[str, str]) -> Any:
        if "topk" in form["query"]:
            return error("bad_data", "unknown function")
        return matrix(*[({"n": str(n)}, [(at, str(n)) for at in times(form)]) for n in range(100)])

    async with fake_prometheus(answer) as fake:
        finding = await Looking(session, fake.url).see()
    assert finding.headline.startswith(
        "99 now (n=99), threshold 0.5, over it all of 2h, steady for 2h; 99 of more than 100"
    )


async def test_numbers_that_are_none_histograms_and_warnings_are_told(session: aiohttp.ClientSession) -> None:
    def odd(_request: web.Request, form: dict[str, str]) -> dict[str, Any]:
        points = times(form)
        values = ["NaN", "+Inf", "-Inf", *["1"] * (len(points) - 4), "NaN"]
        made = matrix(
            ({"job": "api"}, list(zip(points, values, strict=True))), warnings=["PromQL warning: \x1b[31mx"]
        )
        made["data"]["result"].append({"metric": {"job": "h"}, "histograms": [[1, {"count": "3"}]]})
        return made

    async with fake_prometheus(odd) as fake:
        finding = await Looking(session, fake.url).see()
    assert finding.headline.startswith("NaN now, threshold 0.5")
    assert "2 of 251 points are Inf" in finding.detail
    assert "2 of 251 points are NaN" in finding.detail
    assert "Prometheus warns: PromQL warning: [31mx" in finding.detail
    assert "1 native histogram(s) have no curve" in finding.detail
    assert finding.chart

    only = {
        "status": "success",
        "data": {"resultType": "matrix", "result": [{"metric": {}, "histograms": [[1, {}]]}]},
    }
    async with fake_prometheus(only) as fake:
        finding = await Looking(session, fake.url).see()
    assert (finding.status, finding.headline[:22]) == (FindingStatus.NO_DATA, "native histograms only")


async def test_a_curve_that_has_ended_and_one_that_is_back_are_told_apart(
    session: aiohttp.ClientSession,
) -> None:
    def ended(_request: web.Request, form: dict[str, str]) -> dict[str, Any]:
        return matrix(({"job": "api"}, [(at, "2") for at in times(form)[:200]]))

    async with fake_prometheus(ended) as fake:
        finding = await Looking(session, fake.url).see()
    assert finding.headline == "no value for 24m, the last was 2, threshold 0.5"
    assert finding.status is FindingStatus.WARNING
    assert finding.chart_alt.endswith("from 2 to 2, 2 at last; threshold 0.5")

    def back(_request: web.Request, form: dict[str, str]) -> dict[str, Any]:
        points = times(form)
        return matrix(({"job": "api"}, [(at, "2" if n < 200 else "0.1") for n, at in enumerate(points)]))

    async with fake_prometheus(back) as fake:
        finding = await Looking(session, fake.url).see()
    assert finding.status is FindingStatus.OK
    assert finding.headline.startswith("0.1 now, threshold 0.5, back from it for 24m")


async def test_the_series_that_fires_comes_before_larger_ones(session: aiohttp.ClientSession) -> None:
    def two(_request: web.Request, form: dict[str, str]) -> dict[str, Any]:
        points = times(form)
        return matrix(
            *[
                ({"instance": name}, [(at, value) for at in points])
                for name, value in (("a", "9"), ("b", "1"))
            ]
        )

    async with fake_prometheus(two) as fake:
        finding = await Looking(session, fake.url, fired(instance="b", severity="critical")).see()
    assert finding.headline.startswith("1 now (instance=b)")
    assert finding.headline.endswith("2 of 2 series over it")


async def test_an_alert_without_an_expression_says_what_to_do_and_asks_nobody(
    session: aiohttp.ClientSession,
) -> None:
    async with fake_prometheus(climbing) as fake:
        finding = await Looking(session, fake.url, fired("")).see()
    assert finding.status is FindingStatus.NO_DATA
    assert finding.headline == "nothing to draw: the alert carries no expression (generatorURL); set a query"
    assert fake.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "", "http://g.example/alerting/grafana/abc/view", "http://[::1", "javascript:alert(1)?g0.expr=",
        "http://x/graph?" + "&".join(f"a{n}=1" for n in range(200)), "http://x/graph?g0.expr=" + "x" * 100_000, "?g0.expr=%20",
    ],
)  # fmt: skip
def test_a_generator_url_of_any_other_form_carries_no_expression(url: str) -> None:
    alert = fired("")
    assert (
        expression_of(
            Alert(status=alert.status, labels=alert.labels, starts_at=alert.starts_at, generator_url=url)
        )
        == ""
    )


def test_of_several_expressions_that_of_the_incidents_own_alert_is_drawn() -> None:
    others = [fired("b > 1", alertname="Other", n=str(n)) for n in range(3)]
    subject = subject_of([*others, fired("a > 1"), fired("c > 1", alertname="Third")], "HighAPILatency")
    assert subject is not None
    assert (subject.expression, len(subject.alerts), subject.others) == ("a > 1", 1, 2)


async def test_where_a_label_is_missing_the_query_is_not_guessed(session: aiohttp.ClientSession) -> None:
    async with fake_prometheus(climbing) as fake:
        finding = await Looking(session, fake.url).see(
            query="up{job={job}}", values={"job": FromLabel(label="job")}
        )
    assert finding.status is FindingStatus.ERROR
    assert finding.headline == "values.job: the incident has no label job, and no default is given"
    assert fake.asked == []


async def test_the_dashboard_is_the_configured_one_with_its_values_escaped(
    session: aiohttp.ClientSession,
) -> None:
    template = "https://g.example/d/abc/api?from={from}&to={to}&var-job={job}"
    settings: dict[str, Any] = {"dashboard": template, "values": {"job": FromLabel(label="job")}}
    async with fake_prometheus(climbing) as fake:
        finding = await Looking(session, fake.url, fired(job="a/b&x=1#é")).see(**settings)
        start, end = (round(float(fake.asked[0][1][name]) * 1000) for name in ("start", "end"))
        assert (
            finding.link
            == f"https://g.example/d/abc/api?from={start}&to={end}&var-job=a%2Fb%26x%3D1%23%C3%A9"
        )
        missing = await Looking(session, fake.url, fired()).see(**settings)
    assert missing.link == ""
    assert missing.status is FindingStatus.WARNING
    assert "no dashboard: values.job: the incident has no label job" in missing.detail


@pytest.mark.parametrize(
    ("annotations", "link"),
    [
        ({"dashboard_url": "https://g.example/d/1?var=a%20b"}, "https://g.example/d/1?var=a%20b"),
        ({"grafana_url": " http://g.example/ "}, "http://g.example/"),
        ({"dashboard": "javascript:alert(1)"}, ""),
        ({"dashboard": 'https://x/"><script>'}, ""),
        ({"dashboard_url": "//evil.example", "grafana_url": "https://g.example/"}, "https://g.example/"),
        ({"runbook_url": "https://r.example/"}, ""),
    ],
)
async def test_an_alerts_own_dashboard_is_shown_where_it_is_a_web_address_and_never_fetched(
    session: aiohttp.ClientSession, annotations: dict[str, str], link: str
) -> None:
    alert = fired()
    alert = Alert(
        status=alert.status, labels=alert.labels, starts_at=alert.starts_at, annotations=annotations,
        generator_url=alert.generator_url,
    )  # fmt: skip
    async with fake_prometheus(climbing) as fake:
        finding = await Looking(session, fake.url, alert).see()
    assert finding.link == link


async def test_hostile_labels_are_neither_markup_nor_a_picture_that_fails(
    session: aiohttp.ClientSession,
) -> None:
    def hostile(_request: web.Request, form: dict[str, str]) -> dict[str, Any]:
        points = times(form)
        names = [
            "$\\frac{1}{0}$",
            "\x00\u202e\x1b[31m",
            "_x",
            "日本",
            "x" * 9_000,
            "<!channel> <script>",
            "password=hunter22",
        ]
        return matrix(
            *[({"instance": name}, [(at, str(n)) for at in points]) for n, name in enumerate(names)]
        )

    async with fake_prometheus(hostile) as fake:
        looking = Looking(session, fake.url, fired("$x$ > 1", alertname="$\\alpha$"))
        finding = await looking.see(title="")
        # `$` is no PromQL, so the expression stays as it is; the fake answers all the same.
        assert fake.asked[0][1]["query"] == "$x$ > 1"
    assert looking.chart(finding).size == (1000, 440)
    assert "hunter22" not in repr(finding)
    assert "\x1b" not in finding.detail
    assert len(finding.detail) <= 2_000


async def test_a_picture_that_is_not_there_in_time_leaves_the_finding_as_it_is(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    monkeypatch.setattr(painter, "_drawn", lambda _: b"png" if held.wait(60) else b"")
    async with fake_prometheus(climbing) as fake:
        finding = await Looking(session, fake.url).see(timeout=timedelta(seconds=5))
    held.set()
    assert (finding.status, finding.chart) == (FindingStatus.WARNING, "")
    assert "▁" in finding.detail
