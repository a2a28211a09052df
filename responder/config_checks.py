"""What is wrong with a configuration beyond its types: the sections about signs of life."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from responder.config import Config, HeartbeatConfig
from responder.matchers import MatcherError, parse_matcher

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECOND = timedelta(seconds=1)


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
    canary, out = config.canary, config.heartbeat_out
    if canary.every and not _SECOND <= canary.timeout <= canary.every:
        yield "canary", "timeout: expected at least 1s, and no more than every"
    if out is None:
        return
    if not is_http(out.url.reveal()):
        yield "heartbeat_out.url", "expected http://host or https://host"
    if not _SECOND <= out.timeout <= out.every:
        yield "heartbeat_out", "timeout: expected at least 1s, and no more than every"
    if not canary.every:
        yield "heartbeat_out", "it waits for the canary, which canary.every: 0s switches off"


def _heartbeat_problems(one: HeartbeatConfig) -> Iterator[str]:
    if not NAME.fullmatch(one.name):
        yield f"name: expected 1 to 64 letters, digits, '.', '_' or '-', got {one.name!r}"
    if one.every < _SECOND:
        yield "every: expected at least 1s"
    matchers = []
    for number, text in enumerate(one.match):
        try:
            matchers.append(parse_matcher(text))
        except MatcherError as error:
            yield f"match[{number}]: {error}"
    if one.match and len(matchers) == len(one.match) and all(matcher.matches({}) for matcher in matchers):
        yield "match: would take every alert without such labels; name a label that the heartbeat has"
