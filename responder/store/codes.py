"""Short codes of text messages: four characters that stand for one page, for the number that it was sent to.

Keys: ``:code:NUMBER'S DIGEST:CODE``, strings that expire.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta

import msgspec

from responder.store.connection import ask
from responder.store.errors import StoreError
from responder.store.store import Store, ms

KEPT_FOR = timedelta(hours=48)
#: Without those that are taken for one another on a small screen.
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
SHORTEST, LONGEST = 4, 8
_CODE = re.compile(rf"[{ALPHABET}]{{{SHORTEST},{LONGEST}}}")


class CodedPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a code stands for."""

    incident: str
    contact: str
    page: str


_DECODE = msgspec.json.Decoder(CodedPage)


class Codes:
    """Makes and finds codes; one that is taken by another page of the same number grows by a character."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def issue(self, number: str, to: CodedPage) -> str:
        """The code of a page for this number, the same whenever it is asked for. Raises ``StoreError``."""
        value = msgspec.json.encode(to)
        whole = _letters(hashlib.blake2b(f"{number}\0{to.page}".encode(), digest_size=8).digest())
        for length in range(SHORTEST, LONGEST + 1):
            key = self._key(number, whole[:length])
            if await ask(self._store.client, "SET", key, value, "NX", "PX", ms(KEPT_FOR)):
                return whole[:length]
            if await ask(self._store.client, "GET", key) == value:
                return whole[:length]
        raise StoreError("codes: every code of this number is taken")

    async def find(self, number: str, code: str) -> CodedPage | None:
        """What a code from this number stands for; ``None`` for one that it was not given. Raises ``StoreError``."""
        if _CODE.fullmatch(code.lower()) is None:
            return None
        found = await ask(self._store.client, "GET", self._key(number, code.lower()))
        return _DECODE.decode(found) if found else None

    def _key(self, number: str, code: str) -> str:
        digest = hashlib.blake2b(number.encode(), digest_size=8).hexdigest()
        return f"{self._store.base}:code:{digest}:{code}"


def _letters(digest: bytes) -> str:
    number, found = int.from_bytes(digest, "big"), ""
    for _ in range(LONGEST):
        number, place = divmod(number, len(ALPHABET))
        found += ALPHABET[place]
    return found
