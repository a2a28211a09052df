"""A request as an action: what goes out, what comes of it, and what labels can never do to it."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from action_bench import action, wish
from aiohttp import web
from peers import dropping, endless, hanging, saying, serving

from responder.actions.base import Action, ActionError, Progress
from responder.actions.http import HttpActionSettings, Method, Request, Settled
from responder.config import HttpTarget, Targets
from responder.parameters import FromLabel, ParameterError
from responder.secrets import Secret
from responder.targets.base import TargetError
from responder.targets.http import UnclearError, UnreachableError

SERVICE = FromLabel(label="service")


class Peer:
    """Keeps what it was sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(
            (request.method, request.path_qs, dict(request.headers), await request.read()),
        )
        return web.json_response({"state": {"phase": "ready"}})


def sending(url: str, **more: Any) -> AbstractAsyncContextManager[Action]:
    target = HttpTarget(url=url, headers={"Authorization": Secret("Bearer token-value-1")})
    settings = HttpActionSettings(target="ops", **{"path": "/restart", **more})
    return action("http", settings, Targets(http={"ops": target}))


async def test_the_request_goes_out_once_with_its_headers_body_and_a_name_of_its_own() -> None:
    peer = Peer()
    async with (
        serving(peer.answer) as url,
        sending(
            f"{url}/v1",
            method=Method.PUT,
            path=("services", SERVICE, "restart"),
            headers={"X-Reason": "incident"},
            json={
                "service": {"label": "service"},
                "list": [1, {"label": "nobody", "default": "x"}],
                "on": True,
            },
        ) as restart,
    ):
        plan = restart.plan({"service": "api"})
        performed = await restart.perform(wish(service="api"))
        settling = await restart.settled(wish(service="api"), performed.mark)
        untold = await restart.settled(wish(service="api"), {})
    assert plan.object == "PUT /services/api/restart"
    assert plan.text == "Send PUT /services/api/restart (target ops)"
    [(method, path, headers, body)] = peer.seen
    assert (method, path) == ("PUT", "/v1/services/api/restart")
    assert (headers["Authorization"], headers["X-Reason"]) == ("Bearer token-value-1", "incident")
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == wish().run
    assert json.loads(body) == {"service": "api", "list": [1, "x"], "on": True}
    assert performed.text == "PUT /services/api/restart of ops answers 200"
    assert performed.undo is None
    assert settling.progress is Progress.DONE
    # Of a request whose answer nobody saw it cannot be said.
    assert untold.progress is Progress.PENDING


HOSTILE = ["..", "../x", "a/b", "a?b=c", "a#b", "a%2fb", "a b", "", "\r\nX: y", "x" * 300, "a\x00b", "@evil"]


@pytest.mark.parametrize("value", HOSTILE)
async def test_a_label_in_the_path_is_one_segment_or_nothing(value: str) -> None:
    peer = Peer()
    async with serving(peer.answer) as url, sending(url, path=("services", SERVICE)) as restart:
        for ask in (restart.rehearse, restart.perform):
            with pytest.raises(ParameterError, match="path"):
                await ask(wish(service=value))
        with pytest.raises(ParameterError):
            restart.plan({"service": value})
    assert peer.seen == []


@pytest.mark.parametrize("path", ["/services/%2e%2e/admin/drop", ("services", "%2e%2e", "admin"), "/../x"])
def test_a_path_that_leaves_the_target_is_no_setting_at_all(path: Any) -> None:
    for refused in (
        lambda: HttpActionSettings(target="ops", path=path),
        lambda: Request(path=path),
        lambda: Settled(path=path),
    ):
        with pytest.raises(ValueError, match="would leave the target"):
            refused()


def test_a_label_s_default_is_checked_for_what_it_becomes() -> None:
    with pytest.raises(ValueError, match=r"path: service.default: '..' is not one segment of a path"):
        HttpActionSettings(target="ops", path=("services", FromLabel(label="service", default="..")))


