"""What was paged from memory is ended under the name under which it was paged, whatever came of it in the store."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from blind_world import SLOW_RULES
from cuts import Line, line
from daemon import DaemonProcess, alert, running, webhook_body
from fake_pagerduty import FakePagerDuty
from providers import serving
from stores import StoreProcess, store_process
from waiting import eventually, until

EARLY, LATER = "2026-11-24T03:00:00Z", "2026-11-24T03:05:00Z"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoreProcess]:
    async with store_process(tmp_path / "store") as found:
        yield found


@pytest.fixture
async def pagerduty() -> AsyncIterator[FakePagerDuty]:
    found = FakePagerDuty()
    async with serving(found.app()) as url:
        found.url = url
        yield found


def config(pagerduty: FakePagerDuty, url: str) -> dict[str, Any]:
    phone = {"type": "pagerduty", "routing_key": "r" * 32, "url": pagerduty.url}
    return {"channels": {"phone": phone}, "redis": {"url": url}, "blind_after": "1s", "triage_wait": "0s"}


def one(name: str = "a", started: str = EARLY, status: str = "firing") -> dict[str, Any]:
    """One of several alerts of the same incident."""
    return alert(1, status=status, started=started, instance=name)


def said(pagerduty: FakePagerDuty) -> list[tuple[str, str]]:
    return [(event["event_action"], event["dedup_key"]) for event in pagerduty.events]


def keys(pagerduty: FakePagerDuty, action: str) -> set[str]:
    return {key for what, key in said(pagerduty) if what == action}


async def post(daemon: DaemonProcess, incident: str, what: str) -> dict[str, Any]:
    status, shown = await daemon.post(f"/api/v1/incidents/{incident}/{what}", {"by": "ana"})
    assert status in (200, 202), shown
    found: dict[str, Any] = shown
    return found


@pytest.mark.parametrize(
    "bodies",
    [
        ([one()], [one(started=LATER)]),
        ([one()], [one(status="resolved")], [one(started=LATER)]),
        ([one()], [one("b", LATER), one()], [one("b", LATER), one(started=LATER)]),
        ([one(), one("b", LATER)], [one(status="resolved"), one("b", LATER)]),
    ],
    ids=[
        "it began again",
        "it resolved and began again",
        "another alert came before it",
        "the first resolved",
    ],
)
async def test_the_id_that_was_paged_is_the_id_in_the_store(
    store: StoreProcess, pagerduty: FakePagerDuty, tmp_path: Path, bodies: tuple[list[dict[str, Any]], ...]
) -> None:
    async with running(tmp_path / "d", config(pagerduty, store.url), SLOW_RULES) as daemon:
        await store.kill()
        for number, body in enumerate(bodies):
            assert (await daemon.alerts(webhook_body(*body)))[0] == 503
            if not number:
                await daemon.until_metric("responder_blind_mode", 1)
                await until(lambda: pagerduty.events)
        await store.start()
        await daemon.until_metric("responder_blind_mode", 0)
        await daemon.until_taken(webhook_body(*bodies[-1]))
        (incident,) = await daemon.incidents()
        ((_, paged),) = said(pagerduty)
        assert paged.startswith(incident["id"])
        await post(daemon, incident["id"], "acknowledge")
        await until(lambda: len(pagerduty.events) > 1)
        await post(daemon, incident["id"], "resolve")
        await until(lambda: len(pagerduty.events) > 2)
        assert said(pagerduty) == [("trigger", paged), ("acknowledge", paged), ("resolve", paged)]
        assert not pagerduty.open


@contextlib.asynccontextmanager
async def cut_off(
    store: StoreProcess, pagerduty: FakePagerDuty, folder: Path
) -> AsyncIterator[tuple[DaemonProcess, DaemonProcess, Line]]:
    """A replica that sees the store no more, and one beside it that sees it and that the first has never seen."""
    async with (
        line(store.port) as wire,
        running(folder / "a", config(pagerduty, wire.url), SLOW_RULES) as blind,
    ):
        await wire.cut()
        async with running(folder / "b", config(pagerduty, store.url), SLOW_RULES) as seeing:
            yield blind, seeing, wire


async def paged_twice(blind: DaemonProcess, seeing: DaemonProcess, pagerduty: FakePagerDuty) -> str:
    """The one pages from memory, the other from the store, and they have heard of different alerts first."""
    assert (await blind.alerts(webhook_body(one())))[0] == 503
    await blind.until_metric("responder_blind_mode", 1)
    await until(lambda: len(pagerduty.events) == 1)
    await seeing.until_taken(webhook_body(one(started=LATER)))
    await until(lambda: len(pagerduty.events) == 2)
    assert len(keys(pagerduty, "trigger")) == 2
    return str((await seeing.incidents())[0]["id"])


async def come_back(blind: DaemonProcess, wire: Line) -> None:
    await wire.mend()
    await blind.until_metric("responder_blind_mode", 0)


async def test_where_another_replica_opened_it_first_both_pages_are_acknowledged_and_resolved(
    store: StoreProcess, pagerduty: FakePagerDuty, tmp_path: Path
) -> None:
    async with cut_off(store, pagerduty, tmp_path) as (blind, seeing, wire):
        actual = await paged_twice(blind, seeing, pagerduty)
        paged = keys(pagerduty, "trigger")
        (other,) = {key.partition("-")[0] for key in paged} - {actual}
        await come_back(blind, wire)
        assert [incident["id"] for incident in await seeing.incidents()] == [actual]
        shown = await post(seeing, other, "acknowledge")  # under the name that the person knows
        assert (shown["id"], shown["state"]) == (actual, "acknowledged")
        await until(lambda: keys(pagerduty, "acknowledge") == paged)
        await post(seeing, actual, "resolve")
        await until(lambda: keys(pagerduty, "resolve") == paged)
        assert not pagerduty.open
        assert len(pagerduty.events) == 6


@pytest.mark.parametrize("meanwhile", ["acknowledge", "resolve"])
async def test_who_was_paged_from_memory_hears_what_was_decided_before_anybody_knew_of_it(
    store: StoreProcess, pagerduty: FakePagerDuty, tmp_path: Path, meanwhile: str
) -> None:
    async with cut_off(store, pagerduty, tmp_path) as (blind, seeing, wire):
        actual = await paged_twice(blind, seeing, pagerduty)
        paged = keys(pagerduty, "trigger")
        await post(seeing, actual, meanwhile)
        await until(lambda: keys(pagerduty, meanwhile))
        await come_back(blind, wire)
        if meanwhile == "acknowledge":
            await until(lambda: keys(pagerduty, "acknowledge") == paged)
            await post(seeing, actual, "resolve")
            await until(lambda: keys(pagerduty, "resolve") == paged)
            assert not pagerduty.open
            return
        # It fires still: it opens anew, as the alert that was paged, and is paged by nobody else.
        listed = await eventually(lambda: open_ones(seeing))
        assert [key.partition("-")[0] for _, key in pagerduty.open] == [one["id"] for one in listed]
        await post(seeing, listed[0]["id"], "resolve")
        await until(lambda: not pagerduty.open)
        assert len(keys(pagerduty, "trigger")) == 2


async def open_ones(daemon: DaemonProcess) -> list[dict[str, Any]]:
    return await daemon.incidents("?state=triggered")


async def test_alertmanager_that_is_faster_than_the_write_back_makes_no_page_that_nobody_ends(
    store: StoreProcess, pagerduty: FakePagerDuty, tmp_path: Path
) -> None:
    async with cut_off(store, pagerduty, tmp_path) as (blind, seeing, wire):
        assert (await blind.alerts(webhook_body(one())))[0] == 503
        await until(lambda: pagerduty.events)
        await wire.mend()
        raw = webhook_body(one("b", LATER), one(started=LATER))
        assert (await blind.alerts(raw))[
            0
        ] == 503  # its doors are closed until it has written down what it did
        await seeing.until_taken(raw)
        await blind.until_metric("responder_blind_mode", 0)
        await blind.until_taken(raw)
        (incident,) = await seeing.incidents()
        await post(blind, incident["id"], "acknowledge")
        await post(blind, incident["id"], "resolve")
        await until(lambda: keys(pagerduty, "trigger") == keys(pagerduty, "resolve"))
        assert not pagerduty.open


async def test_an_id_that_was_used_before_leads_to_the_incident_that_was_paged_under_it_last(
    store: StoreProcess, pagerduty: FakePagerDuty, tmp_path: Path
) -> None:
    daemon = DaemonProcess(tmp_path / "d", config(pagerduty, store.url), SLOW_RULES)
    await daemon.start()
    await daemon.until_taken(webhook_body(one()))
    await until(lambda: pagerduty.events)
    (used,) = {key.partition("-")[0] for key in keys(pagerduty, "trigger")}
    await post(daemon, used, "resolve")
    await until(lambda: not pagerduty.open)
    await daemon.stop()
    await daemon.start()  # it has never heard of the one that is over
    try:
        await store.kill()
        assert (await daemon.alerts(webhook_body(one())))[0] == 503
        await until(lambda: pagerduty.open)
        await store.start()
        await daemon.until_metric("responder_blind_mode", 0)
        (fresh,) = await eventually(lambda: open_ones(daemon))
        assert fresh["id"] != used
        shown = await post(daemon, used, "acknowledge")
        assert (shown["id"], shown["state"]) == (fresh["id"], "acknowledged")
        _, shown = await daemon.get(f"/api/v1/incidents/{used}")
        assert shown.get("id") == fresh["id"], shown
        await until(lambda: list(pagerduty.open.values()) == ["acknowledged"])
        await post(daemon, fresh["id"], "resolve")
        await until(lambda: not pagerduty.open)
    finally:
        await daemon.stop()
