"""What a client of the store does over a restart of the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stores import store_process

from responder.store.connection import ask, close, connect


async def test_a_connection_that_the_server_closed_while_it_was_idle_costs_no_call(tmp_path: Path) -> None:
    async with store_process(tmp_path) as store:
        client = connect(store.url)
        try:
            await asyncio.gather(*(ask(client, "BLPOP", f"none{i}", "0.2") for i in range(8)))
            await store.kill()
            await store.start()
            answers = await asyncio.gather(*(ask(client, "PING") for _ in range(8)))
            assert answers == [True] * 8
        finally:
            await close(client)
