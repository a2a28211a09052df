"""A picture's whole way: from the alert's expression through a real Prometheus to the page, the mail, the console, the link."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from browser import chromium
from daemon import DaemonProcess, Receiver, alert, free_port, running, webhook_body
from fake_prometheus import fake_prometheus, matrix, times
from mail import mail_server
from PIL import Image
from prometheus import alertmanager, prometheus
from waiting import until

RULES = """
severities:
  P1: {title: Critical, respond_within: 60s}
escalation:
  api: {primary: backend}
  database: {primary: dbteam}
  platform: {primary: platform}
services:
  api: {depends_on: [database]}
contacts:
  backend: {email: api@example.com, channels: {P1: [hook]}}
rules:
  - {name: api, match: ['service="api"'], severity: P1, service: api, group_by: [alertname], runbook: graph}
  - {name: database, match: ['service="database"'], severity: P2, service: database, group_by: [alertname]}  # less: it holds no P1 back
runbooks:
  graph: {summary: Look at the curve., diagnose: [alert-graph, impact]}
probes:
  alert-graph: {type: prometheus, target: main, unit: seconds}
  impact: {type: impact}
"""
TOKEN = {"Authorization": "Bearer viewer-token"}


def climbing(_request: Any, form: dict[str, str]) -> dict[str, Any]:
    points = times(form)
    return matrix(
        ({"job": "api"}, [(at, str(0.12 + max(0, n - 200) * 0.045)) for n, at in enumerate(points)])
    )


def latency(number: int = 1) -> dict[str, Any]:
    """An alert that carries its expression, as Prometheus sends it."""
    one = alert(number, service="api", job="api", instance="api-1")
    expression = quote(
        'histogram_quantile(0.99, sum by (job, le) (rate(http_seconds_bucket{job="api"}[5m]))) > 0.5'
    )
    one["generatorURL"] = f"http://evil.example:9090/graph?g0.expr={expression}&g0.tab=1"
    one["annotations"]["dashboard_url"] = "https://grafana.example/d/api"
    return one


def configured(hook: Receiver, prometheus: str, **more: Any) -> dict[str, Any]:
    return {
        "channels": {"hook": {"type": "webhook", "url": hook.url}},
        "targets": {"prometheus": {"main": {"url": prometheus}}},
        "auth": {"tokens": [{"name": "eye", "token": "viewer-token", "role": "viewer"}], "webhook": {}},
        **more,
    }


def found(body: dict[str, Any], probe: str) -> dict[str, Any]:
    one: dict[str, Any] = next(finding for finding in body["findings"] if finding["probe"] == probe)
    return one


def is_chart(raw: bytes) -> bool:
    image = Image.open(io.BytesIO(raw))
    image.load()
    return (image.format, image.size) == ("PNG", (1_000, 440))


async def with_chart(hook: Receiver) -> dict[str, Any]:
    """The first message that has the picture: the page itself, or the update that follows."""

    def drawn() -> Any:
        return next((b for b in hook.bodies if "chart_url" in str(b["findings"])), None)

    return dict(await until(drawn))


async def test_the_curve_of_an_alert_reaches_the_page_the_console_and_the_holder_of_the_link(
    hook: Receiver, tmp_path: Path
) -> None:
    async with (
        fake_prometheus(climbing) as prometheus,
        running(tmp_path, configured(hook, prometheus.url), RULES) as daemon,
    ):
        await daemon.alerts(webhook_body(alert(7)))
        await daemon.alerts(webhook_body(latency()))
        body = await with_chart(hook)
        graph, impact = found(body, "alert-graph"), found(body, "impact")
        assert graph["headline"].startswith("2.37 s now, threshold 0.5 s, over it for 20m, rising for ")
        assert graph["link"] == "https://grafana.example/d/api"
        assert impact["headline"].startswith("database is firing too since ")
        assert "likely cause" in impact["headline"]

        path = graph["chart_url"].removeprefix(daemon.url)
        assert (await daemon.call("GET", path))[0] == 401
        status, raw = await daemon.call("GET", path, headers=TOKEN)
        assert status == 200
        assert is_chart(raw)
        assert (await daemon.call("GET", f"/charts/{'0' * 32}.png", headers=TOKEN))[0] == 404

        _, shown = await daemon.get(f"/api/v1/incidents/{body['incident']['id']}", headers=TOKEN)
        assert found(shown, "alert-graph")["chart_url"] == graph["chart_url"]
        assert found(shown, "impact")["chart_url"] is None
        _, html = await daemon.get(f"/incidents/{body['incident']['id']}", headers=TOKEN)
        assert f'<img class="chart" src="{path}" alt="Line chart of Alert1, 2h until ' in html

        await _by_the_link(daemon, hook, path, body["incident"]["id"])


async def _by_the_link(daemon: DaemonProcess, hook: Receiver, path: str, incident: str) -> None:
    """The page behind the link shows the picture without a session, and no other incident's."""
    links = {
        one["incident"]["id"]: one["ack_url"].removeprefix(daemon.url)
        for one in hook.bodies
        if one["ack_url"]
    }
    own = links.pop(incident)
    status, html = await daemon.get(own)
    assert status == 200
    assert f'src="{own}{path}"' in html
    status, raw = await daemon.call("GET", own + path)
    assert status == 200
    assert is_chart(raw)
    [other] = links.values()
    assert (await daemon.call("GET", other + path))[0] == 404
    assert (await daemon.call("GET", f"{own}/charts/{'0' * 32}.png"))[0] == 404
    assert (await daemon.call("GET", f"/ack/AAAA{path}"))[0] == 404


