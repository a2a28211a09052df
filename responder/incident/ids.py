"""Derived ids: they name what is meant, never a revision, so that the same wish always carries the same id."""

from __future__ import annotations

import hashlib


def derive(*parts: str | int) -> str:
    """Sixteen hex digits over the parts; their lengths are hashed too, so no two lists of parts run together."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        raw = str(part).encode()
        digest.update(len(raw).to_bytes(4, "big"))
        digest.update(raw)
    return digest.hexdigest()
