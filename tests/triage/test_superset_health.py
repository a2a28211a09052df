"""Superset's health: its web process, and what stands behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from fake_superset import FakeSuperset
from peers import dropping, endless, hanging, saying, serving
from probe_bench import Bench

from responder.config import SupersetProvider, SupersetTarget, Targets
from responder.incident.finding import Finding, FindingStatus
from responder.secrets import Secret
from responder.triage.superset_health import SupersetHealthSettings

PASSWORD = "p-of-the-robot"


@pytest.fixture
async def superset() -> AsyncIterator[FakeSuperset]:
    async with FakeSuperset().running() as running:
        yield running


async def see(url: str, *, deep: bool = True, password: str = PASSWORD, **more: Any) -> Finding:
    provider = more.pop("provider", SupersetProvider.DB)
    target = SupersetTarget(url=url, username="robot", password=Secret(password), provider=provider)
    settings = SupersetHealthSettings(target="main", deep=deep, **more)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        return await Bench(session, Targets(superset={"main": target})).see("superset.health", settings)


async def test_health_is_the_plain_text_ok(superset: FakeSuperset) -> None:
    finding = await see(superset.url, deep=False)
    assert finding.status is FindingStatus.OK
    assert finding.headline.startswith("main answers OK in ")
    assert superset.asked == [("GET", "/health")]


async def test_a_deep_look_sees_the_login_and_the_metadata_database(superset: FakeSuperset) -> None:
    finding = await see(superset.url)
    assert finding.status is FindingStatus.OK
    assert finding.headline.startswith("main answers OK, with login and metadata database in ")
    assert ("GET", "/api/v1/dashboard/") in superset.asked
    assert not [path for method, path in superset.asked if method != "GET" and "login" not in path]


async def test_a_web_process_that_is_up_without_its_database_is_critical_only_to_a_deep_look(
    superset: FakeSuperset,
) -> None:
    superset.database_gone = True
    assert (await see(superset.url, deep=False)).status is FindingStatus.OK
    finding = await see(superset.url)
    assert finding.status is FindingStatus.CRITICAL
    assert finding.headline == "main's web process is up, but main answers 500: Fatal error"


async def test_wrong_credentials_a_wrong_provider_and_a_missing_permission_say_what_they_are(
    superset: FakeSuperset,
) -> None:
    wrong = await see(superset.url, password="wrong-password-1")
    assert wrong.status is FindingStatus.DENIED
    assert "wrong user name or password" in wrong.headline
    assert "wrong-password-1" not in wrong.headline + wrong.detail
    ldap = await see(superset.url, provider=SupersetProvider.LDAP)
    assert ldap.status is FindingStatus.ERROR
    assert "Alternative authentication provider is not allowed" in ldap.headline
    superset.may.clear()
    assert "lacks a permission" in (await see(superset.url)).headline


async def test_a_limited_login_and_an_expired_token_say_so(superset: FakeSuperset) -> None:
    superset.limited = True
    finding = await see(superset.url)
    assert (finding.status, "too many requests" in finding.headline) == (FindingStatus.ERROR, True)
    superset.limited = False
    superset.lives_for = -1
    finding = await see(superset.url)
    assert finding.status is FindingStatus.DENIED
    assert "Token has expired" in finding.headline


async def test_a_proxys_page_is_not_supersets_health() -> None:
    async with serving(saying(200, "<html>Please wait</html>")) as url:
        finding = await see(url, deep=False)
    assert finding.status is FindingStatus.CRITICAL
    assert "expected 200 and the text OK" in finding.headline
    async with serving(saying(302, "", Location="https://elsewhere.example/")) as url:
        assert (await see(url, deep=False)).status is FindingStatus.CRITICAL


async def test_what_hangs_ends_at_the_limit_wherever_it_hangs(superset: FakeSuperset) -> None:
    superset.instead["/api/v1/security/login"] = hanging
    finding = await see(superset.url, timeout=timedelta(seconds=0.3))
    assert finding.status is FindingStatus.TIMEOUT


@pytest.mark.parametrize("path", ["/api/v1/security/login", "/api/v1/dashboard/"])
async def test_endless_and_broken_answers_are_findings(superset: FakeSuperset, path: str) -> None:
    for answer, words in (
        (endless, "over 8 MB"),
        (saying(200, "no JSON"), "something else than Superset does"),
        (saying(200, "[" * 5_000), "something else than Superset does"),
        (saying(308, "", Location="https://elsewhere.example/?token=abcdefgh"), "points elsewhere"),
        (dropping, "broke off"),
    ):
        superset.instead[path] = answer
        finding = await see(superset.url)
        assert finding.status is not FindingStatus.OK
        assert words in finding.headline
        assert "abcdefgh" not in finding.headline + finding.detail


async def test_a_token_that_could_widen_a_header_is_none(superset: FakeSuperset) -> None:
    superset.instead["/api/v1/security/login"] = saying(200, '{"access_token": "a\\r\\nX-Evil: 1"}')
    assert "a token that is none" in (await see(superset.url)).headline


async def test_an_error_that_repeats_the_password_is_blanked(superset: FakeSuperset) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"message": f"no: {await request.text()}"}, status=400)

    superset.instead["/api/v1/security/login"] = echo
    finding = await see(superset.url)
    assert PASSWORD not in finding.headline
    assert "<redacted>" in finding.headline


async def test_nobody_there() -> None:
    finding = await see("http://127.0.0.1:9")
    assert finding.status is FindingStatus.CRITICAL
    assert finding.headline == "cannot reach main: Connection refused"


async def test_slow_is_a_warning(superset: FakeSuperset) -> None:
    finding = await see(superset.url, slow_after=timedelta(0))
    assert finding.status is FindingStatus.WARNING
    assert "but slowly" in finding.headline
