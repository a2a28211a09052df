"""The page that docs/slack.md shows."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from pages import AT, message

from responder.incident.message import OfferBrief
from responder.paging.slack_blocks import Look

_BRIEF = msgspec.structs.replace(
    message().incident,
    about="Too many connections",
    paged=("dbteam (primary)",),
    next_up="platform (secondary)",
    next_at=AT + timedelta(minutes=5),
)
PAGE = message(
    incident=_BRIEF,
    respond_by=AT + timedelta(minutes=15),
    findings=message().findings[:1],
    offers=(
        OfferBrief(
            name="restart-pgbouncer",
            title="Restart PgBouncer",
            text="Restart deployment/pgbouncer in production",
            url=f"{_BRIEF.url}/actions/restart-pgbouncer",
        ),
    ),
)
LOOK = Look(mention="<!subteam^S0DBTEAM>", silences=True)
