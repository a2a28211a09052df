"""Whether a path stays below the address that it is put behind, however the target reads it."""

from __future__ import annotations

from urllib.parse import unquote

_DECODINGS = 4  # a proxy, a server and a framework may each decode once
_DOTS = frozenset({".", ".."})
_STAYS = "stay below the target's url, without '.', '..', '//' or a backslash, also where they are written with % once or twice"


def path_objection(path: str) -> str | None:
    """What is wrong with a path, in words that say what would be right; ``None`` where it stays below.

    It is looked at as it stands and after each decoding that somebody on the way may do. A query may hold what it likes.
    """
    seen = path.partition("#")[0].partition("?")[0]
    for _ in range(_DECODINGS):
        if not _stays(seen):
            return f"path {path!r} would leave the target; {_STAYS}"
        try:
            decoded = unquote(seen, errors="strict")
        except UnicodeDecodeError:
            return f"path {path!r} would leave the target where an escape is read wrongly: it is not UTF-8"
        if decoded == seen:
            return None
        seen = decoded
    return f"path {path!r} would leave the target for all that can be told: it is encoded too often"


def _stays(path: str) -> bool:
    if "//" in path or "\\" in path or path.startswith(("http:", "https:")):
        return False
    if any(
        char < " " or char == "\x7f" for char in path
    ):  # some are dropped on the way: "." and "." become ".."
        return False
    # What follows a semicolon is no part of the segment to Java's servers: "..;x" is "..".
    return _DOTS.isdisjoint(segment.partition(";")[0].strip() for segment in path.split("/"))
