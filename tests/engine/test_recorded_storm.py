"""The recorded storm, played to the real intake, engine and store on a driven clock: what people get before and after."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from mirror import moment
from recorded_storm import ALERTS, RECORDING, RULES, SERVICES, read, written
from storm_player import Played
from whole import Whole, configured, phones

from responder.store.store import Store

OFF = {"bundling": {"after": 0}, "flapping": {"count": 50, "within": "1m"}}


@asynccontextmanager
async def played(
    store: Store, turned: Any, folder: Path, rules: str, settings: dict[str, Any]
) -> AsyncIterator[Played]:
    chance = random.Random(1)
    async with phones(turned, chance) as told:
        channels = {"hook": {"type": "webhook", "url": told.url}}
        config, book = configured(folder, store.base[11:-1], rules, {"channels": channels, **settings})
        whole = Whole(store, turned, config, book, chance)
        await whole.start()
        one = Played(whole, told, moment(turned))
        await one.play(read())
        yield one
        await whole.die()
        keys = [key async for key in store.client.scan_iter(match=f"{store.base}:*", count=1000)]
        await store.client.delete(*keys)


async def test_of_a_thousand_alerts_people_get_few_pages_hear_of_all_and_of_a_p1_at_once(
    store: Store, turned: Any, tmp_path: Path
) -> None:
    pages: dict[str, Counter[str]] = {}
    for name, rules, settings in (("before", RULES, OFF), ("after", RULES + SERVICES, {})):
        async with played(store, turned, tmp_path / name, rules, settings) as one:
            await one.check_incidents()
            told = await one.told_how()
            assert told["lost"] == 0, told
            (page,) = [arrived for arrived in one.thick() if arrived.is_page]
            assert (page.body["to"], page.body["attempt"]) == ("platform", 1)
            pages[name] = one.pages()
            if name == "after":
                check_bound(one)
                assert told["in a digest"] > 50, told
                assert told["held: dependency"] > 100, told
    assert sum(pages["before"].values()) > 300, pages
    assert sum(pages["after"].values()) * 6 < sum(pages["before"].values()), pages
    assert all(count <= pages["before"][person] for person, count in pages["after"].items()), pages


def check_bound(one: Played) -> None:
    """Nobody is rung for more incidents within any five minutes than the configuration says; a P1 does not count."""
    bounds = one.whole.config.bundling
    most = bounds.after + bounds.new_kinds + bounds.within // bounds.digest_every + 1
    times: dict[str, dict[str, datetime]] = {}
    for page in one.phones.pages():
        if page.body["incident"]["severity"] != "P1":
            times.setdefault(page.body["to"], {}).setdefault(page.incident, page.at)
    for person, by_incident in times.items():
        found = sorted(by_incident.values())
        for at in found:
            inside = sum(at <= other < at + bounds.within for other in found)
            assert inside <= most, f"{person}: {inside} from {at} on"


def test_the_recording_holds_what_it_is_said_to_and_can_be_made_again() -> None:
    found = read()
    assert RECORDING.read_text() == written()
    alerts = {(one.name, one.shard, name) for one in found for name in one.instances}
    assert len(alerts) == ALERTS
    assert len({one.service for one in found}) == 12
    assert {one.severity for one in found} == {"P1", "P2", "P3", "P4"}
