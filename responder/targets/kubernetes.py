"""Configured clusters: one client each, made when it is first needed; every call bounded in time and size.

Answers are read as bytes and decoded into the few fields that matter: the library's own models take seconds for a list
of thousands and refuse what a newer server adds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar

import aiohttp
import msgspec

from responder.config import KubernetesTarget
from responder.incident.finding import FindingStatus
from responder.parameters import Parameter, kubernetes_namespace, resolve
from responder.targets.errors import TargetError, configured
from responder.targets.http import UnclearError, bounded, unreachable
from responder.targets.kubernetes_access import Client, RedirectedError, client_of
from responder.targets.kubernetes_calls import Answered, Ask, ClusterError, Place, refused

T = TypeVar("T")

ANSWER_LIMIT = 16 * 1024 * 1024  # bytes of one answer
PAGE = 250  # objects of one answer: a pod with its managed fields may take 20 kB
_CONNECT_LIMIT = 4.0  # seconds
_MAKE_LIMIT = 20.0  # seconds for the library's import and a credential plug-in
_KEPT_AT_LEAST = 5.0  # seconds: credentials that were refused so soon after they were loaded stay refused
_WAIT_LIMIT = 2.0  # seconds that a busy server may ask to wait
_CHUNK = 64 * 1024


class PatchType(StrEnum):
    """How a patch is to be understood, as its content type."""

    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    JSON = "application/json-patch+json"


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """A change; with ``rehearsal`` the server checks it and does not keep it."""

    type: PatchType
    body: Any
    rehearsal: bool = False


class Listing(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Objects of a list; not ``complete`` where there were more than were asked for."""

    items: tuple[T, ...]
    complete: bool


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a log, and how many bytes were sent in all."""

    raw: bytes
    size: int


class _ListMeta(msgspec.Struct, frozen=True, kw_only=True, rename={"next": "continue"}):
    next: str = ""


class _Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    metadata: _ListMeta = _ListMeta()
    items: tuple[T, ...] | None = None


class _Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A request as HTTP has it, and the verb that RBAC has for it."""

    method: str
    verb: str
    query: Mapping[str, str]
    content_type: str = ""
    body: Any = None


_Read = Callable[[aiohttp.ClientResponse], Awaitable[T]]


