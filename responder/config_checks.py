"""What is wrong with a configuration beyond its types, each with its key."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from responder.config import Config, HeartbeatConfig
from responder.config_ranges import range_problems
from responder.matchers import MatcherError, parse_matcher

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_STORES = frozenset({"redis", "rediss", "unix", "redis+sentinel", "redis+cluster"})
ROLES = ("viewer", "responder", "admin")


def is_http(url: str) -> bool:
    """Whether a text is an address that can be fetched."""
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def liveness_problems(config: Config) -> Iterator[tuple[str, str]]:
    """Every problem of ``heartbeats``, ``heartbeat_out`` and ``canary``, with its key."""
    names = [one.name for one in config.heartbeats]
    for name in sorted({one for one in names if names.count(one) > 1}):
        yield "heartbeats", f"name {name!r} stands twice"
    for number, one in enumerate(config.heartbeats):
        for problem in _heartbeat_problems(one):
            yield f"heartbeats[{number}]", problem
    if config.heartbeat_out is None:
        return
    if not is_http(config.heartbeat_out.url.reveal()):
        yield "heartbeat_out.url", "expected http://host or https://host"
    if not config.canary.every:
        yield "heartbeat_out", "it waits for the canary, which canary.every: 0s switches off"


def _heartbeat_problems(one: HeartbeatConfig) -> Iterator[str]:
    if not NAME.fullmatch(one.name):
        yield f"name: expected 1 to 64 letters, digits, '.', '_' or '-', got {one.name!r}"
    matchers = []
    for number, text in enumerate(one.match):
        try:
            matchers.append(parse_matcher(text))
        except MatcherError as error:
            yield f"match[{number}]: {error}"
    if one.match and len(matchers) == len(one.match) and all(matcher.matches({}) for matcher in matchers):
        yield "match: would take every alert without such labels; name a label that the heartbeat has"


def problems_of(config: Config, *, whole: bool = True) -> Iterator[tuple[str, str]]:
    """Every problem with its key, such as ``targets.http.api.url`` or ``auth.tokens[2].role``.

    Where sections could not be read the configuration is not ``whole``, and what depends on two of them is not judged.
    """
    if not NAME.fullmatch(config.name):
        yield "name", "expected 1 to 64 letters, digits, '.', '_' or '-'"
    yield from _listen_problems(config)
    if not is_http(config.external_url):
        yield "external_url", f"expected http://host or https://host, got {config.external_url!r}"
    if config.redis and urlsplit(config.redis.url.reveal()).scheme not in _STORES:
        yield "redis.url", f"expected one of {', '.join(f'{scheme}://' for scheme in sorted(_STORES))}"
    if config.alertmanager:
        for url in config.alertmanager.urls or ("",):
            if not is_http(url):
                shown = url.rpartition("@")[2]  # what is before it may be a password
                yield "alertmanager.urls", f"expected http://host or https://host, got {shown!r}"
    yield from _target_problems(config)
    yield from _auth_problems(config)
    yield from liveness_problems(config)
    yield from range_problems(config, whole=whole)
    if config.log_level not in {"debug", "info", "warning", "error"}:
        yield "log_level", f"expected debug, info, warning or error, got {config.log_level!r}"


def _target_problems(config: Config) -> Iterator[tuple[str, str]]:
    for kind in ("http", "prometheus", "superset", "supabase"):
        for name, target in getattr(config.targets, kind).items():
            if not is_http(target.url):
                yield (
                    f"targets.{kind}.{name}.url",
                    f"expected http://host or https://host, got {target.url!r}",
                )
            elif not {"?", "#"}.isdisjoint(target.url):
                yield (
                    f"targets.{kind}.{name}.url",
                    "expected an address without ? and #: paths are put behind it; what is secret goes into headers",
                )
    for name, postgres in config.targets.postgres.items():
        if urlsplit(postgres.url.reveal()).scheme not in {"postgres", "postgresql"}:
            yield f"targets.postgres.{name}.url", "expected postgresql://…"


def _auth_problems(config: Config) -> Iterator[tuple[str, str]]:
    names = [token.name for token in config.auth.tokens]
    for number, token in enumerate(config.auth.tokens):
        if token.name in names[:number]:
            yield f"auth.tokens[{number}]", f"token name {token.name!r} stands twice"
        if token.role not in ROLES:
            text = f"{token.name}: expected role viewer, responder or admin, got {token.role!r}"
            yield f"auth.tokens[{number}].role", text
    for number, person in enumerate(config.auth.people):
        if person.role not in ROLES:
            text = f"{person.name}: expected role viewer, responder or admin, got {person.role!r}"
            yield f"auth.people[{number}].role", text
        if not re.fullmatch(r"[UW][A-Z0-9]{2,30}", person.slack):
            text = f"{person.name}: expected a user id such as U0123456, got {person.slack!r}"
            yield f"auth.people[{number}].slack", text


def _listen_problems(config: Config) -> Iterator[tuple[str, str]]:
    host, _, port = config.listen.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        yield "listen", f"expected host:port such as 127.0.0.1:8080, got {config.listen!r}"
        return
    webhook = config.auth.webhook
    if is_loopback(host) or webhook.bearer_token or webhook.basic or config.auth.allow_anonymous_webhook:
        return
    yield (
        "listen",
        (
            f"{config.listen} is reachable from elsewhere and anybody could post alerts: set auth.webhook.bearer_token "
            "(or basic), or auth.allow_anonymous_webhook: true where that is meant"
        ),
    )


def is_loopback(host: str) -> bool:
    """Whether a host of ``listen`` can be reached from this machine only."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
