"""The daemon as its user runs it: a real process, real posts, kills, a broken store, garbage."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import FIXTURES, body
from daemon import (
    FAST_RULES,
    DaemonProcess,
    Receiver,
    alert,
    free_port,
    running,
    webhook_body,
)
from stores import store_process
from waiting import until

from responder.store.embedded import server_program

#: Where a second page would say that something is wrong, it is far away: a busy machine takes its time over the first.
SLOW_RULES = FAST_RULES.replace(
    "respond_within: 6s, escalate: {secondary: 2s, executive: 4s}", "respond_within: 10m, escalate: {}"
)


def hooked(hook: Receiver, **more: Any) -> dict[str, Any]:
    return {"channels": {"hook": {"type": "webhook", "url": hook.url, "secret": "hook-secret"}}, **more}


async def test_one_alert_in_one_signed_page_out_and_escalated_until_acknowledged(
    hook: Receiver, tmp_path: Path
) -> None:
    rules = SLOW_RULES.replace("escalate: {}", "escalate: {secondary: 2s, executive: 12s}")
    async with running(tmp_path, hooked(hook), rules) as daemon:
        status, answer = await daemon.alerts(webhook_body(alert()))
        assert (status, answer) == (200, {"received": 1, "changed": 1, "duplicate": 0, "quarantined": 0})
        await until(lambda: len(hook.pages()) == 2)
        first, second = hook.pages()
        assert (first["level"], first["to"], first["attempt"]) == ("primary", "dbteam", 1)
        assert (second["level"], second["to"]) == ("secondary", "platform")
        assert first["incident"]["severity"] == "P1"
        headers, raw = hook.raw[0]
        stamp, _, given = headers["X-Responder-Signature"].removeprefix("t=").partition(",v1=")
        expected = hmac.new(b"hook-secret", stamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
        assert given == expected
        # The link in the page: GET changes nothing, POST acknowledges.
        path = first["ack_url"].removeprefix(daemon.url)
        assert (await daemon.get(path))[0] == 200
        assert (await daemon.incidents())[0]["state"] == "triggered"
        assert (await daemon.call("POST", path))[0] == 200
        incident = (await daemon.incidents())[0]
        assert (incident["state"], incident["acknowledged_by"]) == ("acknowledged", "dbteam")
        await until(lambda: len(hook.pages("acknowledged")) == 2)
        time_of_executive = time.monotonic() + 10.5
        await until(lambda: time.monotonic() > time_of_executive)
        assert len(hook.pages()) == 2
        _, metrics = await daemon.get("/metrics")
        assert 'responder_sla_response_total{outcome="met",service="database",severity="P1"} 1.0' in metrics
        assert (
            'responder_escalations_total{level="secondary",service="database",severity="P1"} 1.0' in metrics
        )
        assert (
            'responder_escalations_total{level="executive",service="database",severity="P1"} 0.0' in metrics
        )


async def test_a_restart_keeps_the_escalation_going(hook: Receiver, tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, hooked(hook))
    await daemon.start()
    await daemon.alerts(webhook_body(alert()))
    await until(hook.pages)
    await daemon.kill()
    await daemon.start()
    await until(lambda: {page["level"] for page in hook.pages()} == {"primary", "secondary", "executive"})
    ids = [page["id"] for page in hook.pages()]
    assert len(set(ids)) == 3
    assert await daemon.stop() == 0


async def test_killed_between_the_200_and_the_page_it_pages_after_the_restart(
    hook: Receiver, tmp_path: Path
) -> None:
    hook.status = 503
    daemon = DaemonProcess(tmp_path, hooked(hook))
    await daemon.start()
    status, _ = await daemon.alerts(webhook_body(alert()))
    assert status == 200
    await daemon.kill()
    hook.status = 200
    await daemon.start()
    # Where it was killed in the middle of an attempt, that attempt's lease ends first.
    await until(lambda: "primary" in [page["level"] for page in hook.pages()])
    await daemon.stop()


async def test_a_dead_store_answers_503_and_comes_back_with_everything(
    hook: Receiver, tmp_path: Path
) -> None:
    async with running(tmp_path, hooked(hook)) as daemon:
        await daemon.alerts(webhook_body(alert(1)))
        pid = daemon.store_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        status, _ = await daemon.alerts(webhook_body(alert(2)))
        assert status in (200, 503)  # the daemon may have started it again already
        await daemon.until_ready()
        status, answer = await daemon.alerts(webhook_body(alert(1), alert(2)))
        assert status == 200
        assert len(await until_listed(daemon, 2)) == 2


async def until_listed(
    daemon: DaemonProcess, count: int, headers: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        while True:
            status, answer = await daemon.get("/api/v1/incidents", headers=headers)
            assert status == 200
            found: list[dict[str, Any]] = answer["incidents"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"", "body"),
        (b"not json", "body"),
        (b"[]", "body"),
        (b'{"version": "3", "alerts": []}', "version"),
        (b'{"version": "4"}', "alerts"),
        (b'{"alerts": []}', "version"),
        (b'{"version": "4", "alerts": {}}', "alerts"),
        (b'{"version": "4", "alerts": [' + b"[" * 5_000 + b"]" * 5_000 + b"]}", "nested"),
        (b"\xff\xfe" + b'{"version": "4", "alerts": []}', "body"),
        (b'{"text": "a custom payload"}', "version"),
    ],
)
async def test_a_body_that_cannot_be_read_gets_400_that_names_the_field(
    raw: bytes, names: str, daemons: Any
) -> None:
    daemon = await daemons()
    status, answer = await daemon.alerts(raw)
    assert status == 400, answer
    assert names in answer["detail"]


@pytest.fixture
async def daemons(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """A daemon on the log channel."""
    started: list[DaemonProcess] = []

    async def start(**config: Any) -> DaemonProcess:
        daemon = DaemonProcess(tmp_path_factory.mktemp("daemon"), config)
        await daemon.start()
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        await daemon.stop()


async def test_e14_one_bad_alert_does_not_lose_its_neighbours_and_is_kept_with_its_reason(
    daemons: Any,
) -> None:
    daemon = await daemons()
    good, bad = alert(1), {**alert(2), "startsAt": "yesterday"}
    raw = webhook_body(good, bad, alert(3))
    for _ in range(3):  # Alertmanager sends it again at every flush
        status, answer = await daemon.alerts(raw)
        assert status == 200
    assert answer == {"received": 3, "changed": 0, "duplicate": 2, "quarantined": 1}
    _, kept = await daemon.get("/api/v1/quarantine")
    assert [(one["seen"], one["reason"]) for one in kept["quarantine"]] == [
        (3, kept["quarantine"][0]["reason"]),
    ]
    assert "alerts[1].startsAt" in kept["quarantine"][0]["reason"]
    services = sorted(one["service"] for one in await daemon.incidents())
    assert services == ["database", "database", "responder"]


async def test_too_large_and_encoded_and_unauthorised_bodies_are_refused(daemons: Any) -> None:
    daemon = await daemons(
        max_body_bytes=20_000,
        auth={"webhook": {"bearer_token": "s3cret", "basic": {"username": "am", "password": "pw"}}},
    )
    raw = webhook_body(alert())
    assert (await daemon.alerts(raw))[0] == 401
    assert (await daemon.alerts(raw, headers={"Authorization": "Bearer wrong"}))[0] == 401
    assert (await daemon.alerts(raw, headers={"Authorization": "Basic !!!"}))[0] == 401
    good = {"Authorization": "Bearer s3cret"}
    assert (await daemon.alerts(raw, headers={**good, "Content-Encoding": "gzip"}))[0] in (400, 415)
    assert (await daemon.alerts(b"x" * 30_000, headers=good))[0] == 413
    assert (await daemon.alerts(raw, headers=good))[0] == 200
    assert (await daemon.alerts(raw, headers={"Authorization": "Basic YW06cHc="}))[0] == 200


async def test_a_sender_whose_body_trickles_is_told_that_and_to_come_again_which_no_4xx_would(
    daemons: Any,
) -> None:
    daemon = await daemons()
    raw = webhook_body(alert())
    there, back = await asyncio.open_connection("127.0.0.1", int(daemon.url.rpartition(":")[2]))
    length = f"POST /webhooks/alertmanager HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n\r\n"
    back.write(length.encode() + raw[:40])
    async with asyncio.timeout(20):
        head = (await there.readuntil(b"\r\n\r\n")).decode()
        answer = await there.read(1_000)
    back.close()
    assert head.startswith("HTTP/1.1 503 ")  # Alertmanager tries a 5xx again, and drops what gets 408
    assert "Retry-After: 5" in head
    assert json.loads(answer)["detail"] == (
        "the body did not arrive within 4 s: the sender or the network is slow; send it again"
    )
    assert "the body did not arrive within 4 s" in daemon.log()
    assert (await daemon.alerts(webhook_body(alert())))[0] == 200


async def test_every_body_of_the_real_alertmanager_is_taken(daemons: Any) -> None:
    daemon = await daemons()
    for path in sorted(FIXTURES.glob("*.json")):
        raw = path.read_bytes()
        if b'"groupKey"' not in raw:
            continue
        status, answer = await daemon.alerts(raw)
        assert (status, answer["quarantined"]) == (200, 0), path.name
        assert answer["received"] == len(json.loads(raw)["alerts"])


async def test_hostile_text_stays_text_wherever_it_is_shown(daemons: Any) -> None:
    daemon = await daemons()
    await daemon.alerts(body("hostile"))
    incident = (await until_listed(daemon, 1))[0]
    status, html = await daemon.get(f"/incidents/{incident['id']}")
    assert status == 200
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html


async def test_truncated_alerts_are_noticed(daemons: Any) -> None:
    daemon = await daemons()
    await daemon.alerts(body("truncated"))
    found = await until_listed(daemon, 2)
    assert any("left 5 alert(s) out" in one["title"] for one in found)


async def test_changes_from_behind_a_proxy_or_under_another_name_are_refused_without_tokens(
    daemons: Any,
) -> None:
    daemon = await daemons()
    await daemon.alerts(webhook_body(alert()))
    path = f"/api/v1/incidents/{(await until_listed(daemon, 1))[0]['id']}/acknowledge"
    assert (await daemon.post(path, {"by": "eve"}, headers={"X-Forwarded-For": "203.0.113.1"}))[0] == 403
    assert (await daemon.post(path, {"by": "eve"}, headers={"Host": "evil.example"}))[0] == 403
    assert (await daemon.post(path, {"by": "ana"}))[0] == 200


async def test_tokens_have_roles(daemons: Any) -> None:
    tokens = [{"name": n, "token": f"{n}-token", "role": n} for n in ("viewer", "responder", "admin")]
    daemon = await daemons(auth={"tokens": tokens})
    await daemon.alerts(webhook_body(alert()))

    def of(name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {name}-token"}

    assert (await daemon.get("/api/v1/incidents"))[0] == 401
    await until_listed(daemon, 1, of("viewer"))
    status, listed = await daemon.get("/api/v1/incidents", headers=of("viewer"))
    assert status == 200
    path = f"/api/v1/incidents/{listed['incidents'][0]['id']}/acknowledge"
    assert (await daemon.post(path, {}, headers=of("viewer")))[0] == 403
    status, answer = await daemon.post(path, {"by": "ana"}, headers=of("responder"))
    assert (status, answer["acknowledged_by"]) == (200, "ana (token responder)")
    assert (await daemon.post("/-/reload", headers=of("responder")))[0] == 403
    assert (await daemon.post("/-/reload", headers=of("admin")))[0] == 200


async def test_credentials_follow_their_files_and_one_that_is_empty_lets_nobody_in(
    daemons: Any, tmp_path: Path
) -> None:
    token, sender = tmp_path / "token", tmp_path / "sender"
    token.write_text("first-token\n")
    sender.write_text("first-sender\n")
    daemon = await daemons(
        auth={
            "tokens": [{"name": "ana", "token_file": str(token), "role": "admin"}],
            "webhook": {"bearer_token_file": str(sender)},
        }
    )

    async def status(given: str) -> int:
        found, _ = await daemon.get("/api/v1/incidents", headers={"Authorization": f"Bearer {given}"})
        return int(found)

    async def sent(given: str) -> int:
        found, _ = await daemon.alerts(webhook_body(alert()), headers={"Authorization": f"Bearer {given}"})
        return int(found)

    assert (await status("first-token"), await sent("first-sender")) == (200, 200)
    token.write_text("second-token")
    sender.write_text("second-sender")
    assert (await status("first-token"), await status("second-token")) == (401, 200)
    assert (await sent("first-sender"), await sent("second-sender")) == (401, 200)
    for empty in ("", "\n"):  # for a moment, while somebody writes it
        token.write_text(empty)
        sender.write_text(empty)
        assert [await status(given) for given in ("", "second-token")] == [503, 503]
        assert [await sent(given) for given in ("", "second-sender")] == [503, 503]  # brought again
    sender.unlink()
    token.write_bytes(b"\xff\xfe")
    assert (await status("second-token"), await sent("second-sender")) == (503, 503)
    assert "Traceback" not in daemon.log()


async def test_headers_that_no_program_would_send_are_answered_and_not_quoted_in_the_log(
    daemons: Any,
) -> None:
    daemon = await daemons(auth={"webhook": {"bearer_token": "a-sender"}})
    raw = webhook_body(alert())
    head = f"POST /webhooks/alertmanager HTTP/1.1\r\nHost: a\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n"
    odd = {
        b"Authorization: Bearer \xff\xfe\r\n\r\n" + raw: b" 401 ",
        b"Authorization: Bearer SECRET-OF-A-SENDER\x01\r\n\r\n" + raw: b" 400 ",
        b"Transfer-Encoding: chunked\r\n\r\nSECRET-OF-A-SENDER\r\n": b" 400 ",
    }
    for rest, expected in odd.items():
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        writer.write(head.encode() + rest)
        assert expected in await asyncio.wait_for(reader.readline(), 30), rest
        writer.close()
    assert (await daemon.post("/login", b"token=x", headers={"Origin": "http://["}))[0] == 403
    assert (await daemon.get("/api/v1/incidents", headers={"Host": "["}))[0] == 403
    assert "SECRET-OF-A-SENDER" not in daemon.log()
    assert "Traceback" not in daemon.log()


async def test_without_tokens_the_list_can_be_looked_at_from_elsewhere(daemons: Any) -> None:
    daemon = await daemons()
    assert (await daemon.get("/", headers={"X-Forwarded-For": "203.0.113.1"}))[0] == 200


async def test_people_can_do_all_of_it_over_the_api(daemons: Any) -> None:
    daemon = await daemons()
    await daemon.alerts(webhook_body(alert()))
    path = f"/api/v1/incidents/{(await until_listed(daemon, 1))[0]['id']}"
    assert (await daemon.post(f"{path}/escalate", {"by": "ana"}))[1]["state"] == "triggered"
    assert (await daemon.post(f"{path}/acknowledge", {"by": "ana", "note": "on it"}))[1][
        "acknowledged_by"
    ] == "ana"
    assert (await daemon.post(f"{path}/assign", {"by": "ana", "to": "ben"}))[1]["assignee"] == "ben"
    assert (await daemon.post(f"{path}/severity", {"by": "ana", "severity": "P2"}))[1]["severity"] == "P2"
    assert (await daemon.post(f"{path}/notes", {"by": "ana", "note": "pool is full"}))[0] == 200
    assert (await daemon.post(f"{path}/resolve", {"by": "ana"}))[1]["state"] == "resolved"
    status, answer = await daemon.post(f"{path}/acknowledge", {"by": "ana"})
    assert (status, answer["state"]) == (409, "resolved")
    assert (await daemon.post(f"{path}/reopen", {"by": "ana"}))[1]["state"] == "triggered"
    assert (await daemon.post(f"{path}/severity", {"severity": "P9"}))[0] == 400
    assert (await daemon.post(f"{path}/acknowledge", {"bye": "x"}))[0] == 400
    status, one = await daemon.get(path)
    texts = " | ".join(entry["text"] for entry in one["timeline"])
    assert "pool is full" in texts
    assert "assigned to ben" in texts


async def test_a_repeated_idempotency_key_changes_nothing(daemons: Any) -> None:
    daemon = await daemons()
    await daemon.alerts(webhook_body(alert()))
    path = f"/api/v1/incidents/{(await until_listed(daemon, 1))[0]['id']}"
    for _ in range(3):
        status, _ = await daemon.post(
            f"{path}/notes", {"by": "ana", "note": "once"}, headers={"Idempotency-Key": "k1"}
        )
        assert status == 200
    status, _ = await daemon.post(
        f"{path}/notes", {"by": "ana", "note": "other"}, headers={"Idempotency-Key": "k1"}
    )
    assert status == 422
    _, one = await daemon.get(path)
    assert [entry["text"] for entry in one["timeline"]].count("once") == 1


async def test_the_list_is_paged_through_to_the_end_without_repeats(daemons: Any) -> None:
    daemon = await daemons()
    await daemon.alerts(webhook_body(*(alert(n) for n in range(25))))
    await until_listed(daemon, 25)
    seen, cursor = [], ""
    for _ in range(10):
        _, answer = await daemon.get(f"/api/v1/incidents?limit=7{cursor}")
        seen += [one["id"] for one in answer["incidents"]]
        if answer["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert (len(seen), len(set(seen))) == (25, 25)
    assert (await daemon.get("/api/v1/incidents?cursor=bogus"))[0] == 400
    assert (await daemon.get("/api/v1/incidents?state=odd"))[0] == 400


async def test_rules_are_reloaded_by_signal_by_http_and_by_a_change_and_a_bad_set_never_replaces_a_good_one(
    daemons: Any,
) -> None:
    daemon = await daemons()
    file = daemon.folder / "rules" / "rules.yaml"

    async def rule_names() -> list[str]:
        _, answer = await daemon.get("/api/v1/rules")
        return [rule["name"] for rule in answer["rules"]]

    async def eventually_has(name: str) -> None:
        async with asyncio.timeout(30):
            while name not in await rule_names():
                await asyncio.sleep(0.05)

    file.write_text(FAST_RULES.replace("name: database\n", "name: by-http\n"))
    assert (await daemon.post("/-/reload"))[0] == 200
    assert "by-http" in await rule_names()
    file.write_text(FAST_RULES.replace("name: database\n", "name: by-signal\n"))
    daemon.process.send_signal(signal.SIGHUP)
    await eventually_has("by-signal")
    file.write_text(FAST_RULES.replace("name: database\n", "name: by-watch\n"))
    await eventually_has("by-watch")
    file.write_text(FAST_RULES.replace("severity: P1\n", "severity: P7\n"))
    status, answer = await daemon.post("/-/reload")
    assert status == 400
    assert any("P7" in one for one in answer["problems"])
    assert "by-watch" in await rule_names()
    _, metrics = await daemon.get("/metrics")
    assert "responder_config_last_reload_successful 0.0" in metrics


async def test_listening_beyond_loopback_without_credentials_is_refused_at_the_start(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, {"listen": "0.0.0.0:0"})
    await daemon.start(ready=False)
    assert daemon.process is not None
    assert await daemon.process.wait() == 1
    assert "auth.webhook.bearer_token" in daemon.log()


@pytest.mark.parametrize("how", ["serve", "demo"])
async def test_a_port_in_use_is_told_in_one_plain_line_at_the_start(
    daemons: Any, tmp_path: Path, how: str
) -> None:
    first = await daemons()
    second = DaemonProcess(tmp_path / "b", {"listen": f"127.0.0.1:{first.port}"})
    ways = {
        "serve": ["serve", "--config", "responder.yaml"],
        "demo": ["demo", "--listen", f"127.0.0.1:{first.port}", "--rules", "rules"],
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "responder", *ways[how],
        cwd=second.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode == 1
    expected = f"responder: listen: 127.0.0.1:{first.port} is in use already: end what listens there, or choose another port"
    assert expected in said.decode().splitlines()
    assert "Traceback" not in said.decode()
    assert "ExceptionGroup" not in said.decode()


async def test_a_store_address_that_says_too_little_is_told_in_one_plain_line_at_the_start(
    tmp_path: Path,
) -> None:
    daemon = DaemonProcess(tmp_path, {"redis": {"url": "redis+sentinel://:hunter2@127.0.0.1:1/"}})
    await daemon.start(ready=False)
    assert daemon.process is not None
    async with asyncio.timeout(60):
        assert await daemon.process.wait() == 1
    assert "responder: redis.url: expected redis+sentinel://host:port,host:port/NAME\n" in daemon.log()
    assert "Traceback" not in daemon.log()
    assert "hunter2" not in daemon.log()


async def test_two_daemons_cannot_share_a_data_dir(daemons: Any, tmp_path: Path) -> None:
    daemon = await daemons()
    other = DaemonProcess(tmp_path, {"data_dir": str(daemon.folder / "data")})
    await other.start(ready=False)
    assert other.process is not None
    assert await other.process.wait() == 1
    assert "another responder uses it" in other.log()


async def test_two_replicas_on_one_store_send_each_page_once(
    hook: Receiver, tmp_path: Path, store_url: str, store_name: str
) -> None:
    config = hooked(hook, name=store_name, redis={"url": store_url})
    async with running(tmp_path / "a", config) as one, running(tmp_path / "b", config) as other:
        raw = webhook_body(*(alert(n) for n in range(10)))
        await asyncio.gather(one.alerts(raw), other.alerts(raw))
        await until(lambda: len(hook.pages()) >= 30)
        ids = [page["id"] for page in hook.pages()]
        assert (len(ids), len(set(ids))) == (30, 30)


async def test_sigterm_ends_in_order_within_the_grace_time(hook: Receiver, tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, hooked(hook))
    await daemon.start()
    await daemon.alerts(webhook_body(alert()))
    begun = time.monotonic()
    assert await daemon.stop() == 0
    assert time.monotonic() - begun < 20
    assert "Traceback" not in daemon.log()


async def test_an_acknowledge_link_that_is_not_ours_is_404_and_previews_change_nothing(
    hook: Receiver, tmp_path: Path
) -> None:
    async with running(tmp_path, hooked(hook)) as daemon:
        await daemon.alerts(webhook_body(alert()))
        path = (await until(hook.pages))[0]["ack_url"].removeprefix(daemon.url)
        for method in ("GET", "HEAD"):
            status, _ = await daemon.call(method, path)
            assert status == 200
        assert (await daemon.incidents())[0]["state"] == "triggered"
        assert (await daemon.get("/ack/AAAA"))[0] == 404
        changed = path[:8] + ("A" if path[8] != "A" else "B") + path[9:]
        assert (await daemon.call("POST", changed))[0] == 404
        assert (await daemon.call("POST", path))[0] == 200
        status, html = await daemon.get(path)  # pressed again later: it says who has it
        assert "Acknowledged by dbteam" in html
        assert "/ack/" + path[5:] not in daemon.log()


async def test_the_console_asks_for_a_token_and_takes_forms_of_its_own_only(daemons: Any) -> None:
    daemon = await daemons(auth={"tokens": [{"name": "ana", "token": "ana-token", "role": "responder"}]})
    await daemon.alerts(webhook_body(alert()))
    await until_listed(daemon, 1, {"Authorization": "Bearer ana-token"})
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(daemon.url, cookie_jar=jar) as browser:
        async with browser.get("/") as page:
            assert "Log in" in await page.text()
            token = form_token(await page.text())
        async with browser.post("/login", data={"token": "wrong", "form_token": token}) as page:
            assert page.status == 403
        async with browser.post("/login", data={"token": "ana-token", "form_token": token}) as page:
            text = await page.text()
            assert "Alert1" in text
        incident = re.findall(r"/incidents/([0-9a-f]{16})", text)[0]
        path = f"/incidents/{incident}"
        async with browser.get(path) as page:
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
            token = form_token(await page.text())
        async with browser.post(f"{path}/acknowledge", data={"form_token": "0" * 32}) as page:
            assert page.status == 403
        evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        async with browser.post(f"{path}/acknowledge", data={"form_token": token}, headers=evil) as page:
            assert page.status == 403
        async with browser.post(f"{path}/acknowledge", data={"form_token": token, "note": "mine"}) as page:
            assert page.status == 200
            assert "ana took it" in await page.text()


def form_token(html: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', html)
    assert found is not None
    return found[1]


async def test_a_store_in_trouble_is_seen_on_ready_and_metrics_and_alerts_get_503(tmp_path: Path) -> None:
    async with (
        store_process(tmp_path / "store") as store,
        running(tmp_path / "d", {"redis": {"url": store.url}}) as daemon,
    ):
        assert (await daemon.alerts(webhook_body(alert())))[0] == 200
        store.freeze()
        begun = time.monotonic()
        assert (await daemon.alerts(webhook_body(alert(2))))[0] == 503
        assert time.monotonic() - begun < 15  # it hangs for ever
        store.thaw()
        await daemon.until_ready()
        await store.kill()
        assert (await daemon.alerts(webhook_body(alert(3))))[0] == 503
        assert (await daemon.get("/-/ready"))[0] == 503
        assert (await daemon.get("/-/healthy"))[0] == 200
        assert await daemon.metric("responder_store_up") == 0


async def test_a_store_that_could_lose_alerts_is_refused_at_the_start(tmp_path: Path) -> None:
    port = free_port()
    store = await asyncio.create_subprocess_exec(
        server_program(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", "",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    daemon = DaemonProcess(tmp_path / "d", {"redis": {"url": f"redis://127.0.0.1:{port}/0"}})
    await daemon.start(ready=False)
    assert daemon.process is not None
    assert await daemon.process.wait() == 1
    assert "appendonly is 'no', set it to 'yes'" in daemon.log()
    store.kill()
    await store.wait()


async def test_metrics_are_there_at_zero_before_anything_happens_and_name_no_alert(daemons: Any) -> None:
    daemon = await daemons()
    await daemon.alerts(webhook_body(alert(1, service="made-up-by-a-sender")))
    await until_listed(daemon, 1)
    _, metrics = await daemon.get("/metrics")
    for name in (
        "responder_webhooks_total", "responder_alerts_received_total", "responder_alerts_duplicate_total",
        "responder_alerts_unmatched_total", "responder_alerts_quarantined_total", "responder_incidents_opened_total",
        "responder_incidents_open", "responder_time_to_page_seconds", "responder_time_to_acknowledge_seconds",
        "responder_time_to_resolve_seconds", "responder_sla_response_total", "responder_escalations_total",
        "responder_pages_total", "responder_probe_duration_seconds", "responder_actions_total", "responder_store_up",
        "responder_wake_lag_seconds", "responder_outbox_depth", "responder_heartbeat_last_seen_timestamp_seconds",
        "responder_config_last_reload_successful", "responder_config_last_reload_success_timestamp_seconds",
        "responder_build_info",
    ):  # fmt: skip
        assert f"# TYPE {name} " in metrics or f"# TYPE {name.removesuffix('_total')} " in metrics, name
    assert 'responder_sla_response_total{outcome="breached",service="database",severity="P1"} 0.0' in metrics
    assert "responder_alerts_unmatched_total 1.0" in metrics
    assert "made-up-by-a-sender" not in metrics
    assert "Alert1" not in metrics
    status, openmetrics = await daemon.get(
        "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert openmetrics.rstrip().endswith("# EOF")


@pytest.mark.debian("promtool")
async def test_promtool_finds_nothing_wrong_with_the_metrics(daemons: Any) -> None:
    daemon = await daemons()
    _, metrics = await daemon.get("/metrics")
    process = await asyncio.create_subprocess_exec(
        "promtool",
        "check",
        "metrics",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await process.communicate(metrics.encode())
    assert process.returncode == 0, out.decode()


async def test_s1_a_receiver_that_was_down_and_gets_two_hundred_retries_at_once_pages_once(
    hook: Receiver, tmp_path: Path
) -> None:
    async with running(tmp_path, hooked(hook), SLOW_RULES) as daemon:
        raw = webhook_body(alert())
        answers = await asyncio.gather(*(daemon.alerts(raw, timeout=60) for _ in range(200)))
        assert {status for status, _ in answers} == {200}
        assert sum(answer["changed"] for _, answer in answers) == 1
        await until(hook.pages)
        assert [page["level"] for page in hook.pages()] == ["primary"]


async def test_e1_a_resolved_incident_pages_nobody_after_a_restart(hook: Receiver, tmp_path: Path) -> None:
    rules = SLOW_RULES.replace("escalate: {}", "escalate: {secondary: 8s}")
    daemon = DaemonProcess(tmp_path, hooked(hook), rules)
    await daemon.start()
    await daemon.alerts(webhook_body(alert()))
    await until(hook.pages)
    end = time.monotonic() + 9
    incident = (await daemon.incidents())[0]["id"]
    assert (await daemon.post(f"/api/v1/incidents/{incident}/resolve", {"by": "ana"}))[0] in (200, 202)
    await daemon.kill()
    await daemon.start()
    await until(lambda: time.monotonic() > end)
    assert [page["level"] for page in hook.pages()] == ["primary"]
    await daemon.stop()


async def test_without_tokens_another_sites_page_can_neither_change_nor_read_anything(
    hook: Receiver, tmp_path: Path
) -> None:
    async with running(tmp_path, {"channels": {"hook": {"type": "webhook", "url": hook.url}}}) as daemon:
        await daemon.alerts(webhook_body(alert(1)))
        (incident,) = await daemon.incidents()
        path = f"/api/v1/incidents/{incident['id']}/acknowledge"
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            status, _ = await daemon.post(path, {"by": "eve"}, headers=headers)
            assert status == 403, headers
        for path in ("/api/v1/incidents", f"/api/v1/incidents/{incident['id']}"):
            status, _ = await daemon.get(path, headers={"Host": "evil.example"})
            assert status == 403
        (incident,) = await daemon.incidents("?state=triggered")
        status, _ = await daemon.post(
            f"/api/v1/incidents/{incident['id']}/acknowledge",
            {"by": "ana"},
            headers={"Origin": daemon.url, "Sec-Fetch-Site": "same-origin"},
        )
        assert status == 200
