"""``/verify/{token}``: the owner of an address confirms that a channel reaches them. GET shows, POST confirms."""

from __future__ import annotations

from aiohttp import web

from responder.signing import AckClaim, BadTokenError, ExpiredTokenError
from responder.store.verified import Reach
from responder.web.ack import private
from responder.web.pages import page
from responder.web.parts import PARTS


def routes() -> list[web.RouteDef]:
    """The two forms of the link."""
    return [web.get("/verify/{token}", show), web.post("/verify/{token}", confirmed)]


async def show(request: web.Request) -> web.Response:
    """What would be confirmed, and a button: link previews fetch this, and it changes nothing."""
    return await _answered(request, done=False)


async def confirmed(request: web.Request) -> web.Response:
    """It reaches them."""
    return await _answered(request, done=True)


async def _answered(request: web.Request, *, done: bool) -> web.Response:
    token = request.match_info["token"]
    try:
        reach = await confirm(request, token) if done else reach_of(_claim(request, token))
    except ExpiredTokenError:
        return private(page("message.html", 410, title="This link has expired", text="Ask for another one."))
    except BadTokenError:
        return private(page("message.html", 404, title="Not found", text="This is no link of ours."))
    return private(page("verify.html", reach=reach, done=done))


async def confirm(request: web.Request, token: str) -> Reach:
    """Record that the address of a token was reached.

    Raises:
        BadTokenError: for anything that we did not sign, or whose time is over.
        StoreError: where the store is away.
    """
    reach = reach_of(_claim(request, token))
    await request.app[PARTS].verified.record(reach, request.app[PARTS].clock.now())
    return reach


def _claim(request: web.Request, token: str) -> AckClaim:
    parts = request.app[PARTS]
    return parts.tokens.for_purpose("verify").read(token, parts.clock.now())


def subject_of(reach: Reach) -> str:
    """What a token says of a reach beside the contact."""
    return f"{reach.channel} {reach.address}"


def reach_of(claim: AckClaim) -> Reach:
    """What the token of a link is about."""
    channel, _, address = claim.subject.partition(" ")
    return Reach(contact=claim.contact, channel=channel, address=address)
