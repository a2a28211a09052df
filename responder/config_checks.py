"""What is wrong with a configuration beyond its types, each with its key."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

from responder.addresses import UNREADABLE, base_objection, http_objection, parts_of
from responder.config import Config, HeartbeatConfig
from responder.config_ranges import range_problems
from responder.matchers import MatcherError, parse_matcher
from responder.secrets import Secret
from responder.targets.requests import header_problems

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_STORES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")
_DATABASES = ("postgresql", "postgres")
ROLES = ("viewer", "responder", "admin")


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
    if objection := http_objection(config.heartbeat_out.url.reveal()):
        yield "heartbeat_out.url", objection
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
    if not config.rules:
        yield (
            "rules",
            "expected at least one rule file or folder, such as rules/: without any, nobody is paged",
        )
    if objection := base_objection(config.external_url):
        yield "external_url", objection
    if config.redis and (objection := _of_scheme(config.redis.url, _STORES)):
        yield "redis.url", objection
    if config.alertmanager:
        if not config.alertmanager.urls:
            yield "alertmanager.urls", "expected at least one address such as http://alertmanager:9093"
        for number, url in enumerate(config.alertmanager.urls):
            if objection := base_objection(url):
                yield f"alertmanager.urls[{number}]", objection
    yield from _target_problems(config)
    yield from _auth_problems(config)
    yield from liveness_problems(config)
    yield from range_problems(config, whole=whole)
    if config.log_level not in {"debug", "info", "warning", "error"}:
        yield "log_level", f"expected debug, info, warning or error, got {config.log_level!r}"


def _target_problems(config: Config) -> Iterator[tuple[str, str]]:
    for kind in ("http", "prometheus", "superset", "supabase"):
        for name, target in getattr(config.targets, kind).items():
            if objection := base_objection(target.url):
                yield f"targets.{kind}.{name}.url", objection
            headers = {header: value.reveal() for header, value in getattr(target, "headers", {}).items()}
            for where, problem in header_problems(headers):
                yield f"targets.{kind}.{name}.headers{where}", problem
    for name, postgres in config.targets.postgres.items():
        if objection := _of_scheme(postgres.url, _DATABASES):
            yield f"targets.postgres.{name}.url", objection


def _of_scheme(url: Secret, schemes: Sequence[str]) -> str:
    """What is wrong with the address of a server that does not speak HTTP; nothing where it is well."""
    expected = " or ".join(f"{scheme}://" for scheme in schemes)
    parts = parts_of(url.reveal())
    if parts is None:
        return f"expected {expected}; {UNREADABLE}"
    return "" if parts.scheme in schemes else f"expected {expected}"


def _auth_problems(config: Config) -> Iterator[tuple[str, str]]:
    names = [token.name for token in config.auth.tokens]
    first: dict[str, int] = {}
    for number, token in enumerate(config.auth.tokens):
        if (same := first.setdefault(token.token.reveal(), number)) != number:
            text = f"{names[same]!r} and {token.name!r} have the same token: give each one of its own"
            yield f"auth.tokens[{number}].token", text
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
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
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
