"""The audit on a real store: whatever somebody does to it there, a walk over what is left shows it."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from responder.incident.audit import AuditEntry, AuditPage, Elsewhere, Line, Verdict, sealed, verify
from responder.store import audit
from responder.store.audit import Audit
from responder.store.store import Store


class Chain:
    """An audit, and the hands that reach into the store."""

    def __init__(self, store: Store) -> None:
        self.store, self.audit = store, Audit(store)
        self.key, self.head = f"{store.base}:audit", f"{store.base}:audit:head"

    async def add(self, count: int) -> list[str]:
        """Their hashes."""
        now = await self.store.now()
        made = [
            await self.audit.append(AuditEntry(number=0, at=now, event="performed", by=f"ana {number}"))
            for number in range(count)
        ]
        return [one.hash for one in made]

    async def take_out(self, *numbers: int) -> None:
        """As somebody would who has the store's password."""
        for raw in await self.store.client.lrange(self.key, 0, -1):
            if json.loads(raw)["number"] in numbers:
                await self.store.client.lrem(self.key, 1, raw)

    async def pages(self, after: int = 0) -> list[AuditPage]:
        found: list[AuditPage] = []
        following: int | None = after
        while following is not None:
            found.append(await self.audit.page(after=following))
            following = found[-1].next
        return found

    async def lines(self, after: int = 0) -> list[Line]:
        return [line for page in await self.pages(after) for line in page.lines()]

    async def verdict(self, wanted: str = "") -> Verdict:
        pages = await self.pages()
        elsewhere = Elsewhere(hash=wanted, newest=pages[-1].head, keeps=pages[-1].keeps)
        return verify(await self.lines(), elsewhere)


@pytest.fixture
def chain(store: Store) -> Chain:
    return Chain(store)


async def test_an_untouched_chain_is_sound_and_holds_the_hash_of_every_entry(chain: Chain) -> None:
    hashes = await chain.add(11)
    assert (await chain.verdict()).sound
    for number, wanted in enumerate(hashes, 1):
        verdict = await chain.verdict(wanted)
        assert verdict.sound
        assert f"your hash is that of entry {number}, " in verdict.text
    assert "that of entry 11, the newest" in (await chain.verdict(hashes[-1])).text
    assert "that of entry 4, with 7 behind it" in (await chain.verdict(hashes[3])).text


async def test_many_who_write_at_once_are_not_taken_for_somebody_from_outside(chain: Chain) -> None:
    replicas = [chain, Chain(chain.store)]
    await asyncio.gather(*(replicas[number % 2].add(3) for number in range(40)))
    verdict = await chain.verdict()
    assert (verdict.sound, verdict.entries) == (True, 120)


async def test_nothing_written_down_yet_is_sound(chain: Chain) -> None:
    verdict = await chain.verdict()
    assert (verdict.sound, verdict.entries, verdict.text) == (True, 0, "nothing was written down yet")


@pytest.mark.parametrize(
    ("taken", "broken_at"), [((1, 2), 2), ((5,), 6), ((11,), 11), ((10, 11), 10), (tuple(range(1, 12)), 1)]
)
async def test_entries_that_were_taken_out_are_missed_wherever_they_stood(
    chain: Chain, taken: tuple[int, ...], broken_at: int
) -> None:
    await chain.add(11)
    await chain.take_out(*taken)
    verdict = await chain.verdict()
    assert (verdict.sound, verdict.broken_at) == (False, broken_at)


async def test_a_newest_hash_that_is_gone_or_another_is_seen(chain: Chain) -> None:
    hashes = await chain.add(3)
    await chain.store.client.delete(chain.head)
    verdict = await chain.verdict()
    assert (verdict.broken_at, "note of the newest hash is gone" in verdict.text) == (4, True)
    await chain.store.client.set(chain.head, hashes[1])
    assert (await chain.verdict()).broken_at == 4


