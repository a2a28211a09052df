"""What a webhook must bring: compared in constant time against each configured form."""

from __future__ import annotations

import base64
import binascii
import hmac

from responder.config import WebhookAuth


class WebhookCredentials:
    """The configured credentials; where there are none, everybody is let in (see ``auth.webhook``)."""

    def __init__(self, auth: WebhookAuth) -> None:
        self._expected = _expected(auth)

    @property
    def required(self) -> bool:
        """Whether any are configured."""
        return bool(self._expected)

    def match(self, header: str) -> bool:
        """Whether an ``Authorization`` header brings one of them."""
        scheme, _, given = header.partition(" ")
        credentials = given.strip().encode()
        if scheme.lower() == "basic":
            try:
                credentials = base64.b64decode(credentials, validate=True)
            except binascii.Error:
                credentials = b""
        matches = [
            hmac.compare_digest(credentials, expected) and scheme.lower() == kind
            for kind, expected in self._expected
        ]
        return any(matches)


def _expected(auth: WebhookAuth) -> list[tuple[str, bytes]]:
    expected = []
    if auth.bearer_token is not None:
        expected.append(("bearer", auth.bearer_token.reveal().encode()))
    if auth.basic is not None:
        pair = f"{auth.basic.username}:{auth.basic.password.reveal()}"
        expected.append(("basic", pair.encode()))
    return expected
