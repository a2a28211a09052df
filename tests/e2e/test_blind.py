"""Blind mode on real processes: the store is gone, hangs, is full or read-only, and P1 and P2 are paged all the same."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from blind_world import RULES, SLOW_RULES, all_looked
from cuts import line
from daemon import DaemonProcess, Receiver, alert, running, webhook_body
from fake_slack import SECRET, TOKEN, fake_slack
from prometheus import alertmanager
from site_of import site
from stores import FilledDisk, StoreProcess, frozen, store_process
from waiting import eventually, until


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoreProcess]:
    async with store_process(tmp_path / "store") as found:
        yield found


def config(hook: Receiver, url: str, **more: Any) -> dict[str, Any]:
    return {
        "channels": {"hook": {"type": "webhook", "url": hook.url}}, "redis": {"url": url},
        "blind_after": "1s", "triage_wait": "0s", **more,
    }  # fmt: skip


def levels(hook: Receiver, incident: str | None = None) -> list[str]:
    return [one["level"] for one in hook.pages() if incident in (None, one["incident"]["id"])]


async def test_a_new_p1_is_paged_while_the_store_hangs_and_once_only_after_it_is_back(
    hook: Receiver, store: StoreProcess, tmp_path: Path
) -> None:
    async with running(tmp_path / "d", config(hook, store.url), RULES) as daemon:
        store.freeze()
        raw = webhook_body(alert(1))
        assert (await daemon.alerts(raw))[0] == 503
        await daemon.until_metric("responder_blind_mode", 1)
        for _ in range(5):
            assert (await daemon.alerts(raw))[0] == 503
        page = (await until(hook.pages))[0]
        assert page["incident"]["title"].startswith("Store away: Alert1")
        assert "The store is away" in page["summary"]
        assert "1 alert firing, since 2026-11-24 03:00:00 UTC, " in page["summary"]
        assert (page["level"], page["to"], page["attempt"]) == ("primary", "dbteam", 1)
        assert (await daemon.get("/-/ready"))[0] == 503
        assert (await daemon.get("/-/healthy"))[0] == 200
        assert await daemon.metric("responder_blind_pages_total") == 1
        store.thaw()
        await daemon.until_metric("responder_blind_mode", 0)
        await daemon.until_taken(raw)
        await daemon.until_ready()
        await until(lambda: len(hook.pages()) >= 2)  # the level after it, and not the same again
        assert levels(hook) == ["primary", "secondary"]
        (incident,) = await daemon.incidents()
        _, shown = await daemon.get(f"/api/v1/incidents/{page['incident']['id']}")
        assert shown["id"] == incident["id"]
        assert shown["opened_at"] == page["incident"]["opened_at"]
        assert any("the store was away" in entry["text"] for entry in shown["timeline"])


async def test_the_embedded_store_hangs_and_what_was_known_is_escalated_and_acknowledged_from_memory(
    hook: Receiver, tmp_path: Path, turned: Any
) -> None:
    channels = {"hook": {"type": "webhook", "url": hook.url}}
    more = {"channels": channels, "blind_after": "1s"}
    rules = SLOW_RULES.replace(
        "respond_within: 15m", "respond_within: 15m, escalate: {secondary: 5m, executive: 15m}"
    )
    async with site(tmp_path, turned, rules, **more) as one:
        had, waits = await one.fire(1), await one.fire(2)
        await one.press(await one.ack_link(had, "dbteam"))
        link = (await one.ack_link(waits, "platform"), await one.ack_link("0" * 16, "cto"))
        await all_looked(one.store.client.execute_command, 1)  # so that it knows what is open
        with frozen(tmp_path / "data"):
            assert await one.alerts(alert(1), alert(2), alert(3, service="else")) == 503
            await one.until_metric("responder_blind_mode", 1)
            await until(one.held)
            turned.turn(minutes=5, seconds=1)
            await until(lambda: levels(hook, waits) == ["primary", "secondary"])
            console = await one.page("/")
            assert "The store is away" in console
            assert "Alert2" in console
            shown = await one.page(f"/incidents/{waits}")
            assert ">Acknowledge<" in shown
            assert ">Escalate<" not in shown  # what pages somebody has to wait
            assert (await one.api("POST", f"/incidents/{waits}/escalate", {"by": "ana"}))[0] == 503
            _, shown = await one.api("GET", f"/incidents/{waits}")
            assert shown["state"] == "triggered"
            html = await one.press(link[0], 202)
            assert "kept in memory" in html
            await one.press(link[1], 202)  # another replica may have paged it
            _, shown = await one.api("GET", f"/incidents/{waits}")
            assert (shown["state"], shown["acknowledged_by"]) == ("acknowledged", "platform")
            status, answer = await one.api(
                "POST", f"/incidents/{waits}/notes", {"by": "ana", "note": "on it"}
            )
            assert (status, answer["state"]) == (202, "acknowledged")
            turned.turn(minutes=30)
            await one.until_metric("responder_blind_pages_total", 1)
            assert {page["incident"]["severity"] for page in hook.pages()} == {"P1"}
        await one.until_metric("responder_blind_mode", 0)
        written = await one.until_state(waits, "acknowledged")
        assert written["acknowledged_by"] == "platform"
        assert "on it" in [entry["text"] for entry in written["timeline"]]
        turned.turn(minutes=60)
        await one.polled()
        assert levels(hook, waits) == ["primary", "secondary"]
        assert levels(hook, had) == ["primary"]
        told = [page["to"] for page in hook.pages("acknowledged") if page["incident"]["id"] == waits]
        assert sorted(told) == ["dbteam", "platform"]  # while the store was away, and not again


@pytest.mark.parametrize(
    ("trouble", "comfort"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CONFIG", "SET", "min-replicas-to-write", "3"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
    ],
    ids=["full", "read-only", "without its replicas"],
)
async def test_a_store_that_answers_and_takes_nothing_is_no_store(
    hook: Receiver, store: StoreProcess, tmp_path: Path, trouble: tuple[str, ...], comfort: tuple[str, ...]
) -> None:
    async with running(tmp_path / "d", config(hook, store.url), SLOW_RULES) as daemon:
        await daemon.until_taken(webhook_body(alert(1)))
        await until(hook.pages)
        await store.ask(*trouble)
        raw = webhook_body(alert(2))
        assert (await daemon.alerts(raw))[0] == 503
        await daemon.until_metric("responder_blind_mode", 1)
        await until(lambda: len(hook.pages()) == 2)
        path = hook.pages()[1]["ack_url"].removeprefix(daemon.url)
        status, html = await daemon.call("POST", path)
        assert status in (200, 202)
        assert b"dbteam" in html
        await store.ask(*comfort)
        await daemon.until_metric("responder_blind_mode", 0)
        await daemon.until_taken(raw)
        _, shown = await daemon.get(f"/api/v1/incidents/{hook.pages()[1]['incident']['id']}")
        assert (shown["state"], shown["acknowledged_by"]) == ("acknowledged", "dbteam")
        assert len(hook.pages()) == 2
        assert await daemon.stop() == 0
        assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("left", [0, 900])
async def test_new_p1s_are_paged_from_memory_while_the_disk_of_the_embedded_store_is_full(
    hook: Receiver, tmp_path: Path, left: int
) -> None:
    settings: dict[str, Any] = {
        "channels": {"hook": {"type": "webhook", "url": hook.url}}, "blind_after": "3s", "triage_wait": "0s",
    }  # fmt: skip
    async with running(tmp_path / "d", settings, SLOW_RULES) as daemon:
        filled = FilledDisk(daemon)
        await filled.fill(left=left)
        for number in range(1, 60):  # a new one each time, and what fires already is repeated
            status, _ = await daemon.alerts(webhook_body(alert(number, note="x" * 1_000)))
            assert status == 503
            if hook.pages():
                break
            await asyncio.sleep(0.3)
        await daemon.until_metric("responder_blind_mode", 1, limit=5)
        pages = await until(hook.pages, 5)
        assert pages[0]["incident"]["title"].startswith("Store away: Alert")
        for _ in range(10):  # nor does a server that was started again look like one that takes alerts
            assert (await daemon.get("/-/ready"))[0] == 503
            await asyncio.sleep(0.2)
        filled.clear()
        await daemon.until_metric("responder_blind_mode", 0)
        await daemon.until_taken(webhook_body(alert(1, note="x" * 1_000)))
        await daemon.until_ready()
        assert 0 < daemon.log().count("embedded store died") < 15
        assert "Traceback" not in daemon.log()


async def test_where_only_alerts_find_no_room_the_engine_goes_on_with_what_it_knows(
    hook: Receiver, store: StoreProcess, tmp_path: Path
) -> None:
    rules = RULES.replace("secondary: 25s", "secondary: 12s")
    async with running(tmp_path / "d", config(hook, store.url), rules) as daemon:
        await daemon.until_taken(webhook_body(alert(1)))
        await until(hook.pages)
        await store.ask("CONFIG", "SET", "maxmemory", "1")
        await daemon.until_metric("responder_blind_mode", 1)
        await until(lambda: levels(hook) == ["primary", "secondary"])
        assert not hook.pages()[1]["incident"]["title"].startswith("Store away")
        assert await daemon.metric("responder_blind_pages_total") == 0
        known = hook.pages()[0]["incident"]["id"]
        status, answer = await daemon.post(f"/api/v1/incidents/{known}/acknowledge", {"by": "ana"})
        assert (status, answer["state"]) == (200, "acknowledged")


@pytest.mark.parametrize("store_is", ["hanging", "full"])
async def test_a_p1_that_joins_a_p2_is_paged_at_once_and_not_again_when_the_store_is_back(
    hook: Receiver, store: StoreProcess, tmp_path: Path, store_is: str
) -> None:
    by_label = "severity: {label: severity, map: {bad: P2, worse: P1}, default: P2}, service"
    async with running(
        tmp_path / "d", config(hook, store.url), SLOW_RULES.replace("severity: P1, service", by_label)
    ) as daemon:
        await daemon.until_taken(webhook_body(alert(1, severity="bad")))
        await until(hook.pages)
        if store_is == "full":
            await store.ask("CONFIG", "SET", "maxmemory", "1")
        else:
            store.freeze()
        raw = webhook_body(alert(1, severity="worse"))
        assert (await daemon.alerts(raw))[0] == 503
        await until(lambda: len(hook.pages()) == 2)
        assert [page["incident"]["severity"] for page in hook.pages()] == ["P2", "P1"]
        assert hook.pages()[1]["incident"]["title"].startswith("Store away") is (store_is == "hanging")
        if store_is == "full":
            await store.ask("CONFIG", "SET", "maxmemory", "0")
        else:
            store.thaw()
        await daemon.until_metric("responder_blind_mode", 0)
        await daemon.until_taken(raw)
        async with asyncio.timeout(20):
            while [(one["severity"], one["counts"]["firing"]) for one in await daemon.incidents()] != [
                ("P1", 2)
            ]:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        assert len(hook.pages()) == 2


async def test_two_replicas_page_each_key_once_between_them_and_not_again_when_the_store_is_back(
    hook: Receiver, store: StoreProcess, tmp_path: Path
) -> None:
    both = config(hook, store.url)
    async with (
        running(tmp_path / "a", both, SLOW_RULES) as one,
        running(tmp_path / "b", both, SLOW_RULES) as other,
    ):
        await all_looked(store.ask, 2)  # each has seen the other in the store
        await store.kill()
        raw = webhook_body(*(alert(number) for number in range(20)))
        for daemon in (one, other):
            assert (await daemon.alerts(raw))[0] == 503
            await daemon.until_metric("responder_blind_mode", 1)
        await until(lambda: len(hook.pages()) >= 20)
        counts = [await daemon.metric("responder_blind_pages_total") for daemon in (one, other)]
        assert sum(counts) == 20
        assert all(counts)
        await store.start()
        for daemon in (one, other):
            await daemon.until_metric("responder_blind_mode", 0)
        await asyncio.gather(one.until_taken(raw), other.until_taken(raw))
        listed = await one.incidents("?limit=100")
        assert {incident["id"] for incident in listed} == {page["incident"]["id"] for page in hook.pages()}
        await asyncio.sleep(1)
        assert len(hook.pages()) == 20


async def test_what_another_replica_paged_is_taken_by_its_id_everywhere_and_written_down_when_the_store_is_back(
    hook: Receiver, store: StoreProcess, tmp_path: Path
) -> None:
    both = {
        **config(hook, store.url),
        "auth": {"tokens": [{"name": "ci", "token": "t" * 20, "role": "responder"}]},
    }
    bearer = {"Authorization": f"Bearer {'t' * 20}"}
    async with (
        running(tmp_path / "a", both, SLOW_RULES) as one,
        running(tmp_path / "b", both, SLOW_RULES) as other,
    ):
        await store.kill()
        raw = webhook_body(*(alert(number) for number in range(20)))  # some of them are its turn
        assert (await one.alerts(raw))[0] == 503
        assert (await other.alerts(webhook_body(alert(99))))[0] == 503
        page = (
            await until(lambda: [sent for sent in hook.pages() if "Alert99" not in sent["incident"]["title"]])
        )[0]
        path = f"/api/v1/incidents/{page['incident']['id']}/acknowledge"
        await other.until_metric("responder_blind_mode", 1)

        async def answer() -> tuple[int, Any] | None:
            """What it answers once it knows that the store does not."""
            found = await other.post(path, {"by": "ana"}, headers=bearer)
            return None if found[0] == 503 else found

        answered = await eventually(answer, limit=20, every=0.1)
        assert answered[0] == 202
        assert answered[1]["outcome"] == "recorded"
        assert "does not know the incident" in answered[1]["text"]
        nobody = await other.post(
            f"/api/v1/incidents/{'0' * 16}/notes", {"by": "ana", "note": "x"}, headers=bearer
        )
        assert nobody[0] == 202
        assert (await other.post(path, {"by": "ana"}))[0] == 401
        assert (await other.post(path.replace("acknowledge", "escalate"), {"by": "ana"}, headers=bearer))[
            0
        ] == 503
        await store.start()
        for daemon in (one, other):
            await daemon.until_metric("responder_blind_mode", 0)
        async with asyncio.timeout(20):
            while (shown := (await one.get(path.removesuffix("/acknowledge"), headers=bearer))[1]).get(
                "state"
            ) != "acknowledged":
                await asyncio.sleep(0.05)
        assert (shown["state"], shown["acknowledged_by"]) == ("acknowledged", "ana (token ci)")
        assert "an answer to an incident that is not there" in other.log()


async def test_a_store_that_comes_and_goes_does_not_end_blind_mode_and_repeats_nothing(
    hook: Receiver, store: StoreProcess, tmp_path: Path
) -> None:
    async with line(store.port) as wire:
        settings = config(hook, wire.url, blind_after="6s")
        async with running(tmp_path / "d", settings, SLOW_RULES) as daemon:
            raw = webhook_body(alert(1))
            await wire.cut()
            assert (await daemon.alerts(raw))[0] == 503
            await daemon.until_metric("responder_blind_mode", 1)
            await until(hook.pages)
            for _ in range(3):
                await wire.mend()
                end = time.monotonic() + 0.7
                while time.monotonic() < end:  # up, but not for long enough to be believed
                    assert (await daemon.alerts(raw))[0] == 503
                    assert await daemon.metric("responder_blind_mode") == 1
                    await asyncio.sleep(0.1)
                await wire.cut()
                await asyncio.sleep(1.2)
            await wire.mend()
            await daemon.until_metric("responder_blind_mode", 0)
            await daemon.until_taken(raw)
            await daemon.until_ready()
            assert len(await daemon.incidents()) == 1
            assert levels(hook) == ["primary"]


async def test_a_short_trouble_is_not_blind_mode(hook: Receiver, store: StoreProcess, tmp_path: Path) -> None:
    async with line(store.port) as wire:
        settings = config(hook, wire.url, blind_after="15s")
        async with running(tmp_path / "d", settings, SLOW_RULES) as daemon:
            await wire.cut()
            assert (await daemon.alerts(webhook_body(alert(1))))[0] == 503
            await asyncio.sleep(3)
            assert await daemon.metric("responder_blind_mode") == 0
            assert hook.pages() == []
            await wire.mend()
            await daemon.until_taken(webhook_body(alert(1)))
            await until(hook.pages)
            assert not hook.pages()[0]["incident"]["title"].startswith("Store away")


async def test_a_blind_daemon_that_is_stopped_ends_in_order_and_says_what_it_could_not_write_down(
    hook: Receiver, store: StoreProcess, tmp_path: Path
) -> None:
    daemon = DaemonProcess(tmp_path / "d", config(hook, store.url), SLOW_RULES)
    await daemon.start()
    await store.kill()
    assert (await daemon.alerts(webhook_body(alert(1))))[0] == 503
    await until(hook.pages)
    begun = time.monotonic()
    assert await daemon.stop() == 0
    assert time.monotonic() - begun < 20
    assert "what was done is not written down" in daemon.log()
    assert "Traceback" not in daemon.log()
    await store.start()  # nobody remembers: what Alertmanager brings again is paged again
    await daemon.start()
    await daemon.until_taken(webhook_body(alert(1)))
    await until(lambda: len(hook.pages()) == 2)
    assert hook.pages()[0]["id"] == hook.pages()[1]["id"]  # the same page, for who can tell
    await daemon.stop()


async def test_slack_is_paged_though_what_it_shows_cannot_be_looked_up_in_a_store_that_hangs(
    store: StoreProcess, tmp_path: Path
) -> None:
    async with fake_slack() as slack:
        chat = {
            "type": "slack", "token": TOKEN, "signing_secret": SECRET, "channel": "C999", "api_url": slack.url,
        }  # fmt: skip
        settings = {
            "channels": {"chat": chat}, "redis": {"url": store.url}, "blind_after": "1s", "triage_wait": "0s",
        }  # fmt: skip
        async with running(tmp_path / "d", settings, SLOW_RULES) as daemon:
            store.freeze()
            assert (await daemon.alerts(webhook_body(alert(1))))[0] == 503
            await until(slack.tops)
            store.thaw()
            await daemon.until_metric("responder_blind_mode", 0)
            (incident,) = await daemon.incidents()
            path = f"/api/v1/incidents/{incident['id']}/acknowledge"
            assert (await daemon.post(path, {"by": "ana"}))[0] == 200
            await until(lambda: "Acknowledged by ana" in str(slack.tops()))
            assert len(slack.tops()) == 1  # the same message, brought up to date


@pytest.mark.debian("prometheus-alertmanager")
async def test_the_real_alertmanager_keeps_trying_and_nothing_is_lost_or_told_twice(
    hook: Receiver, store: StoreProcess, tmp_path: Path
) -> None:
    async with (
        running(tmp_path / "d", config(hook, store.url), SLOW_RULES) as daemon,
        alertmanager(tmp_path / "am", f"{daemon.url}/webhooks/alertmanager") as am,
    ):
        await store.kill()
        await daemon.until_metric("responder_blind_mode", 1)
        await am.fire({"alertname": "Alert1", "service": "database"})
        page = (await until(hook.pages))[0]
        await store.start()
        await daemon.until_metric("responder_blind_mode", 0)

        async def taken() -> bool:
            return 'responder_webhooks_total{code="200"} 0.0' not in (await daemon.get("/metrics"))[1]

        await eventually(taken, every=0.2)
        (incident,) = await daemon.incidents()
        assert incident["id"] == page["incident"]["id"]
        assert re.search(r'responder_webhooks_total\{code="503"\} [1-9]', (await daemon.get("/metrics"))[1])
        assert levels(hook) == ["primary"]
