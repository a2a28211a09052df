"""What the store knows of actions: who holds an object, what was begun, and whether actions are switched off.

Keys: ``:act:o:OBJECT:h`` (times of runs, expires), ``…:l`` (the run that holds the object, expires), ``…:f`` (times in a
row without effect, expires); ``:act:r:RUN``, what is known of a run and its object, expires; ``:act:kill``, the kill switch.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from responder.durations import format_duration
from responder.incident.action import Gate
from responder.store.connection import ask
from responder.store.store import Store, from_ms, ms

_RUN_KEPT = timedelta(days=7)
_WITHOUT_EFFECT_KEPT = timedelta(hours=6)


class KillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """Actions are switched off: by whom, since when, and why."""

    by: str
    at: datetime
    note: str = ""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms a run is admitted to its object; ``count`` 0 asks only for the place on it."""

    count: int
    per: timedelta
    cooldown: timedelta
    give_up_after: int
    hold: timedelta


#: ``uncounted``: whether it helped says nothing of the action. What is ``undone`` or ``never begun`` costs no place.
Ending = Literal["effective", "ineffective", "uncounted", "undone", "never begun"]
#: ``elsewhere``: it was begun before, or does not hold its object any more.
Start = Literal["begun", "switched off", "elsewhere"]


def object_key(kind: str, target: str, what: str) -> str:
    """The object's name in keys: a digest, since parts of it may be chosen by a sender."""
    return hashlib.blake2b(f"{kind}\0{target}\0{what}".encode(), digest_size=16).hexdigest()


class Ledger:
    """The actions' part of the store. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._base = f"{store.base}:act"

    async def admit(self, key: str, run: str, terms: Terms) -> tuple[Gate, str] | None:
        """Take the object for a run; the gate that refuses it and why, ``None`` where it is admitted."""
        answer = await self._store.run(
            "admit",
            self._store.shift(), key, run, terms.count, ms(terms.per), ms(terms.cooldown), terms.give_up_after,
            ms(terms.hold), ms(max(terms.per, terms.cooldown)), ms(_RUN_KEPT),
        )  # fmt: skip
        match answer[0].decode():
            case "limit":
                free = terms.per - (from_ms(answer[3]) - from_ms(answer[2]))
                text = f"done {int(float(answer[1]))} times within {format_duration(terms.per)}; free again in {_rounded(free)}"
                return Gate.LIMIT, text
            case "cooldown":
                return (
                    Gate.COOLDOWN,
                    f"done just now; free again in {_rounded(timedelta(milliseconds=float(answer[1])))}",
                )
            case "no effect":
                return Gate.NO_EFFECT, f"it did not help {answer[1].decode()} times in a row"
            case "under way":
                return (
                    Gate.UNDER_WAY,
                    f"another action (run {answer[1].decode()}) is under way on the same object",
                )
            case _:
                return None

    async def release(self, run: str, ending: Ending) -> int:
        """Give the object of a run back, where it has one; how often in a row the actions on it had no effect."""
        return int(await self._store.run("release", run, ending, ms(_WITHOUT_EFFECT_KEPT)))

    async def begin(self, run: str) -> Start:
        """Mark that a run begins to change the object that it was admitted to."""
        start: Start = (await self._store.run("begin", run)).decode()
        return start

    async def begun(self, run: str) -> tuple[bool, bytes | None]:
        """Whether a run was begun before; and its outcome as JSON, where that was written down."""
        begun, outcome = await ask(self._store.client, "HMGET", f"{self._base}:r:{run}", "begun", "outcome")
        return bool(begun), outcome

    async def ended(self, run: str, outcome: bytes) -> None:
        """Write a run's outcome down."""
        await ask(self._store.client, "HSET", f"{self._base}:r:{run}", "outcome", outcome)

    async def kill_switch(self) -> KillSwitch | None:
        """Who switched actions off; ``None`` where they are on."""
        raw = await ask(self._store.client, "GET", f"{self._base}:kill")
        return msgspec.json.decode(raw, type=KillSwitch) if raw else None

    async def set_kill_switch(self, switch: KillSwitch | None) -> None:
        """Switch actions off, or on again with ``None``."""
        if switch is None:
            await ask(self._store.client, "DEL", f"{self._base}:kill")
        else:
            await ask(self._store.client, "SET", f"{self._base}:kill", msgspec.json.encode(switch))


def _rounded(duration: timedelta) -> str:
    return format_duration(timedelta(seconds=max(round(duration.total_seconds()), 1)))
