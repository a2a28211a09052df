"""A client for one configured cluster: what a kubeconfig or the pod's own account says, and nothing from elsewhere."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from responder.config import KubernetesTarget
from responder.targets.errors import TargetError
from responder.text import one_line

#: Connections at once to one cluster.
_CONNECTIONS = 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class AccessError(TargetError):
    """The configured access to a cluster cannot be used."""


class RedirectedError(aiohttp.ClientError):
    """A cluster answered with a redirect, which no API server does; the credentials go nowhere else."""


class Client:
    """One ``ApiClient``, closed once it is retired and nobody uses it any more."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._users = 0
        self._retired = False

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Any]:
        """The client, for one call."""
        self._users += 1
        try:
            yield self._api
        finally:
            self._users -= 1
            await self._end()

    async def retire(self) -> None:
        """Close it as soon as the calls under way have ended."""
        self._retired = True
        await self._end()

    async def _end(self) -> None:
        if self._retired and not self._users:
            await self._api.close()


async def client_of(name: str, target: KubernetesTarget) -> Client:
    """A client with the credentials as they are now.

    The library's import takes about a second: it happens here, in a thread, once.

    Raises:
        AccessError: where the configuration cannot be read or does not have what the target names.
    """
    library = await asyncio.to_thread(importlib.import_module, "kubernetes_asyncio.client")
    config = await asyncio.to_thread(importlib.import_module, "kubernetes_asyncio.config")
    # It logs what a credential plug-in wrote to stderr; the error below says it too, and is redacted.
    logging.getLogger("kubernetes_asyncio").setLevel(logging.CRITICAL)
    configuration = library.Configuration()
    try:
        if target.context is None and target.kubeconfig is None:
            await asyncio.to_thread(config.load_incluster_config, client_configuration=configuration)
        else:
            await config.load_kube_config(
                config_file=target.kubeconfig,
                context=target.context,
                client_configuration=configuration,
                persist_config=False,
            )
        configuration.connection_pool_maxsize = _CONNECTIONS
        return Client(_api_client(library, configuration))
    except config.ConfigException as error:
        raise AccessError(_problem(name, target, one_line(str(error), 150))) from None
    except Exception as error:  # noqa: BLE001 - a kubeconfig can be broken in any way; its text may hold a token
        raise AccessError(_problem(name, target, type(error).__name__)) from None


def _api_client(library: Any, configuration: Any) -> Any:
    """An ``ApiClient`` that heeds neither proxies nor netrc of the environment, and follows no redirect."""
    api = library.ApiClient(configuration)
    api.user_agent = "responder"
    made = api.rest_client.pool_manager
    connector = made.connector
    made.detach()
    api.rest_client.pool_manager = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        middlewares=(_stay,),
    )
    return api


async def _stay(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    response = await handler(request)
    if response.status in _REDIRECTS:
        response.close()
        raise RedirectedError
    return response


def _problem(name: str, target: KubernetesTarget, why: str) -> str:
    if target.context is None and target.kubeconfig is None:
        return (
            f"{name}: not in a cluster, or without a service account ({why}); "
            f"give targets.kubernetes.{name} a kubeconfig or a context"
        )
    return f"{name}: its kubeconfig cannot be used: {why}"
