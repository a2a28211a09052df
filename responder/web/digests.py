"""``/api/v1/incidents/ID/digest``: everything that is told with an incident's page, and what became of each."""

from __future__ import annotations

import msgspec
from aiohttp import web

from responder.incident.digest import Digest
from responder.incident.severity import Severity
from responder.store.digests import FOLDED_LIMIT
from responder.web.auth import Role, requires
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer
from responder.web.times import rfc3339


class FoldedView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident that is told with the page; ``state`` is null where it is no longer kept, or not known without the store.

    ``severity`` is null where it is over. ``left``: it is over, was taken, or is paged by itself.
    """

    id: str
    line: str
    state: str | None
    severity: str | None
    left: bool
    url: str


class DigestView(msgspec.Struct, frozen=True, kw_only=True):
    """A digest: why it began, whose it is, and all that is in it; ``over`` of them have ended, were taken, or left it.

    While the store is away ``incidents`` are those that the replica remembers.
    """

    began_at: str
    why: str
    contacts: tuple[str, ...]
    count: int
    over: int
    worst: Severity | None
    services: tuple[str, ...]
    incidents: tuple[FoldedView, ...]


def routes() -> list[web.RouteDef]:
    """The one route."""
    return [web.get("/api/v1/incidents/{id:[0-9a-f]{16}}/digest", show_digest)]


@requires(Role.VIEWER)
async def show_digest(request: web.Request) -> web.Response:
    """The whole digest of an incident."""
    parts, incident_id = request.app[PARTS], request.match_info["id"]
    detail = await parts.desk.incident(incident_id, alerts=0)
    if detail is None:
        raise ProblemError(404, f"no incident {incident_id}")
    digest = detail.incident.digest
    if digest is None:
        raise ProblemError(404, f"incident {incident_id} has no digest: its page tells of nothing else")
    return answer(await _view(request, incident_id, digest))


async def _view(request: web.Request, incident_id: str, digest: Digest) -> DigestView:
    parts = request.app[PARTS]
    found = await parts.folded(incident_id, FOLDED_LIMIT)
    base = parts.external_url.rstrip("/")
    return DigestView(
        began_at=rfc3339(digest.began_at),
        why=digest.why,
        contacts=digest.contacts,
        count=digest.count if parts.blind() else len(found),
        over=digest.over if parts.blind() else sum(one.left for one in found),
        worst=digest.worst,
        services=digest.services,
        incidents=tuple(
            FoldedView(
                id=one.id,
                line=one.shown,
                state=one.state or None,
                severity=one.severity or None,
                left=one.left,
                url=f"{base}/incidents/{one.id}",
            )
            for one in found
        ),
    )