async def test_what_was_dropped_for_its_age_is_not_missed_and_a_shorter_list_is(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ENTRIES_KEPT", 5)
    hashes = await chain.add(8)
    assert (await chain.verdict()).sound
    assert (await chain.verdict(hashes[-1])).sound
    before = await chain.verdict(hashes[2])
    assert (before.sound, "just before the oldest that is kept" in before.text) == (True, True)
    older = await chain.verdict(hashes[0])
    assert (older.sound, older.broken_at) == (False, None)
    assert "it is older than entry 4, which is the oldest, or the chain was made anew" in older.text
    await chain.take_out(4)
    assert (await chain.verdict()).broken_at == 4


async def test_a_chain_that_was_made_anew_has_none_of_the_hashes_that_were_written_down(chain: Chain) -> None:
    hashes = await chain.add(3)
    await chain.store.client.delete(chain.key, chain.head)
    await chain.add(3)
    assert (await chain.verdict()).sound
    verdict = await chain.verdict(hashes[2])
    assert (verdict.sound, verdict.broken_at) == (False, 4)
    assert "the chain was made anew" in verdict.text
    await chain.store.client.delete(chain.key, chain.head)
    assert not (await chain.verdict(hashes[2])).sound


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("line", [b"no JSON \x1b[31m", b"\xff\xfe", b"{}", b"[" * 100_000, b""])
async def test_a_line_that_cannot_be_read_is_named_and_hides_no_other(
    chain: Chain, number: int, line: bytes
) -> None:
    await chain.add(3)
    await chain.store.client.lset(chain.key, number - 1, line)
    verdict = await chain.verdict()
    assert (verdict.broken_at, verdict.text) == (number, f"line {number} of the audit cannot be read")
    lines = await chain.lines()
    assert [one.number for one in lines] == [1, 2, 3]
    assert "\x1b" not in repr(lines)
    assert [one.line for page in await chain.pages() for one in page.unreadable] == [number]


async def test_pages_follow_each_other_over_gaps_doubles_and_what_cannot_be_read(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 4)
    await chain.add(23)
    assert [one.number for one in await chain.lines()] == list(range(1, 24))
    assert [one.number for one in await chain.lines(after=9)] == list(range(10, 24))
    assert await chain.lines(after=23) == await chain.lines(after=10**14) == []
    await chain.take_out(3, 4, 7)
    left = [one for one in range(1, 24) if one not in (3, 4, 7)]
    assert [one.number for one in await chain.lines()] == left
    assert [one.number for one in await chain.lines(after=9)] == [one for one in left if one > 9]
    for place in (3, 7, 8):
        await chain.store.client.lset(chain.key, place, "?")
    found = await chain.lines()
    assert {one.number for one in found} >= set(left) - {6, 11, 12}
    double = await chain.store.client.lindex(chain.key, 10)
    for _ in range(6):
        await chain.store.client.linsert(chain.key, "BEFORE", double, double)
    assert {one.number for one in await chain.lines()} >= set(left) - {6, 11, 12}


async def test_entries_that_arrive_and_push_others_out_while_it_is_read_break_nothing(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 4)
    monkeypatch.setattr(audit, "ENTRIES_KEPT", 10)
    await chain.add(15)
    pages = [await chain.audit.page()]
    while (after := pages[-1].next) is not None:
        if len(pages) < 4:
            await chain.add(2)
        pages.append(await chain.audit.page(after=after))
    lines = [line for page in pages for line in page.lines()]
    assert verify(lines, Elsewhere(newest=pages[-1].head, keeps=pages[-1].keeps)).sound


async def test_an_entry_with_the_number_0_is_no_first_one(chain: Chain) -> None:
    now = await chain.store.now()
    made = sealed(AuditEntry(number=0, at=now, event="performed", by="eve"), "")
    await chain.store.client.rpush(chain.key, msgspec.json.encode(made))
    await chain.store.client.set(chain.head, made.hash)
    assert (await chain.verdict()).broken_at == 0
