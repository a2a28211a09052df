"""``/heartbeats/NAME``: a sign of life by a plain request, from whatever can make one (a cron job's ``curl``)."""

from __future__ import annotations

import msgspec
from aiohttp import web

from responder.web.auth import Role, token_of
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer
from responder.web.times import rfc3339


class BeatView(msgspec.Struct, frozen=True, kw_only=True):
    """The sign was taken; another must come by ``due_by``."""

    name: str
    due_by: str


def routes() -> list[web.RouteDef]:
    """GET counts as POST does, since that is what pings are made with; HEAD, which only asks, never counts."""
    path = "/heartbeats/{name:[A-Za-z0-9_.-]{1,64}}"
    return [web.post(path, beat), web.get(path, beat, allow_head=False)]


async def beat(request: web.Request) -> web.Response:
    """Take a sign of life; 200 once it is on disk."""
    _authorise(request)
    name = request.match_info["name"]
    due_by = await request.app[PARTS].beat(name)
    if due_by is None:
        raise ProblemError(404, f"no heartbeat {name} in the configuration")
    return answer(BeatView(name=name, due_by=rfc3339(due_by)))


def _authorise(request: web.Request) -> None:
    """The webhook's credentials, or a token that may change something; where the webhook is open, so is this.

    The header is all that counts: a session's cookie would let any page that a person looks at give signs of life.
    """
    parts = request.app[PARTS]
    try:
        if not parts.webhook.required or parts.webhook.match(request.headers.get("Authorization", "")):
            return
    except OSError:
        raise ProblemError(503, "the credentials cannot be read here; try again") from None
    found = token_of(request, parts.auth)
    if found is None:
        raise ProblemError(
            401, "credentials: missing or wrong", headers={"WWW-Authenticate": "Bearer, Basic"}
        )
    name, role = found
    if Role[role.upper()] < Role.RESPONDER:
        raise ProblemError(403, f"token {name} has the role {role}; this needs responder")