async def test_the_allow_list_is_asked_about_what_is_sent() -> None:
    peer = Peer()
    async with (
        serving(peer.answer) as url,
        sending(f"{url}/api", path="/service%73/a b?now=%31#part", method=Method.DELETE) as restart,
    ):
        plan = restart.plan({})
        await restart.perform(wish())
    [(method, path, _headers, _body)] = peer.seen
    assert (method, path) == ("DELETE", "/api/services/a%20b?now=1")
    assert plan.object == "DELETE /services/a%20b?now=1"
    assert plan.object in plan.text


@pytest.mark.parametrize("value", ['"}, "admin": true, "x": "', "{{7*7}}", "\u202e\n", "null", "' OR 1=1 --"])
async def test_a_label_in_the_body_stays_a_text(value: str) -> None:
    peer = Peer()
    async with (
        serving(peer.answer) as url,
        sending(url, json={"deep": [{"service": {"label": "service"}}]}) as restart,
    ):
        await restart.perform(wish(service=value))
    assert json.loads(peer.seen[0][3]) == {"deep": [{"service": value}]}


async def test_what_only_looks_like_a_parameter_is_sent_as_it_is() -> None:
    peer = Peer()
    body = {
        "a": {"label": 5},
        "b": {"label": "x", "color": "red"},
        "c": {"table": "x", "default": "y"},
        "d": {"labels": ["x"], "default": "y"},
    }
    async with serving(peer.answer) as url, sending(url, json=body) as restart:
        await restart.perform(wish())
    assert json.loads(peer.seen[0][3]) == body


async def test_without_a_body_none_is_sent() -> None:
    peer = Peer()
    async with serving(peer.answer) as url, sending(url) as restart:
        await restart.perform(wish())
    assert peer.seen[0][3] == b""
    assert "Content-Type" not in peer.seen[0][2] or "json" not in peer.seen[0][2]["Content-Type"]


@pytest.mark.parametrize("status", [301, 307, 308, 400, 401, 404, 409, 422, 429])
async def test_a_no_is_certain(status: int) -> None:
    async with (
        serving(saying(status, "not like that", Location="https://elsewhere.example/?t=abc123")) as url,
        sending(url) as restart,
    ):
        with pytest.raises(TargetError, match=f"answers {status}") as error:
            await restart.perform(wish())
    assert "abc123" not in str(error.value)
    assert "not like that" in str(error.value)


@pytest.mark.parametrize("status", [206, 302, 303, 500, 502, 503, 504])
async def test_what_may_have_been_done_is_unclear(status: int) -> None:
    async with serving(saying(status)) as url, sending(url) as restart:
        with pytest.raises(UnclearError):
            await restart.perform(wish())


async def test_nothing_sent_is_certain_and_a_broken_answer_is_not() -> None:
    async with sending("http://127.0.0.1:9") as restart:
        with pytest.raises(UnreachableError, match="cannot reach ops: Connection refused"):
            await restart.perform(wish())
    async with serving(dropping) as url, sending(url) as restart:
        with pytest.raises(UnclearError, match="ops broke off"):
            await restart.perform(wish())
    odd = HttpTarget(url="http://127.0.0.1:9", headers={"X-Bad": Secret("a\r\nb")})
    settings = HttpActionSettings(target="ops", path="/restart")
    async with action("http", settings, Targets(http={"ops": odd})) as restart:
        with pytest.raises(ActionError, match="X-Bad holds a line break"):
            await restart.perform(wish())
    async with serving(endless) as url, sending(url) as restart:
        assert (await restart.perform(wish())).text.endswith("answers 200")


async def test_a_hang_lasts_until_whoever_asked_gives_up() -> None:
    async with serving(hanging) as url, sending(url) as restart:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await restart.perform(wish())


async def test_a_redirect_is_never_followed() -> None:
    peer = Peer()
    async with (
        serving(peer.answer) as other,
        serving(saying(307, "", Location=f"{other}/x")) as url,
        sending(url) as restart,
    ):
        with pytest.raises(TargetError):
            await restart.perform(wish())
    assert peer.seen == []


