"""``/-/healthy``, ``/-/ready``, ``/-/reload`` and ``/metrics``, as Prometheus has them."""

from __future__ import annotations

from aiohttp import web

from responder.web.auth import Role, requires
from responder.web.parts import PARTS
from responder.web.problems import RETRY_AFTER, ProblemError, problem


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
    return problem(503, "not ready: the store is away, or the daemon is starting or stopping", RETRY_AFTER)


@requires(Role.ADMIN)
async def reload(request: web.Request) -> web.Response:
    """Read the rule files anew; a bad set is refused with its problems and replaces nothing.

    The configuration is not read anew: where it is not what runs any more, the answer says so.
    """
    outcome = await request.app[PARTS].reload()
    warnings, problems = list(outcome.warnings), [str(one) for one in outcome.problems]
    if not outcome.taken:
        text = "the rules in force stay: " + "; ".join(problems[:20])
        raise ProblemError(400, text, problems=problems[:200], warnings=warnings)
    return web.Response(text="\n".join(["rules reloaded.", *warnings]) + "\n")


async def metrics(request: web.Request) -> web.Response:
    """Prometheus or OpenMetrics text, as asked for."""
    body, content_type = await request.app[PARTS].metrics(request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})
