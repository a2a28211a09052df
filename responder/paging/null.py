"""The channel of the canary: delivers to nobody. It has no type, so no configuration can name it."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from responder.incident.message import Contact, Message, Receipt


class NullSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to set."""


class NullChannel:
    """Reaches everybody, and tells nobody."""

    Settings: ClassVar[type[msgspec.Struct]] = NullSettings
    address_kind: ClassVar[str] = ""
    concurrency: ClassVar[int] = 2

    def reaches(self, contact: Contact) -> bool:
        """Everybody."""
        return True

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Done."""
        return Receipt()

    async def close(self) -> None:
        """Nothing is held."""
