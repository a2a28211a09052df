"""The http probe: headers, lists in JSON, denials, TLS, and what broken peers do."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import trustme
from peers import Answer, dropping, saying, serving
from probe_bench import Bench

from responder.config import HttpTarget, Targets
from responder.incident.finding import Finding, FindingStatus
from responder.secrets import Secret
from responder.targets.http import joined
from responder.triage.http import HttpSettings

OK, CRITICAL = FindingStatus.OK, FindingStatus.CRITICAL


async def look(url: str, **more: Any) -> Finding:
    target = HttpTarget(url=url, headers={"Authorization": Secret("Bearer token-value-1")})
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        bench = Bench(session, Targets(http={"api": target}), ("Bearer token-value-1", "token-value-1"))
        return await bench.see("http", HttpSettings(target="api", **more))


async def health(answer: Answer, **more: Any) -> Finding:
    async with serving(answer) as url:
        return await look(url, **more)


async def test_headers_by_value_and_by_beginning() -> None:
    answer = saying(200, "{}", **{"Content-Type": "application/json; charset=utf-8", "X-Version": "3"})
    assert (await health(answer, expect_headers={"content-type": "application/json*"})).status is OK
    assert (await health(answer, expect_headers={"X-Version": "3", "Date": "*"})).status is OK
    wrong = await health(answer, expect_headers={"X-Version": "4"})
    assert (wrong.status, wrong.headline) == (
        CRITICAL,
        "api answers 200, but the header X-Version is '3', expected '4'",
    )
    missing = await health(answer, expect_headers={"X-Other": "*"})
    assert missing.headline == "api answers 200, but the header X-Other is missing"


async def test_json_in_lists_and_true_is_not_one() -> None:
    answer = saying(200, '{"checks": [{"up": true}, {"up": 1}], "n": 1}')
    assert (await health(answer, expect_json={"checks.0.up": True, "n": 1})).status is OK
    assert (await health(answer, expect_json={"checks.1.up": True})).status is CRITICAL
    assert (await health(answer, expect_json={"checks.2.up": True})).status is CRITICAL
    assert (await health(answer, expect_json={"checks.-1.up": 1})).status is CRITICAL
    assert (await health(answer, expect_json={"n.x": 1})).status is CRITICAL


@pytest.mark.parametrize("status", [401, 403])
async def test_who_may_not_ask_learns_nothing_of_the_health(status: int) -> None:
    finding = await health(saying(status, '{"message": "Invalid JWT"}'))
    assert finding.status is FindingStatus.DENIED
    assert (await health(saying(status), expect_status=(status,))).status is OK


async def test_a_redirect_is_shown_without_its_query() -> None:
    finding = await health(saying(302, "", Location="https://login.example/?ticket=abc123"))
    assert "points to https://login.example/, expected 200" in finding.headline
    assert "abc123" not in finding.headline


async def test_a_connection_that_breaks_off_is_critical() -> None:
    finding = await health(dropping)
    assert (finding.status, finding.headline) == (
        CRITICAL,
        "api broke off: it closed the connection without an answer",
    )


async def test_what_is_at_the_edge_of_what_is_shown_is_redacted_before_it_is_cut() -> None:
    for room in range(1_970, 2_010):
        finding = await health(saying(500, "x" * room + " token-value-1 and more"))
        assert "token-va" not in finding.detail


async def test_a_certificate_that_nobody_trusts_and_a_peer_without_tls_are_named() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with serving(saying(), context) as url:
        finding = await look(url)
    assert finding.status is CRITICAL
    assert finding.headline.startswith("cannot reach api: its TLS certificate is not trusted (")
    async with serving(saying()) as url:
        finding = await look(url.replace("http://", "https://"))
    assert finding.headline == "cannot reach api: the TLS handshake failed"


async def test_names_and_addresses_that_are_none(unknown_names: None) -> None:
    assert (await look("http://no-such-host.invalid")).headline == (
        "cannot reach api: its name cannot be resolved"
    )
    for odd in ("api.internal", "ftp://api", "http://", ""):
        finding = await look(odd)
        assert finding.headline == "the target's url is no http or https address"


@pytest.mark.parametrize(
    "path", ["/%2e%2e/admin", "/x/%2E%2e/%2e%2e/y", "/a/../b", "\\\\evil", "@evil.example/"]
)
def test_no_path_leaves_the_target(path: str) -> None:
    try:
        url = joined("https://api.example:8443/base", path)
    except Exception as error:  # noqa: BLE001 - told by its text
        assert "would leave the target" in str(error)  # noqa: PT017
    else:
        assert (url.host, url.port) == ("api.example", 8443)
        assert url.path.startswith("/base/")


async def test_a_limit_of_the_session_is_a_time_out() -> None:
    async with serving(saying()) as url:
        finding = await look(url, timeout=timedelta(seconds=0))
    assert finding.status is FindingStatus.TIMEOUT
