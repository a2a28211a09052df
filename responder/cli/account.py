"""``responder explain --alert``: what became of an alert, in words."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from responder.cli.client import Client
from responder.cli.remote import tell


def show_account(args: argparse.Namespace, client: Client) -> int:
    """Ask the daemon and print it."""
    found = client.get(f"/api/v1/alerts/{quote(args.alert, safe='')}/explain")
    return tell(args, found, "\n".join(_lines(found)))


def _lines(found: Any) -> Iterator[str]:
    labels = ", ".join(f"{name}={value!r}" for name, value in found["labels"].items())
    yield f"alert     {found['fingerprint']}  {labels or '(its labels are not kept)'}"
    yield f"status    {found['status']} since {_time(found['since'])}"
    yield "came"
    for one in found["outcomes"]:
        about = f"  (incident {one['incident']})" if one["incident"] else ""
        yield f"  {_time(one['at'])}  {one['text']}{about}"
    yield from (f"note      {remark}" for remark in found["remarks"])
    if found["incident"]:
        yield from _incident_lines(found)
    now = found["rules_now"]
    if now and not now.get("heartbeats"):
        yield f"rules     in force now: {now['rule']} ({now['severity']}, service {now['service']})"
        yield from (f"  {passed['rule']}: {passed['because']}" for passed in now["passed"])


def _incident_lines(found: Any) -> Iterator[str]:
    incident = found["incident"]
    yield f"incident  {incident['id']}  {incident['severity']}  {incident['state']}  {incident['title']}"
    yield f"  rule {incident['rule']}, key {incident['key']}, service {incident['service']}"
    for one in found["suppressed"]:
        what = "digest   " if one["by"] == "bundling" else "held back"
        yield f"{what} {one['text']} ({'over' if one['over'] else 'still holds'})"
    yield "paged"
    for one in found["paged"]:
        error = f": {one['error']}" if one["error"] else ""
        yield f"  {_time(one['at'])}  {one['level']} {one['to']} over {one['channel']}: {page_words(one)}{error}"
    if not found["paged"]:
        yield "  nobody"
    yield from (
        f"not paged {one['level']} {one['to'] or '(nobody)'}: {one['why']}" for one in found["not_paged"]
    )


def page_words(page: Any) -> str:
    """What became of a page, for people."""
    if page["told_in"]:
        return f"told in the digest of incident {page['told_in']}"
    listed_in = page.get("listed_in")  # a daemon of an earlier version has none
    return f"told in the list of incident {listed_in}" if listed_in else str(page["status"])


def _time(text: str) -> str:
    return f"{text[:10]} {text[11:19]}Z"
