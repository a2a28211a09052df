"""What a webhook must bring: compared in constant time against each configured form."""

from __future__ import annotations

import base64
import binascii
import hmac

from responder.config import WebhookAuth


class WebhookCredentials:
    """The configured credentials; where there are none, everybody is let in (see ``auth.webhook``)."""

    def __init__(self, auth: WebhookAuth) -> None:
        self._auth = auth

    @property
    def required(self) -> bool:
        """Whether any are configured."""
        return self._auth.bearer_token is not None or self._auth.basic is not None

    def match(self, header: str) -> bool:
        """Whether an ``Authorization`` header brings one of them, as their files are now.

        Raises:
            OSError: where one cannot be read: that is no reason to turn the sender away for good.
        """
        scheme, _, given = header.partition(" ")
        credentials = given.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() == "basic":
            try:
                credentials = base64.b64decode(credentials, validate=True)
            except binascii.Error:
                credentials = b""
        matches = [
            hmac.compare_digest(credentials, expected) and scheme.lower() == kind
            for kind, expected in _expected(self._auth)
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
