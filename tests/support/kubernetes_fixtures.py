"""An emulated cluster, a real one, and whoever looks at them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from kubernetes_api import FakeCluster, fake_cluster, kubeconfig, targets
from kubernetes_bench import Looking
from kubernetes_real import Kubelet, Programs, RealCluster, control_plane

_numbers = itertools.count()


@pytest.fixture
async def kube() -> AsyncIterator[FakeCluster]:
    async with fake_cluster() as found:
        yield found


@pytest.fixture
async def looking(kube: FakeCluster, tmp_path: Path) -> AsyncIterator[Looking]:
    async with aiohttp.ClientSession() as session:
        found = Looking(session, targets(kubeconfig(tmp_path, kube.url)))
        yield found
        await found.close()


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    """One control plane a worker: it is ready within a few seconds."""
    with control_plane() as found:
        yield found


@pytest.fixture
async def real(programs: Programs) -> AsyncIterator[RealCluster]:
    """A namespace of its own for every test."""
    namespace = f"t{next(_numbers)}"
    async with aiohttp.ClientSession() as session:
        found = RealCluster(programs, session, namespace)
        await found.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        yield found


@pytest.fixture
async def kubelet(real: RealCluster) -> AsyncIterator[Kubelet]:
    found = Kubelet(real)
    async with found.at_work():
        yield found
