"""Configured Supersets: a login with cookies of its own, the CSRF token that belongs to them, and bounded answers.

Sources: Superset's OpenAPI description (``/api/v1/_openapi``), Flask-AppBuilder's security API and Flask-WTF's CSRF
protection, and what a real 6.1 answers: the CSRF token counts only with the session cookie of the answer that brought
it, and over HTTPS only with a ``Referer`` of the same origin; without JSON a refused token is a redirect to the login.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import msgspec

from responder.config import SupersetTarget
from responder.secrets import Redactor
from responder.targets.base import TargetError
from responder.targets.http import Answer, RefusedError, UnclearError, answered, joined, private_session
from responder.text import one_line

T = TypeVar("T")

_ANSWER_LIMIT = 8 * 1024 * 1024  # bytes: a dashboard's datasets come with all their columns
_PAGE = 100  # Superset gives no more at once
_PAGES = 50


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset, as lists show it. Its cache entries are known under :attr:`uid`."""

    id: int
    table_name: str | None = None

    @property
    def uid(self) -> str:
        """What Superset calls the dataset where it remembers cache keys."""
        return f"{self.id}__table"


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart of a dashboard."""

    id: int
    slice_name: str | None = None


class _Token(msgspec.Struct, frozen=True):
    access_token: str


class _Csrf(msgspec.Struct, frozen=True):
    result: str


class _Result(msgspec.Struct, frozen=True):
    result: msgspec.Raw


class Superset:
    """One use of a Superset, logged in. Made by :func:`signed_in`."""

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession, known: tuple[str, ...]) -> None:
        self._name = name
        self._url = url
        self._session = session
        self._known = known
        self._headers = {"Accept": "application/json", "Referer": url}

    async def login(self, credentials: Mapping[str, Any]) -> None:
        """Log in; later requests carry the token.

        Raises:
            TargetError: where Superset cannot be reached or refuses.
        """
        token = _decoded(await self._asked("POST", "/api/v1/security/login", credentials), _Token, self._name)
        self._learn("Authorization", f"Bearer {token.access_token}", token.access_token)

    async def arm(self) -> None:
        """Fetch the CSRF token without which nothing can be changed, and the session cookie that it is bound to.

        Raises:
            TargetError: where Superset cannot be reached or refuses.
        """
        token = _decoded(await self._asked("GET", "/api/v1/security/csrf_token/"), _Csrf, self._name)
        self._learn("X-CSRFToken", token.result, token.result)

    def _learn(self, header: str, value: str, secret: str) -> None:
        if not secret.isascii() or not secret.isprintable():
            raise TargetError(f"{self._name} gives a token that is none")
        self._headers[header] = value
        self._known = (*self._known, secret)

    async def result(self, path: str, kind: type[T]) -> T:
        """The ``result`` of a GET.

        Raises:
            TargetError: where Superset cannot be reached or refuses.
        """
        whole = _decoded(await self._asked("GET", path), _Result, self._name)
        return _decoded(bytes(whole.result), kind, self._name)

    async def datasets(self) -> list[Dataset]:
        """Every dataset that the user may see.

        Raises:
            TargetError: where Superset cannot be reached or refuses, or they are over 5,000.
        """
        found: list[Dataset] = []
        for page in range(_PAGES):
            query = f"(columns:!(id,table_name),order_column:table_name,order_direction:asc,page:{page},page_size:{_PAGE})"
            some = await self.result(f"/api/v1/dataset/?q={query}", list[Dataset])
            found += some
            if len(some) < _PAGE:
                return found
        raise TargetError(f"{self._name} has over {_PAGE * _PAGES} datasets: name some, or a dashboard")

    async def change(self, method: str, path: str, body: Mapping[str, Any]) -> bytes:
        """Ask for a change; the answer to 200 or 201.

        Raises:
            TargetError: where it is certain that nothing was changed.
            UnclearError: where that is open.
        """
        answer = await self._exchange(method, path, body)
        if answer.status in {200, 201}:
            return answer.body
        raise self._refusal(answer, changing=True)

    def clean(self, text: str) -> str:
        """What Superset says, without the secrets of this use."""
        return Redactor(self._known)(text)

    async def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """The answer to what changes nothing, whatever becomes of it."""
        try:
            answer = await self._exchange(method, path, body)
        except UnclearError as error:
            raise TargetError(str(error)) from None
        if answer.status != 200:
            raise self._refusal(answer, changing=False)
        if not answer.whole:
            raise TargetError(f"{self._name} answers with over {_ANSWER_LIMIT // 1024 // 1024} MB")
        return answer.body

    async def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        asking = self._session.request(
            method, joined(self._url, path), headers=self._headers, json=body, allow_redirects=False
        )
        return await answered(self._name, asking, _ANSWER_LIMIT)

    def _refusal(self, answer: Answer, *, changing: bool) -> Exception:
        said = one_line(self.clean(_message(answer.body)), 150)
        text = f"{self._name} answers {answer.status}"
        if hint := _HINTS.get(answer.status, _ELSEWHERE if 300 <= answer.status < 400 else ""):
            text += f" ({hint})"
        if said:
            text += f": {said}"
        if "CSRF session token is missing" in said:
            text += " (it sets a Secure cookie: reach it over https)"
        if changing and not 300 <= answer.status < 500:
            return UnclearError(text)
        return RefusedError(text, answer.status)


_ELSEWHERE = "it points elsewhere: check the target's url"
_HINTS = {
    302: "it sends us to its login page",
    401: "wrong user name or password, or an expired token",
    403: "the user lacks a permission",
    404: "not there, or not for this user",
    429: "too many requests",
}


@asynccontextmanager
async def signed_in(name: str, target: SupersetTarget) -> AsyncIterator[Superset]:
    """A Superset, logged in, for one use; its cookies and connections end with it.

    Raises:
        TargetError: where Superset cannot be reached or refuses.
    """
    password = target.password.reveal()
    credentials = {
        "username": target.username,
        "password": password,
        "provider": str(target.provider),
        "refresh": False,
    }
    # Addresses without a name have cookies too.
    async with private_session(aiohttp.CookieJar(unsafe=True)) as session:
        superset = Superset(name, target.url, session, (password,))
        await superset.login(credentials)
        yield superset


def _message(body: bytes) -> str:
    """What an error's body says: ``message``, ``msg``, ``error``, or the first of ``errors``."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""
    if not isinstance(found, dict):
        return ""
    errors = found.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        found = errors[0]
    said = found.get("message") or found.get("msg") or found.get("error") or ""
    return said if isinstance(said, str) else msgspec.json.encode(said).decode()


def _decoded(body: bytes, kind: type[T], name: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise TargetError(f"{name} answers with something else than Superset does") from None
