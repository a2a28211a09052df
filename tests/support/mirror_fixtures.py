"""Two Alertmanagers of one cluster, and a daemon's part that compares with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fake_alertmanager import FakeAlertmanager
from mirror import Mirror, compiled, mirrored, moment

from responder.store.store import Store


@pytest.fixture
async def pair(turned: Any) -> AsyncIterator[list[FakeAlertmanager]]:
    """Two peers of one cluster."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(FakeAlertmanager(lambda: moment(turned)).running())
            for _ in range(2)
        ]


@pytest.fixture
async def mirror(
    store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> AsyncIterator[Mirror]:
    async with mirrored(store, turned, compiled(tmp_path), pair) as one:
        yield one
