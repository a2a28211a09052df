"""The http probe: headers, lists in JSON, denials, TLS, and what broken peers do."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from peers import Answer, dropping, saying, serving
from probe_bench import Bench

from responder.config import HttpTarget, Targets
from responder.incident.finding import Finding, FindingStatus
from responder.secrets import Secret
from responder.targets.base import TargetError
from responder.targets.http import joined
from responder.triage.http import HttpSettings

OK, CRITICAL = FindingStatus.OK, FindingStatus.CRITICAL


async def look(url: str, **more: Any) -> Finding:
    target = HttpTarget(url=url, headers={"Authorization": Secret("Bearer token-value-1")})
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        bench = Bench(session, Targets(http={"api": target}))
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


#: A path, as rule files or a label could have it, that some server takes for one outside.
LEAVING = [
    "/../x", "/a/../b", "/.", "/a/./b", "/%2e%2e/admin", "/%2E%2e/api-admin/x", "/x/%2E%2e/%2e%2e/y", "/.%2e/x",
    "/%252e%252e/x", "/%25252e%25252e/x", "/..%2fadmin", "/a%2f..%2f..%2fadmin", "/a%252f..%252fadmin", "/..;x=1/admin",
    "/..%3bx/admin", "/a//b", "/a%2f%2fb", "\\\\evil", "/a%5c..%5cadmin", "/.%09./admin", "/.\t./admin", "/..%00/admin",
    "/%c0%ae%c0%ae/admin", "/..%20/admin", "//evil.example/", "http://evil.example/", "/http://evil.example/",
    "/%2525252525252e/x",
]  # fmt: skip
STAYING = ["", "/", "/health", "health", "/group%2frepo", "/a..b", "/...", "/.well-known/x", "/x;v=1", "/%7euser",
           "/q?range=1..2&to=//x", "/%C3%A9", "/a b", "@evil.example/"]  # fmt: skip


@pytest.mark.parametrize("path", LEAVING)
@pytest.mark.parametrize("base", ["https://api.example:8443/api", "https://api.example:8443"])
def test_no_path_leaves_the_target_however_it_is_written(base: str, path: str) -> None:
    with pytest.raises(TargetError, match="would leave the target"):
        joined(base, path)
    with pytest.raises(ValueError, match="would leave the target"):
        HttpSettings(target="api", path=path)


@pytest.mark.parametrize("path", STAYING)
def test_what_stays_below_is_no_trouble(path: str) -> None:
    url = joined("https://api.example:8443/api", path)
    assert (url.host, url.port) == ("api.example", 8443)
    assert url.path == "/api" or url.path.startswith("/api/")
    assert HttpSettings(target="api", path=path).path == path


def test_nothing_is_put_behind_an_address_that_has_a_query() -> None:
    with pytest.raises(TargetError, match="query or a fragment"):
        joined("https://api.example/?x=1", "/health")


async def test_a_token_that_the_target_sends_back_is_blanked_wherever_it_is_shown() -> None:
    said = '{"error": "apikey rejected: token-value-1", "seen": "%s token-value-1"}' % ("x" * 50)
    headers = {"X-Seen": f"{'x' * 50} token-value-1"}
    for answer, settings in (
        (saying(500, said), {}),
        (saying(302, said, Location=f"/{'x' * 90}/token-value-1"), {}),
        (saying(200, said), {"expect_json": {"seen": "nothing"}}),
        (saying(200, said, **headers), {"expect_headers": {"X-Seen": "nothing"}}),
    ):
        finding = await health(answer, **settings)
        assert finding.status is CRITICAL
        shown = f"{finding.headline} {finding.detail}"
        assert "token-va" not in shown, shown
        assert "<redacted>" in finding.detail


async def test_a_token_whose_file_has_changed_since_the_start_is_blanked_too(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("Bearer token-value-1\n")
    async with (
        serving(saying(500, "apikey rejected: token-value-2")) as url,
        aiohttp.ClientSession() as session,
    ):
        target = HttpTarget(url=url, headers={"Authorization": Secret(file=file)})
        bench = Bench(session, Targets(http={"api": target}))
        file.write_text("Bearer token-value-2\n")
        finding = await bench.see("http", HttpSettings(target="api"))
    assert finding.detail == "apikey rejected: <redacted>"


async def test_a_limit_of_the_session_is_a_time_out() -> None:
    async with serving(saying()) as url:
        finding = await look(url, timeout=timedelta(seconds=0))
    assert finding.status is FindingStatus.TIMEOUT
