"""The API from a terminal: one bounded request at a time."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from responder.text import block, one_line

TIMEOUT = 10.0
_ANSWER_LIMIT = 64 * 1024 * 1024


class CallError(Exception):
    """The call was refused or did not reach the daemon; the text is for people."""


class Client:
    """Calls one daemon."""

    def __init__(self, url: str, token: str | None) -> None:
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise CallError(f"--url: expected http://host:port, got {url!r}")
        self._url = url.rstrip("/")
        self._token = token
        # No proxy from the environment: the token is for the daemon alone.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: Any = None, raw: bytes | None = None) -> bytes:
        """The answer's body.

        Raises:
            CallError: for anything but 2xx.
        """
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._url + path, data=data, method=method)  # noqa: S310 - checked above
        request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                answer: bytes = response.read(_ANSWER_LIMIT)
                return answer
        except urllib.error.HTTPError as error:
            with error:
                raise CallError(f"{error.code}: {_detail(error.read(65_536))}") from None
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise CallError(f"cannot reach {self._url}: {reason}") from None

    def get(self, path: str, **query: str | None) -> Any:
        """A GET with the parameters that are given, decoded."""
        given = {name: value for name, value in query.items() if value}
        suffix = f"?{urllib.parse.urlencode(given)}" if given else ""
        return json.loads(self.call("GET", path + suffix))


def _detail(raw: bytes) -> str:
    try:
        return one_line(str(json.loads(raw).get("detail", "")), 500)
    except (ValueError, AttributeError):
        return one_line(raw.decode(errors="replace"), 200)


def clean(text: str) -> str:
    """Text for a terminal: what a sender wrote cannot steer it."""
    return block(text, 100_000)


def default_url() -> str:
    """``RESPONDER_URL``, or the daemon's default address."""
    return os.environ.get("RESPONDER_URL", "http://127.0.0.1:8080")


def default_token() -> str | None:
    """``RESPONDER_TOKEN``."""
    return os.environ.get("RESPONDER_TOKEN")
