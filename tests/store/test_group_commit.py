"""All webhooks that arrive while a write is under way share the next; who cannot be served is told at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from world import firing

from responder.store.errors import StoreBusyError, StoreError, StoreFullError
from responder.store.group_commit import BATCH_ALERTS, BATCH_BYTES, GroupCommit, cut
from responder.store.store import AlertWrite, Store, Taken, to_ms


@asynccontextmanager
async def writing(
    write: Callable[[Sequence[AlertWrite]], object], told: list[Taken] | None = None
) -> AsyncIterator[GroupCommit]:
    commits = GroupCommit(write, (told if told is not None else []).append)  # type: ignore[arg-type]
    task = asyncio.create_task(commits.run())
    yield commits
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_webhooks_that_arrive_together_are_one_write_and_each_gets_its_own_answer(store: Store) -> None:
    writes: list[int] = []
    start = to_ms(await store.now())

    async def write(alerts: Sequence[AlertWrite]) -> Taken:
        writes.append(len(alerts))
        return await store.ingest(alerts)

    async with writing(write) as commits:
        answers = await asyncio.gather(
            *(commits.submit([firing(n, start), firing(n, start)]) for n in range(40)),
            commits.submit([firing(0, start)]),
        )
    assert [taken.outcomes for taken in answers] == ["nd"] * 40 + ["d"]
    assert len(writes) <= 2


async def test_a_body_larger_than_a_batch_is_cut_and_answered_after_its_last_piece(store: Store) -> None:
    start = to_ms(await store.now())
    sizes: list[int] = []

    async def write(alerts: Sequence[AlertWrite]) -> Taken:
        sizes.append(len(alerts))
        return await store.ingest(alerts)

    async with writing(write) as commits:
        taken = await commits.submit([firing(n, start, key="cd" * 16) for n in range(BATCH_ALERTS * 2 + 7)])
    assert taken.outcomes == "n" * (BATCH_ALERTS * 2 + 7)
    assert max(sizes) <= BATCH_ALERTS
    await store.client.delete(*[k async for k in store.client.scan_iter(f"{store.base}:*", count=5000)])


def test_pieces_hold_everything_in_order_and_stay_within_the_bounds() -> None:
    large = [(*firing(n, 1)[:7], "x" * 100_000) for n in range(50)]
    pieces = cut(large)
    assert [alert for piece, _ in pieces for alert in piece] == large
    assert all(size <= BATCH_BYTES for _, size in pieces)


async def test_one_webhook_that_cannot_be_written_holds_back_no_other() -> None:
    async def write(alerts: Sequence[AlertWrite]) -> Taken:
        if any(alert[0] == "poison" for alert in alerts):
            raise StoreError("ingest: ResponseError") from ValueError("bad")
        return Taken("n" * len(alerts), (), ())

    poison = ("poison", *firing(1, 1)[1:])
    async with writing(write) as commits:
        results = await asyncio.gather(
            *(commits.submit([firing(n, 1)]) for n in range(5)),
            commits.submit([poison]),
            return_exceptions=True,
        )
    assert [isinstance(result, StoreError) for result in results] == [False] * 5 + [True]


async def test_l3_a_full_queue_answers_at_once_and_what_was_refused_is_new_when_it_comes_again(
    store: Store,
) -> None:
    start = to_ms(await store.now())
    gate = asyncio.Event()

    async def slow(alerts: Sequence[AlertWrite]) -> Taken:
        await gate.wait()
        return await store.ingest(alerts)

    async with writing(slow) as commits:
        waiting = [asyncio.create_task(commits.submit([firing(n, start)])) for n in range(3)]
        await asyncio.sleep(0)
        commits._bytes_per_second = 1.0  # as if the store had become very slow
        refused = 0
        for n in range(100, 110):
            try:
                async with asyncio.timeout(15):  # what is taken waits for ever
                    await commits.submit([firing(n, start)])
            except StoreBusyError:
                refused += 1
        assert refused == 10
        commits._bytes_per_second = 1e9
        gate.set()
        await asyncio.gather(*waiting)
        assert (await commits.submit([firing(100, start)])).outcomes == "n"


async def test_a_store_without_room_refuses_alerts_with_its_own_reason() -> None:
    async def write(alerts: Sequence[AlertWrite]) -> Taken:
        return Taken("n" * len(alerts), (), ())

    async with writing(write) as commits:
        commits.full = True
        with pytest.raises(StoreFullError):
            await commits.submit([firing(1, 1)])
        commits.full = False
        assert (await commits.submit([firing(1, 1)])).outcomes == "n"


async def test_whoever_is_to_look_is_told_once_for_a_batch(store: Store) -> None:
    start = to_ms(await store.now())
    told: list[Taken] = []
    async with writing(store.ingest, told) as commits:
        await asyncio.gather(*(commits.submit([firing(n, start)]) for n in range(10)))
    assert sum(len(taken.changed) for taken in told) == 10
    assert sum(len(taken.opened) for taken in told) == 10
