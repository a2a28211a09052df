"""An emulated cluster, and whoever looks at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from kubernetes_api import FakeCluster, fake_cluster, kubeconfig, targets
from kubernetes_bench import Looking


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with fake_cluster() as found:
        yield found


@pytest.fixture
async def looking(cluster: FakeCluster, tmp_path: Path) -> AsyncIterator[Looking]:
    async with aiohttp.ClientSession() as session:
        found = Looking(session, targets(kubeconfig(tmp_path, cluster.url)))
        yield found
        await found.close()
