"""Pictures of findings: for whoever may look, and for the holder of an acknowledge link those of its incident only."""

from __future__ import annotations

from aiohttp import web

from responder.signing import BadTokenError, ExpiredTokenError
from responder.web.auth import Role, requires
from responder.web.parts import PARTS
from responder.web.problems import ProblemError

DIGEST = "{digest:[0-9a-f]{32}}"
#: A picture is named by its bytes and never changes.
_KEPT = "private, max-age=604800, immutable"


def routes() -> list[web.RouteDef]:
    """The two ways to a picture."""
    return [
        web.get(f"/charts/{DIGEST}.png", show),
        web.get(f"/ack/{{token}}/charts/{DIGEST}.png", show_to_the_paged),
    ]


@requires(Role.VIEWER)
async def show(request: web.Request) -> web.Response:
    """A picture, for the console and for programs."""
    return await _picture(request, _KEPT)


async def show_to_the_paged(request: web.Request) -> web.Response:
    """A picture for the page behind an acknowledge link, which needs no session."""
    parts = request.app[PARTS]
    try:
        claim = parts.tokens.read(request.match_info["token"], parts.clock.now())
    except ExpiredTokenError:
        raise ProblemError(410, "this link has expired") from None
    except BadTokenError:
        raise ProblemError(404, "this is no link of ours") from None
    detail = await parts.desk.incident(claim.incident, alerts=1)
    findings = detail.incident.findings.values() if detail is not None else ()
    if request.match_info["digest"] not in {finding.chart for finding in findings}:
        raise ProblemError(404, "the incident has no such picture")
    return await _picture(request, "no-store")


async def _picture(request: web.Request, kept: str) -> web.Response:
    png = await request.app[PARTS].chart(request.match_info["digest"])
    if png is None:
        raise ProblemError(404, "the picture is not kept any more")
    return web.Response(body=png, content_type="image/png", headers={"Cache-Control": kept})
