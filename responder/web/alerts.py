"""What became of an alert: ``/api/v1/alerts/{fingerprint}/explain``, and the same as a page of the console."""

from __future__ import annotations

import msgspec
from aiohttp import web

from responder.incident.account import Account, Happened, Suppression, Told
from responder.incident.opening import LABELS_LIMIT
from responder.incident.severity import Level, Severity
from responder.incident.state import Incident, StateName
from responder.rules.explain import Explanation, sign_words
from responder.text import one_line
from responder.web import session
from responder.web.auth import Role, authorise, requires
from responder.web.pages import page
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer
from responder.web.times import rfc3339, rfc3339_or_none


class OutcomeView(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook did with the alert; ``became`` is one of a closed set, ``text`` says it to people."""

    at: str
    became: str
    text: str
    incident: str | None


class SuppressionView(msgspec.Struct, frozen=True, kw_only=True):
    """What held pages back; ``by`` names whose configuration it is."""

    text: str
    by: str | None
    kind: str | None
    since: str | None
    until: str | None
    over: bool


class ToldView(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the incident, and what became of it.

    ``told_in`` is the incident whose digest told of it instead; ``listed_in`` the one whose page told of it in its list.
    """

    at: str
    level: Level
    to: str
    channel: str
    status: str
    episode: int
    told_in: str | None
    listed_in: str | None
    error: str | None


class SparedView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody of the matrix who was not paged, and why not; ``to`` is null where the row names nobody."""

    level: Level
    to: str | None
    why: str


class AccountIncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """The incident that the alert belongs to."""

    id: str
    title: str
    severity: Severity
    service: str
    state: StateName
    rule: str
    key: str
    opened_at: str
    url: str


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an alert, and ``rules_now``: what the rules in force would do with it.

    ``outcomes`` are the latest ones (at most eight), oldest first. ``repeats`` counts the minutes in which a copy came
    that changed nothing, ``heard_at`` is when it was last heard and counted. ``incident`` is null where there is none,
    ``rules_now`` where the labels are not kept, and for alerts of our own, for which no rule is asked.
    """

    fingerprint: str
    status: str
    labels: dict[str, str]
    since: str
    heard_at: str | None
    repeats: int
    outcomes: tuple[OutcomeView, ...]
    incident: AccountIncidentView | None
    suppressed: tuple[SuppressionView, ...]
    paged: tuple[ToldView, ...]
    not_paged: tuple[SparedView, ...]
    remarks: tuple[str, ...]
    rules_now: Explanation | None


def routes() -> list[web.RouteDef]:
    """The address for programs and the one for people."""
    return [
        web.get("/api/v1/alerts/{fingerprint:[0-9a-f]{16}}/explain", explain),
        web.get("/alerts/{fingerprint:[0-9a-f]{16}}", show),
    ]


@requires(Role.VIEWER)
async def explain(request: web.Request) -> web.Response:
    """What became of an alert."""
    return answer(await _view(request))


async def show(request: web.Request) -> web.Response:
    """The same for people."""
    try:
        authorise(request, Role.VIEWER)
    except ProblemError:
        raise web.HTTPSeeOther(session.login_address(request.path)) from None
    now = request.app[PARTS].clock.now()
    try:
        return page("alert.html", view=await _view(request), now=now)
    except ProblemError as error:
        return page("message.html", error.status, title="Not found", text=error.detail)


async def _view(request: web.Request) -> AccountView:
    parts, fingerprint = request.app[PARTS], request.match_info["fingerprint"]
    found = await parts.desk.account(fingerprint)
    if found is None:
        raise ProblemError(
            404,
            f"nothing is known of alert {fingerprint}: it was not accepted, or longer ago than is kept; or it is a sign of "
            "life (heartbeats), of which nothing is recorded: `responder explain label=value` says whether it is",
        )
    history = found.history
    asked = await parts.explain(history.labels) if history.labels and not history.own else None
    return view(found, parts.external_url, asked)


def view(found: Account, external_url: str, rules_now: Explanation | None) -> AccountView:
    """The account as the API shows it."""
    history = found.history
    signs = rules_now.heartbeats if rules_now else ()
    return AccountView(
        fingerprint=history.fingerprint,
        status=history.status,
        labels={
            one_line(name, 200): one_line(value, 500)
            for name, value in sorted(history.labels.items())[:LABELS_LIMIT]
        },
        since=rfc3339(history.since),
        heard_at=rfc3339_or_none(history.heard_at),
        repeats=history.repeats,
        outcomes=tuple(_outcome(one) for one in history.outcomes),
        incident=_incident(found.incident, external_url) if found.incident else None,
        suppressed=tuple(_suppression(one) for one in found.suppressed),
        paged=tuple(_told(one) for one in found.paged),
        not_paged=tuple(
            SparedView(level=one.level, to=one.contact or None, why=one.why) for one in found.spared
        ),
        remarks=(*found.remarks, *(f"from now on it is {sign_words(one)}" for one in signs)),
        rules_now=rules_now,
    )


def _outcome(one: Happened) -> OutcomeView:
    return OutcomeView(
        at=rfc3339(one.at),
        became=one.became.name.lower(),
        text=str(one.became),
        incident=one.incident or None,
    )


def _suppression(one: Suppression) -> SuppressionView:
    return SuppressionView(
        text=one.text,
        by=one.by or None,
        kind=str(one.kind) if one.kind is not None else None,
        since=rfc3339_or_none(one.since),
        until=rfc3339_or_none(one.until),
        over=one.over,
    )


def _told(one: Told) -> ToldView:
    return ToldView(
        at=rfc3339(one.at),
        level=one.level,
        to=one.contact,
        channel=one.channel,
        status=str(one.status),
        episode=one.episode,
        told_in=one.told_in or None,
        listed_in=one.listed_in or None,
        error=one.error or None,
    )


def _incident(incident: Incident, external_url: str) -> AccountIncidentView:
    return AccountIncidentView(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        service=incident.service,
        state=incident.state_name,
        rule=incident.rule,
        key=incident.key,
        opened_at=rfc3339(incident.opened_at),
        url=f"{external_url.rstrip('/')}/incidents/{incident.id}",
    )
