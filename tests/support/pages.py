"""A message to send, and what channels are given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import msgspec
import pytest

from responder.clock import SystemClock
from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import IncidentBrief, Message, MessageKind
from responder.incident.severity import Level, Severity
from responder.paging.base import ChannelTools

AT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def message(kind: MessageKind = MessageKind.PAGE, **more: object) -> Message:
    """A page of the database, at three in the morning."""
    incident = IncidentBrief(
        id="1f" * 8,
        title="PostgresTooManyConnections: 97 of 100 connections used",
        severity=Severity.P1,
        service="database",
        state="triggered",
        opened_at=AT,
        url="https://responder.example/incidents/" + "1f" * 8,
        firing=5,
        runbook="database-connection-errors",
    )
    findings = (
        Finding(
            probe="connections",
            status=FindingStatus.CRITICAL,
            headline="97 of 100 connections used",
            detail="61 idle",
        ),
        Finding(probe="activity", status=FindingStatus.DENIED, headline="may not see other sessions"),
        Finding(probe="replication", status=FindingStatus.NO_DATA, headline="no replica"),
        Finding(probe="version", status=FindingStatus.OK, headline="PostgreSQL 18.6"),
    )
    made = Message(
        kind=kind,
        id="ab" * 8,
        page_id="ab" * 8,
        incident=incident,
        level=Level.PRIMARY,
        to="dbteam",
        attempt=1,
        respond_by=AT,
        sent_at=AT,
        summary="P1 database: PostgresTooManyConnections: 97 of 100 connections used\n5 alerts firing",
        findings=findings,
        actions=("restart-pgbouncer",),
        ack_url="https://responder.example/ack/token",
    )
    return msgspec.structs.replace(made, **more)


DIGEST = "c4" * 16
LINK = "https://grafana.example/d/abc?from=1&to=2"


def charted(**more: object) -> Finding:
    """A finding with a picture and a dashboard."""
    made = Finding(
        probe="alert-graph",
        status=FindingStatus.WARNING,
        headline="2.4 s now, threshold 0.5 s, rising for 20m",
        detail="▁▁▂▃▅▇█ 0.12 s to 2.4 s in 2h",
        chart=DIGEST,
        chart_alt="Line chart of HighAPILatency",
        link=LINK,
    )
    return msgspec.structs.replace(made, **more)


def drawn() -> bytes:
    """A picture as the daemon draws it."""
    from responder.curves.draw import png
    from responder.curves.picture import Line, Picture
    from responder.curves.series import Series, Window

    window = Window(0.0, 7_200.0, 30.0)
    line = Line("", Series(times=[0.0, 3_600.0, 7_200.0], values=[0.1, 0.2, 2.4]))
    return png(Picture(title="HighAPILatency", subtitle="latency", window=window, lines=(line,)))


@pytest.fixture
async def tools() -> AsyncIterator[ChannelTools]:
    async with aiohttp.ClientSession() as session:
        yield ChannelTools(session=session, clock=SystemClock(), external_url="https://responder.example")
