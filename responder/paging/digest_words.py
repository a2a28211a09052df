"""The words of a page that is a digest: pure, like the rest of what a message says."""

from __future__ import annotations

from responder.incident.digest import Digest


def title(digest: Digest, of: str) -> str:
    """What a lock screen shows: that it is not all, and how many there are."""
    return f"{f'DIGEST of {digest.count + 1}' if digest.count else 'DIGEST'}: {of}"


def shown(digest: Digest | None, to: str) -> Digest | None:
    """A digest that a person's page tells of: it holds something, or is theirs and will."""
    return digest if digest is not None and (digest.count or to in digest.contacts) else None


def meaning(digest: Digest, to: str) -> str:
    """Before all else: why this is a digest, where that is the reader's own storm, and what an acknowledgement takes."""
    own = digest.why if digest.contacts[:1] == (to,) else ""
    if not digest.count:
        why = f"DIGEST: {own}. What" if own else "DIGEST: what"
        return f"{why} else fires is told with this page; acknowledging takes all of it."
    worst = f", the worst {digest.worst}" if digest.worst is not None else ""
    why = f" ({own})" if own else ""
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
    return [
        *digest.by_kind,
        "Told with this page, the newest first:",
        *(f"- {one.line}" for one in digest.newest),
        *rest,
    ]
