"""Signatures: of the webhooks that we send, and of the acknowledge links in pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta

import msgspec

_LONGEST = 400  # characters; a link must fit into an SMS
_MAC_BYTES = 16  # 128 bits


def sign_webhook(secret: bytes, body: bytes, now: datetime) -> str:
    """The ``X-Responder-Signature`` of exactly these bytes: ``t=<unix seconds>,v1=<hex>`` over ``<t>.<body>``."""
    at = str(int(now.timestamp()))
    digest = hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class BadTokenError(Exception):
    """Not a token of ours."""


class ExpiredTokenError(BadTokenError):
    """A token of ours whose time is over."""


class AckClaim(msgspec.Struct, frozen=True, array_like=True):
    """What a token says: this contact may acknowledge (or what else the purpose is) this until then (unix seconds)."""

    purpose: str
    subject: str
    contact: str
    expires: int

    @property
    def incident(self) -> str:
        """The incident, where the purpose is to acknowledge it."""
        return self.subject


_ENCODE = msgspec.msgpack.Encoder()
_DECODE = msgspec.msgpack.Decoder(AckClaim)


class AckTokens:
    """Makes and reads the tokens of links in messages: signed, expiring, for one purpose and one person."""

    def __init__(self, key: bytes, purpose: str = "ack") -> None:
        """``key``: 32 random bytes, the same on every replica."""
        self._key = key
        self._purpose = purpose

    def for_purpose(self, purpose: str) -> AckTokens:
        """Tokens for something else; none of one purpose is taken for another."""
        return AckTokens(self._key, purpose)

    def issue(self, subject: str, contact: str, now: datetime, lifetime: timedelta) -> str:
        """A token for a link, URL-safe."""
        claim = AckClaim(self._purpose, subject, contact[:80], int((now + lifetime).timestamp()))
        payload = _ENCODE.encode(claim)
        return base64.urlsafe_b64encode(self._mac(payload) + payload).decode().rstrip("=")

    def read(self, token: str, now: datetime) -> AckClaim:
        """The claim of a token.

        Raises:
            ExpiredTokenError: where its time is over.
            BadTokenError: for anything that we did not sign.
        """
        if len(token) > _LONGEST:
            raise BadTokenError("not a token of ours")
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raise BadTokenError("not a token of ours") from None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise BadTokenError("not a token of ours")
        try:
            claim = _DECODE.decode(payload)
        except msgspec.DecodeError:
            raise BadTokenError("not a token of ours") from None
        if claim.purpose != self._purpose:
            raise BadTokenError("a token for something else")
        if now.timestamp() > claim.expires:
            raise ExpiredTokenError("its time is over")
        return claim

    def _mac(self, payload: bytes) -> bytes:
        return hmac.new(self._key, payload, hashlib.sha256).digest()[:_MAC_BYTES]
