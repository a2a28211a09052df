"""The desk on the real store: people's way to incidents."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence

from responder.engine.desk import (
    Answer,
    IncidentDetail,
    IncidentFilter,
    IncidentPage,
    Outcome,
    matches,
)
from responder.incident.account import Account, account
from responder.incident.facts import Fact
from responder.incident.state import Incident, StateName
from responder.store.errors import StoreBusyError
from responder.store.histories import Histories
from responder.store.reading import Quarantined, Reader
from responder.store.store import Store

DECISION_PATIENCE = 3.0  # seconds; after that the answer is "recorded"
#: How many incidents one page of a filtered list looks at; the cursor goes on from there.
_SCAN_LIMIT = 2_000
_SCAN_STEP = 200
#: How many incidents that have just opened are decided for a look, and how long it waits, in seconds, where another
#: replica is at it.
_DECIDED_AT_ONCE = 50
_LOOK_PATIENCE = 1.0


class StoreDesk:
    """Implements :class:`responder.engine.desk.Desk`."""

    def __init__(self, store: Store, reader: Reader, decide: Callable[[str], Awaitable[None]]) -> None:
        self._store = store
        self._reader = reader
        self._decide = decide
        self._histories = Histories(store)

    async def incidents(self, wanted: IncidentFilter, *, limit: int, cursor: str | None) -> IncidentPage:
        """List, newest first. Raises ``ValueError`` for a cursor that is none of ours."""
        at = _read_cursor(cursor) if cursor else None
        index = "open" if wanted.states and StateName.RESOLVED not in wanted.states else "all"
        found: list[Incident] = []
        deadline = _deadline()
        for _ in range(_SCAN_LIMIT // _SCAN_STEP):
            rows = await self._reader.ids(index, at[0] if at else "+inf", _SCAN_STEP)
            new = [row for row in rows if not (at and row[1] == at[0] and row[0] >= at[1])]
            by_id = await self._snapshots([i for i, _ in new], deadline)
            for incident_id, score in new:
                incident = by_id.get(incident_id)
                if incident is not None and matches(incident, wanted):
                    if len(found) == limit:
                        return IncidentPage(incidents=tuple(found), next_cursor=_write_cursor(at))
                    found.append(incident)
                at = (score, incident_id)
            if len(rows) < _SCAN_STEP:
                return IncidentPage(incidents=tuple(found))
        return IncidentPage(incidents=tuple(found), next_cursor=_write_cursor(at))

    async def _snapshots(self, ids: list[str], deadline: float) -> dict[str, Incident]:
        """By id. What has only just opened is decided first, so that who posts an alert and looks finds its incident."""
        pause = 0.005
        while True:
            found = {one.id: one for one in await self._reader.snapshots(ids)}
            undecided = [one for one in ids if one not in found]
            if not undecided or _time() > deadline:
                return found
            await asyncio.gather(*(self._decide(one) for one in undecided[:_DECIDED_AT_ONCE]))
            if await self._reader.opened(undecided) == 0:
                return found  # there are no such incidents
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.1)

    async def incident(self, incident_id: str, *, alerts: int = 100) -> IncidentDetail | None:
        """One incident, ``None`` where there is none."""
        await self._snapshots([incident_id], _deadline())
        incident = await self._reader.snapshot(incident_id)
        if incident is None or incident.canary:
            return None
        (sample, total), timeline = await asyncio.gather(
            self._reader.alerts(incident_id, alerts), self._reader.timeline(incident_id)
        )
        return IncidentDetail(
            incident=incident, alerts=tuple(sample), alerts_total=total, timeline=tuple(timeline)
        )

    async def account(self, fingerprint: str) -> Account | None:
        """What became of an alert, ``None`` where nothing is known of it."""
        history = await self._histories.of(fingerprint)
        if history is None:
            return None
        detail = await self.incident(history.incident, alerts=0) if history.incident else None
        if detail is None:
            return account(history, None, ())
        return account(history, detail.incident, detail.timeline)

    async def record(
        self, incident_id: str, fact: Fact, *, idempotency_key: str | None = None, request_digest: str = ""
    ) -> Answer:
        """Make a person's fact durable, decide it, and answer."""
        recorded = await self._store.record(
            incident_id, fact, idempotency_key=idempotency_key, digest=request_digest
        )
        match recorded.outcome:
            case "unknown":
                return Answer(outcome=Outcome.UNKNOWN)
            case "reused":
                return Answer(outcome=Outcome.KEY_REUSED)
            case "full":
                raise StoreBusyError("the incident's inbox is full; try again")
            case "refused" | "repeat":
                outcome = Outcome.REFUSED if recorded.outcome == "refused" else Outcome.DONE
                return Answer(outcome=outcome, incident=await self._reader.snapshot(incident_id))
            case _:
                done = await self._decided(incident_id, recorded.number)
                outcome = Outcome.DONE if done else Outcome.RECORDED
                return Answer(outcome=outcome, incident=await self._reader.snapshot(incident_id))

    async def _decided(self, incident_id: str, number: int) -> bool:
        """Decide here, or wait until the replica that has the incident did; whether that came in time."""
        pause = 0.01
        try:
            async with asyncio.timeout(DECISION_PATIENCE):
                while True:
                    await self._decide(incident_id)
                    if await self._reader.taken(incident_id) >= number:
                        return True
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 0.25)
        except TimeoutError:
            return False

    async def quarantined(self, *, limit: int = 100) -> Sequence[Quarantined]:
        """Bodies that could not be read, newest first."""
        return await self._reader.quarantined(limit)

    async def quarantined_body(self, digest: str) -> Quarantined | None:
        """One of them with its raw body."""
        return await self._reader.quarantined_body(digest)

    async def forget_quarantined(self, digest: str) -> bool:
        """Drop one; whether it was there."""
        return await self._reader.forget_quarantined(digest)


def _time() -> float:
    return asyncio.get_running_loop().time()


def _deadline() -> float:
    return _time() + _LOOK_PATIENCE


def _write_cursor(at: tuple[str, str] | None) -> str | None:
    if at is None:
        return None
    return base64.urlsafe_b64encode(" ".join(at).encode()).decode().rstrip("=")


_CURSOR = re.compile(r"(\d{1,16}(?:\.\d{1,9})?) ([0-9a-f]{16})")


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        text = ""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise ValueError("cursor: not one of ours; start without it")
    return match[1], match[2]