class Clusters:
    """The clusters of ``targets.kubernetes``."""

    def __init__(self, targets: Mapping[str, KubernetesTarget]) -> None:
        self._targets = targets
        self._clients: dict[str, tuple[Client, float]] = {}
        self._making: dict[str, asyncio.Task[Client]] = {}

    def place(self, target: str, namespace: Parameter | None, labels: Mapping[str, str]) -> Place:
        """The namespace that is meant: the target's own, unless another one is named.

        Raises:
            ParameterError: where a label's value is no namespace.
            TargetError: where the target is not configured, or does not reach that namespace.
        """
        found = configured(self._targets, "kubernetes", target)
        if namespace is None:
            return Place(target=target, namespace=found.namespace)
        name = resolve(namespace, labels, "namespace", kubernetes_namespace)
        if not found.reaches(name):
            key = f"targets.kubernetes.{target}.namespaces"
            raise TargetError(f"namespace {name} is not one that target {target} reaches: add it to {key}")
        return Place(target=target, namespace=name)

    def own_namespace(self, place: Place) -> bool:
        """Whether it is the target's own namespace, which need not be said."""
        return self._targets[place.target].namespace == place.namespace

    async def read(self, ask: Ask, kind: type[T]) -> T:
        """One object.

        Raises:
            ClusterError: where it is refused, not there, or cannot be asked for.
            TimeoutError: where it takes too long.
        """
        sent = _Sent(method="GET", verb="get", query=ask.query)
        return await self._call(ask, sent, _decoded(ask, kind))

    async def listed(self, ask: Ask, kind: type[T], most: int) -> Listing[T]:
        """The objects of a kind, at most ``most`` of them. Raises as :meth:`read`."""
        try:
            return await self._pages(ask, kind, most)
        except ClusterError as error:
            if error.code != 410:  # the list that was begun has expired on the server
                raise
        return await self._pages(ask, kind, most)

    async def _pages(self, ask: Ask, kind: type[T], most: int) -> Listing[T]:
        items: list[T] = []
        following = ""
        while True:
            query = {**ask.query, "limit": str(min(PAGE, most - len(items)))}
            if following:
                query["continue"] = following
            sent = _Sent(method="GET", verb="list", query=query)
            page = await self._call(ask, sent, _decoded(ask, _Page[kind]))  # type: ignore[valid-type]
            items += page.items or ()
            following = page.metadata.next
            if not following or len(items) >= most:
                return Listing(items=tuple(items[:most]), complete=not following)

    async def log(self, ask: Ask, keep: int) -> Tail:
        """The end of a log, at most ``keep`` bytes of it. Raises as :meth:`read`."""

        async def tail(response: aiohttp.ClientResponse) -> Tail:
            kept, size = bytearray(), 0
            async for part in response.content.iter_chunked(_CHUNK):
                kept += part
                size += len(part)
                if len(kept) > keep:
                    del kept[: len(kept) - keep]
            return Tail(raw=bytes(kept), size=size)

        return await self._call(ask, _Sent(method="GET", verb="get", query=ask.query), tail)

    async def patch(self, ask: Ask, patch: Patch, kind: type[T]) -> T:
        """Change one object, in the name of ``responder``.

        Raises:
            ClusterError: where it is certain that nothing was changed.
            UnclearError, TimeoutError: where it is not.
        """
        query = {**ask.query, "fieldManager": "responder"}
        if patch.rehearsal:
            query["dryRun"] = "All"
        sent = _Sent(
            method="PATCH", verb="patch", query=query, content_type=patch.type.value, body=patch.body
        )
        try:
            return await self._call(ask, sent, _decoded(ask, kind))
        except ClusterError as error:
            if error.certain or patch.rehearsal:
                raise
            raise UnclearError(str(error)) from None

    async def close(self) -> None:
        """Close every client."""
        making, self._making = list(self._making.values()), {}
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        clients, self._clients = list(self._clients.values()), {}
        for client, _ in clients:
            await client.retire()

    async def _call(self, ask: Ask, sent: _Sent, read: _Read[T]) -> T:
        """Ask; once more where the credentials have run out or the server asks for a short pause."""
        client = await self._client(ask.place.target)
        try:
            return await self._once(client, ask, sent, read)
        except ClusterError as error:
            if error.code == 401:
                client = await self._client(ask.place.target, instead_of=client)
            elif error.pause is not None and error.pause <= _WAIT_LIMIT:
                await asyncio.sleep(error.pause)
            else:
                raise
        return await self._once(client, ask, sent, read)

    async def _once(self, client: Client, ask: Ask, sent: _Sent, read: _Read[T]) -> T:
        target = ask.place.target
        try:
            async with client.used() as api, await _send(api, ask, sent) as response:
                if response.status >= 400:
                    said = await bounded(response.content)
                    raise refused(
                        ask, sent.verb, Answered(response.status, said, response.headers.get("Retry-After"))
                    )
                return await read(response)
        except aiohttp.ConnectionTimeoutError:
            text = f"cannot reach {target}: no connection within {_CONNECT_LIMIT:g} s"
            raise ClusterError(text, status=FindingStatus.CRITICAL, certain=True) from None
        except TimeoutError:
            raise
        except RedirectedError:
            raise ClusterError(
                f"{target} answers with a redirect, as no API server does", certain=True
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            certain = isinstance(error, aiohttp.ClientConnectorError)
            text = unreachable(target, error)
            raise ClusterError(text, status=FindingStatus.CRITICAL, certain=certain) from None

    async def _client(self, target: str, instead_of: Client | None = None) -> Client:
        """The target's client; a new one in place of one whose credentials were refused.

        It is made by a task of its own, so that who gives up waiting does not undo what the next one needs.
        """
        known, since = self._clients.get(target, (None, 0.0))
        if known is not None and (known is not instead_of or time.monotonic() - since < _KEPT_AT_LEAST):
            return known
        task = self._making.get(target)
        if task is None or task.done():
            task = asyncio.create_task(self._make(target), name=f"client of {target}")
            task.add_done_callback(_heeded)
            self._making[target] = task
        return await asyncio.shield(task)

    async def _make(self, target: str) -> Client:
        try:
            async with asyncio.timeout(_MAKE_LIMIT):
                client = await client_of(target, configured(self._targets, "kubernetes", target))
        except TimeoutError:
            raise TargetError(f"{target}: its credentials were not there within {_MAKE_LIMIT:g} s") from None
        former, _ = self._clients.get(target, (None, 0.0))
        self._clients[target] = client, time.monotonic()
        if former is not None:
            await former.retire()
        return client


def _heeded(task: asyncio.Task[Client]) -> None:
    """Who waited for it has been told; where nobody did any more, its failure is nobody's loss."""
    if not task.cancelled():
        task.exception()


async def _send(api: Any, ask: Ask, sent: _Sent) -> aiohttp.ClientResponse:
    headers = {"Accept": "application/json, */*"}
    if sent.content_type:
        headers["Content-Type"] = sent.content_type
    limit = aiohttp.ClientTimeout(total=ask.limit.total_seconds(), sock_connect=_CONNECT_LIMIT)
    response: aiohttp.ClientResponse = await api.call_api(
        ask.what.path(named=bool(ask.name)),
        sent.method,
        path_params={"namespace": ask.place.namespace, "name": ask.name},
        query_params=list(sent.query.items()),
        header_params=headers,
        body=sent.body,
        auth_settings=["BearerToken"],
        _preload_content=False,
        _request_timeout=limit,
    )
    return response


def _decoded(ask: Ask, kind: type[T]) -> _Read[T]:
    async def read(response: aiohttp.ClientResponse) -> T:
        raw = await bounded(response.content, ANSWER_LIMIT + 1)
        if len(raw) > ANSWER_LIMIT:
            raise ClusterError(f"{ask.place.target}: an answer of over {ANSWER_LIMIT >> 20} MB")
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ClusterError(f"{ask.place.target}: an answer that no API server gives") from None

    return read
