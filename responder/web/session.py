"""The console's login: a token is exchanged for a signed cookie; forms carry a token of their own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from urllib.parse import quote

import msgspec
import structlog
from aiohttp import web

from responder.addresses import parts_of
from responder.secrets import Secret
from responder.web.parts import PARTS, WebParts
from responder.web.problems import RETRY_AFTER, ProblemError

log = structlog.get_logger(__name__)

LIFETIME = timedelta(hours=12)
COOKIE = "responder_session"
FORM_FIELD = "form_token"
_PURPOSE = b"console session"


def revealed(token: Secret) -> str:
    """A configured token as it is now.

    Raises:
        ProblemError: 503 where its file cannot be read, or is empty: nobody is let in by what is not there.
    """
    try:
        return token.reveal()
    except OSError as error:
        log.warning("a token cannot be read", error=str(error))
        raise ProblemError(
            503, "a configured token cannot be read; see the log", headers=RETRY_AFTER
        ) from None


class _Session(msgspec.Struct, frozen=True, array_like=True):
    name: str
    role: str
    expires: int
    digest: str


def _key(parts: WebParts) -> bytes:
    """Derived from the tokens: removing or changing one ends every session."""
    material = b"\0".join(sorted(revealed(token.token).encode() for token in parts.auth.tokens))
    return hmac.new(material, _PURPOSE, hashlib.sha256).digest()


def begin(response: web.Response, parts: WebParts, name: str, role: str) -> None:
    """Set the cookie of a new session."""
    expires = int((parts.clock.now() + LIFETIME).timestamp())
    payload = msgspec.msgpack.encode(_Session(name, role, expires, secrets.token_hex(8)))
    value = base64.urlsafe_b64encode(hmac.digest(_key(parts), payload, "sha256") + payload).decode()
    response.set_cookie(
        COOKIE,
        value,
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=parts.external_url.startswith("https:"),
        path="/",
    )


def session_of(request: web.Request) -> tuple[str, str] | None:
    """Name and role of the request's session."""
    parts = request.app[PARTS]
    try:
        raw = base64.urlsafe_b64decode(request.cookies.get(COOKIE, "").encode())
        mac, payload = raw[:32], raw[32:]
        if not hmac.compare_digest(mac, hmac.digest(_key(parts), payload, "sha256")):
            return None
        session = msgspec.msgpack.decode(payload, type=_Session)
    except (binascii.Error, ValueError):
        return None
    if parts.clock.now().timestamp() > session.expires:
        return None
    known = {token.name: token.role for token in parts.auth.tokens}
    return (session.name, session.role) if known.get(session.name) == session.role else None


def form_token(request: web.Request) -> str:
    """The token that forms of this session carry."""
    parts = request.app[PARTS]
    bound = request.cookies.get(COOKIE, "") + "\0" + parts.external_url
    return hmac.new(_key(parts), bound.encode(), hashlib.sha256).hexdigest()[:32]


def check_form(request: web.Request, given: str) -> None:
    """Refuse a form that was not ours.

    Raises:
        ProblemError: 403 for another site's request or a wrong form token.
    """
    if sent_from_elsewhere(request):
        raise ProblemError(403, "this form was sent from another site")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), form_token(request).encode()):
        raise ProblemError(403, "this form is too old: load the page again")


def sent_from_elsewhere(request: web.Request) -> bool:
    """Whether a browser says that another site's page made it send this; programs say nothing.

    Source: the Fetch standard's ``Origin`` and ``Sec-Fetch-Site``. Under a strict referrer policy the origin of our own
    pages is ``null``, as a foreign sandbox's is: then only the second header tells them apart.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site == "same-origin":
        return False
    if site not in {None, "none"}:
        return True
    parts = parts_of(origin or "")
    return origin is not None and (parts is None or parts.netloc != request.headers.get("Host"))


#: Where a login may lead to: our own pages of an incident.
_NEXT = re.compile(r"/incidents/[0-9a-f]{16}(?:/actions/[A-Za-z0-9_.-]{1,100})?")


def login_address(path: str) -> str:
    """The login's address, from which one comes back to ``path``."""
    return f"/login?next={quote(path, safe='')}" if safe_next(path) != "/" else "/login"


def safe_next(path: str) -> str:
    """The path where it is one of our own pages, else the first page."""
    return path if _NEXT.fullmatch(path) else "/"
