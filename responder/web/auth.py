"""Who may call: bearer tokens with roles; without any, changes are taken from this machine only."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from enum import IntEnum

from aiohttp import web

from responder.addresses import parts_of
from responder.config import AuthConfig
from responder.web.parts import PARTS
from responder.web.problems import ProblemError
from responder.web.session import revealed, sent_from_elsewhere, session_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CALLER: web.RequestKey[str] = web.RequestKey("caller", str)
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


class Role(IntEnum):
    """What a caller may do; each may do what those before it may."""

    VIEWER = 1
    RESPONDER = 2
    ADMIN = 3


def requires(role: Role) -> Callable[[Handler], Handler]:
    """A handler that only callers of this role reach; their name stands in ``request[CALLER]``."""

    def guard(handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            request[CALLER] = authorise(request, role)
            return await handler(request)

        return guarded

    return guard


def authorise(request: web.Request, role: Role) -> str:
    """The caller's name; empty where no tokens are configured.

    Raises:
        ProblemError: 401 without credentials, 403 where the role does not suffice.
    """
    if not request.app[PARTS].auth.tokens and role <= Role.VIEWER:
        _under_our_name(request)
        return ""
    name, own = caller_of(request)
    if own < role:
        raise ProblemError(
            403, f"token {name} has the role {own.name.lower()}; this needs {role.name.lower()}"
        )
    return name


def caller_of(request: web.Request) -> tuple[str, Role]:
    """The caller's name and role; where no tokens are configured, whoever is on this machine is an admin.

    Raises:
        ProblemError: 401 without credentials; 403 without tokens, from elsewhere.
    """
    parts = request.app[PARTS]
    if not parts.auth.tokens:
        _only_from_here(request)
        _from_our_own_pages(request)
        return "", Role.ADMIN
    found = token_of(request, parts.auth)
    if found is None and (found := session_of(request)) is not None:
        _from_our_own_pages(request)
    if found is None:
        raise ProblemError(401, "token: missing or wrong", headers={"WWW-Authenticate": "Bearer"})
    name, own = found
    return name, Role[own.upper()]


def role_of(request: web.Request) -> Role:
    """What whoever looks at a page may do: without credentials that suffice for more, look."""
    try:
        return caller_of(request)[1]
    except ProblemError:
        return Role.VIEWER


def token_of(request: web.Request, auth: AuthConfig) -> tuple[str, str] | None:
    """Name and role of the bearer token that was sent."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return known_token(given.strip(), auth) if scheme.lower() == "bearer" else None


def known_token(given: str, auth: AuthConfig) -> tuple[str, str] | None:
    """Compared by digest against every token, so that the time tells nothing."""
    digest = hashlib.sha256(given.encode("utf-8", "replace")).digest()
    found = None
    for token in auth.tokens:
        expected = hashlib.sha256(revealed(token.token).encode()).digest()
        if hmac.compare_digest(digest, expected):
            found = (token.name, token.role)
    return found


def _from_our_own_pages(request: web.Request) -> None:
    """A change that carries no token of its own: whoever is logged in, or sits here, may be on another site's page."""
    if request.method not in {"GET", "HEAD"} and sent_from_elsewhere(request):
        raise ProblemError(403, "this request was sent from another site")


def _under_our_name(request: web.Request) -> None:
    """What comes from this machine asks for it by a name of this machine: else a page has had its own name rebound."""
    peer = _peer(request)
    proxied = any(name in request.headers for name in _FORWARDED)
    if peer is not None and peer.is_loopback and not proxied and not _names_us(request):
        raise ProblemError(403, "Host: this name does not mean this machine; set external_url")


def _names_us(request: web.Request) -> bool:
    asked, own = parts_of(f"//{request.headers.get('Host', '')}"), parts_of(request.app[PARTS].external_url)
    names = {"localhost", "127.0.0.1", "::1", own.hostname if own is not None else None}
    return asked is not None and (asked.hostname or "") in names


def _peer(request: web.Request) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    name = request.transport.get_extra_info("peername") if request.transport else None
    return ipaddress.ip_address(name[0]) if name else None


def _only_from_here(request: web.Request) -> None:
    """A change without tokens: from loopback, through no proxy, and under a name that means this machine."""
    peer = _peer(request)
    proxied = any(name in request.headers for name in _FORWARDED)
    if peer is None or not peer.is_loopback or proxied or not _names_us(request):
        raise ProblemError(
            403, "without auth.tokens, changes are taken from this machine only, and not through a proxy"
        )
