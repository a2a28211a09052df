"""The application: its routes, and what every answer has in common."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from responder.store.errors import StoreError
from responder.web import (
    ack,
    actions,
    alerts,
    api,
    charts,
    console,
    console_actions,
    contacts,
    digests,
    health,
    heartbeats,
    maintenance,
    oncall,
    openapi,
    overrides,
    pagerduty,
    silences,
    slack,
    twilio,
    verify,
)
from responder.web.parts import PARTS, WebParts
from responder.web.problems import RETRY_AFTER, ProblemError, problem

log = structlog.get_logger(__name__)

WEBHOOK_PATH = "/webhooks/alertmanager"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
}


def application(
    parts: WebParts, webhook: Callable[[web.Request], Awaitable[web.Response]] | None = None
) -> web.Application:
    """The whole web application; ``webhook`` handles Alertmanager's posts, outside the middlewares' cost."""
    app = web.Application(middlewares=[_framed])
    app[PARTS] = parts
    app.add_routes(api.routes())
    app.add_routes(digests.routes())
    app.add_routes(alerts.routes())
    app.add_routes(actions.routes())
    app.add_routes(silences.routes())
    app.add_routes(oncall.routes())
    app.add_routes(overrides.routes())
    app.add_routes(maintenance.routes())
    app.add_routes(health.routes())
    app.add_routes(heartbeats.routes())
    app.add_routes(openapi.routes())
    app.add_routes(ack.routes())
    app.add_routes(charts.routes())
    app.add_routes(slack.routes())
    app.add_routes(contacts.routes())
    app.add_routes(verify.routes())
    app.add_routes(pagerduty.routes())
    app.add_routes(twilio.routes())
    app.add_routes(console.routes())
    app.add_routes(console_actions.routes())
    if webhook is not None:
        app.router.add_post(WEBHOOK_PATH, webhook)
    return app


@web.middleware
async def _framed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as problems, security headers, and a line in the log that never holds a token."""
    if request.path == WEBHOOK_PATH and request.method == "POST":
        return await handler(request)
    begun = time.monotonic()
    response = await _safely(request, handler)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.app[PARTS].blind():
        response.headers["Responder-Store"] = "away"
    resource = request.match_info.route.resource
    log.debug(
        "served",
        method=request.method,
        route=resource.canonical if resource is not None else "none",
        status=response.status,
        took=round(time.monotonic() - begun, 4),
    )
    return response


async def _safely(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as error:
        return problem(error.status, error.detail, error.headers, **error.more)
    except StoreError as error:
        log.warning("the store does not answer", error=str(error))
        return problem(503, "the store is away; try again", RETRY_AFTER)
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        kept = {name: value for name, value in error.headers.items() if name == "Allow"}
        return problem(error.status, error.reason or "", kept)
    except (ConnectionResetError, web.RequestPayloadError):
        return problem(400, "the request broke off")
    except Exception:
        log.exception("request failed", method=request.method)
        return problem(500, "an error of our own; see the log")
