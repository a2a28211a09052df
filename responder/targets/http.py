"""Configured HTTP targets: an address that no path leaves, answers of bounded size, errors without addresses.

What becomes of a request is told apart by type, since it matters to whoever changes something: nothing was sent
(:class:`UnreachableError`), it was answered with a no (:class:`RefusedError`), or nobody knows (:class:`UnclearError`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from responder.incident.finding import FindingStatus
from responder.targets.errors import TargetError, os_reason
from responder.targets.paths import path_objection

BODY_LIMIT = 64 * 1024  # bytes of an answer that are read
CONNECT_LIMIT = 5.0  # seconds
DENIALS = frozenset({401, 403})  # what is answered to whoever may not ask


class UnreachableError(TargetError):
    """No connection came about: nothing was sent."""


class RefusedError(TargetError):
    """The target answered, but not with what was asked for; nothing was changed.

    ``code`` is the HTTP status; ``status`` what that says of the target: that we may not ask, that it is ill, or that
    we ask wrongly.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code
        ill = FindingStatus.CRITICAL if code >= 500 else FindingStatus.ERROR
        self.status = FindingStatus.DENIED if code in DENIALS else ill


class UnclearError(Exception):
    """Whether the target carried out what was asked is not known; the text is for people and holds no secret."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: the beginning of its body, and ``whole`` where that is all of it. ``took`` is in seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool
    took: float


async def answered(
    name: str, asking: AbstractAsyncContextManager[aiohttp.ClientResponse], limit: int = BODY_LIMIT
) -> Answer:
    """The answer to a request that is made without following redirects; whoever calls bounds its time.

    Raises:
        UnreachableError: where nothing was sent.
        UnclearError: where the connection broke afterwards.
        TimeoutError: at the session's own limits.
    """
    begun = time.monotonic()
    try:
        async with asking as response:
            body = await bounded(response.content, limit + 1)
            return Answer(
                status=response.status,
                headers=response.headers,
                body=body[:limit],
                whole=len(body) <= limit,
                took=time.monotonic() - begun,
            )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        raise UnreachableError(unreachable(name, error)) from None
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError) as error:
        raise UnclearError(_broke_off(name, error)) from None


def private_session(jar: aiohttp.abc.AbstractCookieJar | None = None) -> aiohttp.ClientSession:
    """A session for one use, with connections and cookies of its own; whoever makes it closes it and bounds its time.

    No request of it goes over a connection that went stale meanwhile, which would leave its outcome open.
    """
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT),
        connector=aiohttp.TCPConnector(limit=8),
        cookie_jar=aiohttp.DummyCookieJar() if jar is None else jar,  # an empty jar counts as false
        trust_env=False,
    )


def joined(base: str, path: str) -> URL:
    """The target's URL with a path below it.

    Raises:
        TargetError: where the URL is none, or the path would leave the target.
    """
    root = URL(base)
    if root.scheme not in {"http", "https"} or not root.host:
        raise TargetError("the target's url is no http or https address")
    if not path:
        return root
    if root.raw_query_string or root.raw_fragment:
        raise TargetError("the target's url holds a query or a fragment, so that nothing can be put below it")
    if objection := path_objection(path):
        raise TargetError(objection)
    joint = URL(f"{base.rstrip('/')}/{path.lstrip('/')}")
    # What the URL's own tidying may have made of it is looked at too.
    if joint.origin() != root.origin() or not _is_below(joint.raw_path, root.raw_path.rstrip("/")):
        raise TargetError(f"path {path!r} would leave the target")
    return joint


def sent_below(base: str, path: str) -> str:
    """What of a request's address stands below the target's own, exactly as it is sent: path and query.

    Raises:
        TargetError: as :func:`joined`.
    """
    joint, root = joined(base, path), URL(base)
    return joint.raw_path_qs.removeprefix(root.raw_path.rstrip("/")) or "/"


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


async def bounded(content: aiohttp.StreamReader, limit: int = BODY_LIMIT) -> bytes:
    """The beginning of an answer, at most ``limit`` bytes of it."""
    parts, size = [], 0
    async for part in content.iter_chunked(16_384):
        parts.append(part)
        size += len(part)
        if size >= limit:
            break
    return b"".join(parts)[:limit]


#: What an error of the client library means, where its own words hold an address.
_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.InvalidURL, "its url is not valid"),
    (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
    (aiohttp.ClientConnectorSSLError, "the TLS handshake failed"),
    (aiohttp.ConnectionTimeoutError, f"no connection within {CONNECT_LIMIT:g} s"),
)


def unreachable(name: str, error: aiohttp.ClientError | OSError) -> str:
    """Why a target could not be reached, without its address."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or "not valid"
        return f"cannot reach {name}: its TLS certificate is not trusted ({why})"
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return f"cannot reach {name}: {words}"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError):
        return f"cannot reach {name}: {os_reason(cause)}"
    return _broke_off(name, error)


#: How a connection ends while it is in use.
_BREAKS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "its answer ended in the middle"),
    (aiohttp.ClientResponseError, "its answer is not readable as HTTP"),
)


def _broke_off(name: str, error: aiohttp.ClientError | OSError) -> str:
    for kind, words in _BREAKS:
        if isinstance(error, kind):
            return f"{name} broke off: {words}"
    if isinstance(error, OSError) and error.errno:
        return f"{name} broke off: {os_reason(error)}"
    return f"{name} broke off: the connection was lost"


def json_problem(body: bytes, expected: Mapping[str, Any], clean: Callable[[str], str]) -> str | None:
    """What is wrong with a JSON text; ``None`` where all is as expected. ``clean`` takes secrets out before it is cut.

    ``expected`` maps dotted paths to the values that they must have; a number in a path counts in a list from 0.
    """
    if not expected:
        return None
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return "it is not JSON"
    for path, wanted in expected.items():
        value: Any = decoded
        for part in path.split("."):
            value = _inside(value, part)
        if value != wanted or isinstance(value, bool) is not isinstance(wanted, bool):
            return f"{path} is {clean(str(value))[:60]!r}, expected {wanted!r}"
    return None


def _inside(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.isdecimal() and int(part[:9]) < len(value):
        return value[int(part[:9])]
    return None