async def test_secrets_that_come_back_are_blanked() -> None:
    async def echo(request: web.Request) -> web.Response:
        token = request.headers["Authorization"]
        where = {"Location": f"/{'x' * 90}/{token.split()[1]}"}
        return web.Response(status=400, text=f"{token} or {token.split()[1]} is wrong", headers=where)

    async with serving(echo) as url, sending(url) as restart:
        with pytest.raises(TargetError) as error:
            await restart.perform(wish())
    assert "token-va" not in str(error.value)


async def test_a_rehearsal_is_the_dry_run_and_without_one_says_that_nothing_was_asked() -> None:
    peer = Peer()
    dry = Request(path=("services", SERVICE), json={"dryRun": True})
    async with serving(peer.answer) as url:
        async with sending(url, dry_run=dry) as restart:
            said = await restart.rehearse(wish(service="api"))
        async with sending(url) as restart:
            unasked = await restart.rehearse(wish())
        async with sending("http://127.0.0.1:9", dry_run=dry) as restart:
            with pytest.raises(TargetError):
                await restart.rehearse(wish(service="api"))
    assert "rehearsed: POST /services/api of ops answers 200" in said
    assert "no dry_run is configured" in unasked
    [(_, path, headers, _body)] = peer.seen
    # A target that remembers keys must not give the rehearsal's answer to the real request.
    assert (path, "Idempotency-Key" in headers) == ("/services/api", False)
    async with serving(saying(500)) as url, sending(url, dry_run=dry) as restart:
        with pytest.raises(ActionError):
            await restart.rehearse(wish(service="api"))


async def test_taking_back_is_a_request_too() -> None:
    peer = Peer()
    async with serving(peer.answer) as url:
        async with sending(url, undo=Request(method=Method.DELETE, path="/restart")) as restart:
            performed = await restart.perform(wish())
            assert performed.undo == {}
            undone = await restart.undo(wish(), performed.undo)
        async with sending(url) as restart:
            with pytest.raises(ActionError, match="no undo"):
                await restart.undo(wish(), {})
    assert undone.text == "DELETE /restart of ops answers 200"
    assert [one[0] for one in peer.seen] == ["POST", "DELETE"]
    keys = {one[2]["Idempotency-Key"] for one in peer.seen}
    assert len(keys) == 2


async def test_the_effect_is_there_when_the_settled_request_shows_it() -> None:
    looked = Settled(path=("services", SERVICE), expect_json={"state.phase": "ready"})
    for answer, progress, words in (
        (Peer().answer, Progress.DONE, "/services/api shows it"),
        (saying(200, '{"state": {"phase": "busy"}}'), Progress.PENDING, "state.phase is 'busy'"),
        (saying(503), Progress.PENDING, "answers 503"),
        (dropping, Progress.PENDING, "broke off"),
    ):
        async with serving(answer) as url, sending(url, settled=looked) as restart:
            settling = await restart.settled(wish(service="api"), {})
        assert (settling.progress, words in settling.text) == (progress, True), settling


async def test_a_target_that_is_not_configured_and_a_hanging_settled_request() -> None:
    settings = HttpActionSettings(target="gone", path="/x", timeout=timedelta(seconds=1))
    async with action("http", settings, Targets()) as restart:
        assert await restart.busy(wish()) is None
        with pytest.raises(TargetError, match="target gone is not configured"):
            await restart.perform(wish())


async def test_the_allow_list_must_name_what_rehearses_and_what_takes_back_too() -> None:
    async with sending(
        "http://127.0.0.1:1",
        path="/restart",
        dry_run=Request(method=Method.POST, path="/dry"),
        undo=Request(method=Method.DELETE, path="/restart"),
    ) as restart:
        assert restart.plan({}).also == ("POST /dry", "DELETE /restart")
    async with sending(
        "http://127.0.0.1:1", path="/r", dry_run=Request(method=Method.GET, path="/r")
    ) as only_reads:
        assert only_reads.plan({}).also == ()
