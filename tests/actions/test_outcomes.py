"""What came of a run is told though the store is away in just the moment in which it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from stores import StoreProcess, store_process

from responder.actions import outcomes
from responder.actions.outcomes import Outcomes
from responder.incident.action_facts import ActionFailed
from responder.store.connection import close, connect
from responder.store.errors import StoreError
from responder.store.ledger import Ledger
from responder.store.store import Store

OUTCOME = ActionFailed(at=datetime(2026, 11, 24, tzinfo=UTC), run="1" * 16, reason="it said no")


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[StoreProcess]:
    async with store_process(tmp_path) as found:
        yield found


@pytest.fixture
async def ledger(process: StoreProcess) -> AsyncIterator[Ledger]:
    client = connect(process.url)
    store = Store(client, "here")
    await store.client.hset(f"{store.base}:act:r:{OUTCOME.run}", "begun", "1")
    yield Ledger(store)
    await close(client)


async def test_a_store_that_comes_back_soon_gets_it(process: StoreProcess, ledger: Ledger) -> None:
    await process.kill()
    keeping = asyncio.create_task(Outcomes(ledger).keep(OUTCOME.run, OUTCOME))
    await process.start()
    await keeping
    another = await Outcomes(ledger).of(OUTCOME.run)
    assert another is not None
    assert another.outcome == OUTCOME


async def test_where_it_stays_away_the_one_that_was_there_knows_it_still(
    process: StoreProcess, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "_PAUSES", ())
    mine = Outcomes(ledger)
    await process.kill()
    with pytest.raises(StoreError):
        await mine.keep(OUTCOME.run, OUTCOME)
    await process.start()
    found, others = await mine.of(OUTCOME.run), await Outcomes(ledger).of(OUTCOME.run)
    assert found is not None
    assert found.outcome == OUTCOME
    assert others is not None
    assert others.outcome is None
