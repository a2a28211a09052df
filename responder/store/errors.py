"""How the store fails, by what to do about it."""

from __future__ import annotations


class StoreError(Exception):
    """The store is away, slow or refuses: the caller tries again later; what is due simply stays due."""


class StoreFullError(StoreError):
    """The store has no room for more alerts; everything else still works."""


class StoreBusyError(StoreError):
    """More is waiting to be written than can be written in time."""


class AuditChangedError(StoreError):
    """The audit's list and the newest hash beside it do not fit: somebody wrote there. It stays so until a person mends it."""

    def __init__(self) -> None:
        super().__init__(
            "the audit was changed from outside, so nothing can be written into it; see: responder audit verify"
        )


class UnsafeStoreError(Exception):
    """The store could lose or evict what it was given; the text names the setting to change."""
