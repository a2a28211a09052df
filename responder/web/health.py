"""``/-/healthy``, ``/-/ready``, ``/-/reload`` and ``/metrics``, as Prometheus has them."""

from __future__ import annotations

from aiohttp import web

from responder.web.auth import Role, requires
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, problem


def routes() -> list[web.RouteDef]:
    """The routes that machines ask."""
    return [
        web.get("/-/healthy", healthy),
        web.get("/-/ready", ready),
        web.post("/-/reload", reload),
        web.get("/metrics", metrics),
    ]


async def healthy(_request: web.Request) -> web.Response:
    """The process lives."""
    return web.Response(text="responder is healthy.\n")


async def ready(request: web.Request) -> web.Response:
    """It takes alerts: 503 while the store is away, while starting and while stopping."""
    if await request.app[PARTS].ready():
        return web.Response(text="responder is ready.\n")
    return problem(
        503, "not ready: the store is away, or the daemon is starting or stopping", {"Retry-After": "5"}
    )


@requires(Role.ADMIN)
async def reload(request: web.Request) -> web.Response:
    """Read the rule files anew; a bad set is refused with its problems and replaces nothing."""
    taken, problems = await request.app[PARTS].reload()
    if not taken:
        raise ProblemError(
            400, "the rules in force stay: " + "; ".join(problems[:20]), problems=list(problems[:200])
        )
    return web.Response(text="rules reloaded.\n")


async def metrics(request: web.Request) -> web.Response:
    """Prometheus or OpenMetrics text, as asked for."""
    body, content_type = await request.app[PARTS].metrics(request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})
