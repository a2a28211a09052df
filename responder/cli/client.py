"""The API from a terminal: one bounded request at a time."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, TypeVar

import msgspec

from responder.addresses import base_objection
from responder.release import release
from responder.text import block, one_line

T = TypeVar("T")

TIMEOUT = 10.0
ANSWER_LIMIT = 64 * 1024 * 1024
#: What the daemon knows the command line by.
AGENT = "responder-cli"
_AGAIN_AFTER = 1.0  # seconds


class CallError(Exception):
    """The call was refused or did not reach the daemon; the text is for people."""


class LostAnswerError(CallError):
    """The call was sent; whether it was taken is not known."""


class Client:
    """Calls one daemon."""

    def __init__(self, url: str, token: str | None) -> None:
        if objection := base_objection(url):
            raise CallError(f"--url: {objection}")
        self._url = url.rstrip("/")
        self._invocation = uuid.uuid4().hex
        self._changes = 0
        self._token = token
        # No proxy from the environment: the token is for the daemon alone.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(
        self, method: str, path: str, body: Any = None, raw: bytes | None = None, *, key: str | None = None
    ) -> bytes:
        """The answer's body. ``key`` makes the same call, sent twice, one.

        Raises:
            LostAnswerError: where the call was sent, and it is not known what became of it.
            CallError: for anything but 2xx.
        """
        request = self._request(method, path, _body(body, raw), key)
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                answer: bytes = response.read(ANSWER_LIMIT + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise CallError(f"{error.code}: {_detail(error.read(65_536))}") from None
        except urllib.error.URLError as error:
            raise CallError(f"cannot reach {self._url}: {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            raise LostAnswerError(
                f"no answer from {self._url}: {str(error) or type(error).__name__}"
            ) from None
        if len(answer) > ANSWER_LIMIT:
            raise CallError(f"the answer is longer than {ANSWER_LIMIT:,} bytes; ask for less")
        return answer

    def _request(self, method: str, path: str, data: bytes | None, key: str | None) -> urllib.request.Request:
        request = urllib.request.Request(self._url + path, data=data, method=method)  # noqa: S310 - checked above
        request.add_header("Content-Type", "application/json")
        request.add_header("User-Agent", f"{AGENT}/{release()}")
        if key is not None:
            request.add_header("Idempotency-Key", key)
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        return request

    def change(self, method: str, path: str, body: Any) -> Any:
        """A change that the daemon takes once however often it is sent: where the answer is lost, it is sent once more."""
        self._changes += 1
        key = f"{self._invocation}-{self._changes}"
        try:
            answer = self.call(method, path, body, key=key)
        except LostAnswerError:
            time.sleep(_AGAIN_AFTER)
            answer = self.call(method, path, body, key=key)
        return self._decoded(answer)

    def get(self, path: str, **query: str | None) -> Any:
        """A GET with the parameters that are given, decoded."""
        given = {name: value for name, value in query.items() if value}
        suffix = f"?{urllib.parse.urlencode(given)}" if given else ""
        return self._decoded(self.call("GET", path + suffix))

    def ask(self, path: str, body: Any, kind: type[T]) -> T:
        """A question that changes nothing, and its answer as a value."""
        answer = self.call("POST", path, body)
        try:
            return msgspec.json.decode(answer, type=kind)
        except ValueError:  # msgspec's are such
            raise CallError(self._stranger) from None

    @property
    def _stranger(self) -> str:
        return f"{self._url} does not answer as a responder of this version does; is it one?"

    def _decoded(self, answer: bytes) -> Any:
        try:
            return json.loads(answer)
        except ValueError:
            raise CallError(self._stranger) from None


def _body(body: Any, raw: bytes | None) -> bytes | None:
    if raw is not None:
        return raw
    return json.dumps(body).encode() if body is not None else None


def _detail(raw: bytes) -> str:
    try:
        return one_line(str(json.loads(raw).get("detail", "")), 500)
    except (ValueError, AttributeError):
        return one_line(raw.decode(errors="replace"), 200)


def clean(text: str) -> str:
    """Text for a terminal: what a sender wrote cannot steer it. All of it: who pipes it into a file wants the whole."""
    return block(text, len(text) * 4)  # a tab becomes four spaces


def default_url() -> str:
    """``RESPONDER_URL``, or the daemon's default address."""
    return os.environ.get("RESPONDER_URL", "http://127.0.0.1:8080")


def default_token() -> str | None:
    """``RESPONDER_TOKEN``."""
    return os.environ.get("RESPONDER_TOKEN")
