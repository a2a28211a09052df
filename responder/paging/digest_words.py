"""The words of a page that is a digest: pure, like the rest of what a message says."""

from __future__ import annotations

from responder.incident.digest import Digest


def title(digest: Digest, of: str) -> str:
    """What a lock screen shows: that it is not all, and how many there are."""
    return f"{f'DIGEST of {digest.count + 1}' if digest.count else 'DIGEST'}: {of}"


def meaning(digest: Digest) -> str:
    """Before all else: why this is a digest, and what an acknowledgement takes."""
    if not digest.count:
        return f"DIGEST: {digest.why}. What else fires is told with this page; acknowledging takes all of it."
    worst = f", the worst {digest.worst}" if digest.worst is not None else ""
    why = f" ({digest.why})" if digest.why else ""
    return (
        f"DIGEST: {digest.counted}{worst}{why}. None of them is paged by itself; "
        "acknowledging takes all of them."
    )


def newest(digest: Digest) -> list[str]:
    """The lines of the newest, and how many more there are."""
    if not digest.newest:
        return []
    more = digest.count - len(digest.newest)
    rest = [f"and {more} more, listed with the incident"] if more > 0 else []
    return ["Told with this page, the newest first:", *(f"- {one.line}" for one in digest.newest), *rest]
