"""A load generator: keep-alive connections that post prepared bodies one after the other."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence

ANNOTATIONS = {"summary": "p99 latency is 2.4s", "runbook_url": "https://runbooks.example/high-api-latency"}


def alert(number: int, severity: str = "warning") -> dict[str, object]:
    """An alert of its own, about as large as real ones."""
    return {
        "status": "firing",
        "labels": {
            "alertname": f"Rule{number % 1000}", "cluster": "prod", "env": "prod", "job": "api-gateway",
            "namespace": "api", "instance": f"10.0.{number // 250 % 250}.{number % 250}:9090",
            "service": "api", "severity": severity, "pod": f"api-{number}",
        },
        "annotations": ANNOTATIONS,
        "startsAt": "2026-11-24T09:36:25.727737Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "fingerprint": f"{number:016x}",
    }  # fmt: skip


def body(numbers: Sequence[int], severity: str = "warning") -> bytes:
    """A webhook body of these alerts."""
    return json.dumps(
        {
            "version": "4", "receiver": "responder", "status": "firing", "groupKey": "{}", "truncatedAlerts": 0,
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am:9093",
            "alerts": [alert(number, severity) for number in numbers],
        },
        separators=(",", ":"),
    ).encode()  # fmt: skip


def bodies(first: int, count: int, size: int) -> list[bytes]:
    """``count`` alerts from ``first`` on, ``size`` a body, each an alert of its own."""
    return [body(range(at, min(at + size, first + count))) for at in range(first, first + count, size)]


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last is there."""

    def __init__(self, requests: Iterator[bytes], answers: list[int], done: asyncio.Future[None]) -> None:
        self._requests, self._answers, self._done = requests, answers, done
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(rest) >= length:
            self._rest = b""
            self._answers.append(int(head[9:12]))
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionError("closed early"))


async def post_all(port: int, payloads: Sequence[bytes], connections: int = 32) -> tuple[float, list[int]]:
    """Post all of them over so many connections; seconds, and the answers' codes."""
    head = (
        b"POST /webhooks/alertmanager HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"User-Agent: Alertmanager/0.25.0\r\nContent-Length: %d\r\n\r\n"
    )
    requests = iter([head % len(payload) + payload for payload in payloads])
    loop = asyncio.get_running_loop()
    answers: list[int] = []
    waits = []
    begun = time.perf_counter()
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        waits.append(done)
        await loop.create_connection(
            lambda done=done: _Connection(requests, answers, done), "127.0.0.1", port
        )  # type: ignore[misc]
    await asyncio.gather(*waits)
    return time.perf_counter() - begun, answers
