"""The history of an alert, read from its record (see ``ingest.lua``)."""

from __future__ import annotations

import re

import msgspec

from responder.incident.account import AlertHistory, Became, Happened
from responder.incident.own import own_words
from responder.store.connection import ask
from responder.store.loaded import record_body
from responder.store.store import Store, from_ms


class _Body(msgspec.Struct, frozen=True):
    labels: dict[str, str] = {}
    sender: str = ""


_BODY = msgspec.json.Decoder(_Body)
_HISTORY = re.compile(rb"(\d{1,16})\+(\d{1,6});([A-Za-z0-9,@]*)\|")
_STATUS = {"F": "firing", "R": "resolved", "D": "doubtful"}
_BECAME = {
    "n": Became.NEW, "a": Became.AGAIN, "r": Became.RESOLVED, "l": Became.LATE, "q": Became.DOUBTFUL,
    "u": Became.UNSEEN, "b": Became.RESOLVED,
}  # fmt: skip


class Histories:
    """Reads what the store has of an alert. Raises ``StoreError`` where it is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, fingerprint: str) -> AlertHistory | None:
        """What is known of an alert; ``None`` where nothing is."""
        record = await ask(self._store.client, "GET", f"{self._store.base}:a:{fingerprint}")
        return history_of(fingerprint, record) if record else None


def history_of(fingerprint: str, record: bytes) -> AlertHistory:
    """Read a record; one that an earlier version wrote has no outcomes."""
    status, starts, ends, recorded, _, incident, rest = record.split(b"|", 6)
    since = ends if status == b"R" else starts
    match = _HISTORY.match(rest)
    raw = record_body(record)
    body = _BODY.decode(raw) if raw else _Body()
    return AlertHistory(
        fingerprint=fingerprint,
        status=_STATUS.get(status.decode(), "unknown"),
        since=from_ms(since) if int(since) else from_ms(recorded),
        heard_at=from_ms(match[1]) if match else None,
        repeats=int(match[2]) if match else 0,
        outcomes=_outcomes(match[3].decode(), incident.decode()) if match else (),
        incident=incident.decode(),
        labels=body.labels,
        own="" if body.sender else own_words(body.labels),
    )


def _outcomes(text: str, incident: str) -> tuple[Happened, ...]:
    """Oldest first. The incident of an outcome is that of the newer one, unless it is named."""
    found = []
    for one in text.split(","):
        when, _, other = one[1:].partition("@")
        incident = other or incident
        became = _BECAME.get(one[:1], Became.OTHER)
        about = "" if became is Became.UNSEEN else incident
        found.append(Happened(at=from_ms(when), became=became, incident=about))
    return tuple(reversed(found))