@pytest.mark.debian("prometheus", "prometheus-alertmanager")
async def test_the_expression_comes_with_the_alert_from_the_real_prometheus(
    hook: Receiver, tmp_path: Path
) -> None:
    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text='latency_seconds{path="/a b"} 2.4\n')

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    scraped = f"127.0.0.1:{runner.addresses[0][1]}"
    rule = {
        "alert": "Slow",
        "expr": 'max by (path) (latency_seconds{path="/a b"}) > 0.5',
        "labels": {"service": "api"},
    }
    port = free_port()
    config = configured(hook, f"http://127.0.0.1:{port}", auth={})
    async with (
        running(tmp_path / "daemon", config, RULES) as daemon,
        alertmanager(tmp_path / "am", f"{daemon.url}/webhooks/alertmanager") as am,
        prometheus(
            tmp_path / "prom", am.url, {"groups": [{"name": "g", "rules": [rule]}]}, scraped, port=port
        ),
    ):
        graph = found(await with_chart(hook), "alert-graph")
    assert graph["headline"].startswith("2.4 s now, threshold 0.5 s, over it ")
    assert graph["status"] == "warning"
    assert 'query: max by (path) (latency_seconds{path="/a b"})' in graph["detail"]
    await runner.cleanup()


async def test_a_mail_carries_the_picture_itself(hook: Receiver, tmp_path: Path) -> None:
    async with fake_prometheus(climbing) as prometheus, mail_server() as box:
        mail = {
            "type": "email",
            "host": "127.0.0.1",
            "port": box.port,
            "from": "r@example.com",
            "starttls": False,
        }
        channels = {"mail": mail}
        rules = RULES.replace("{P1: [hook]}", "{P1: [mail]}")
        async with running(tmp_path, configured(hook, prometheus.url, channels=channels), rules) as daemon:
            await daemon.alerts(webhook_body(latency()))

            def pictures() -> list[bytes]:
                parts = [
                    part for one in box.mails for part in one.walk() if part.get_content_type() == "image/png"
                ]
                return [part.get_payload(decode=True) for part in parts]  # type: ignore[misc]

            assert is_chart((await until(pictures))[0])


@pytest.mark.debian("chromium")
async def test_a_browser_shows_the_picture_in_the_console_and_behind_the_link(
    hook: Receiver, tmp_path: Path
) -> None:
    """With the real content security policy; RESPONDER_SHOTS names a folder to keep what it looks like."""
    async with fake_prometheus(climbing) as prometheus:
        config = configured(hook, prometheus.url)
        del config["auth"]
        async with running(tmp_path, config, RULES) as daemon:
            await daemon.alerts(webhook_body(alert(7)))
            await daemon.alerts(webhook_body(latency()))
            body = await with_chart(hook)
            async with chromium() as browser:
                pages = {
                    "console": f"{daemon.url}/incidents/{body['incident']['id']}",
                    "link": body["ack_url"],
                }
                for name, address in pages.items():
                    page = await browser.new_page(
                        viewport={"width": 390, "height": 844}, device_scale_factor=2
                    )
                    refused: list[str] = []
                    page.on("console", lambda said: refused.append(said.text))  # noqa: B023 - read within the round
                    await page.goto(address)
                    picture = page.locator("img.chart")
                    await picture.scroll_into_view_if_needed()
                    await page.wait_for_function("document.querySelector('img.chart').naturalWidth == 1000")
                    box = await picture.bounding_box()
                    assert box is not None
                    assert box["width"] <= 390
                    assert await picture.get_attribute("alt")
                    assert [text for text in refused if "Security Policy" in text] == []
                    if os.environ.get("RESPONDER_SHOTS"):
                        await page.screenshot(
                            path=f"{os.environ['RESPONDER_SHOTS']}/{name}.png", full_page=True
                        )
