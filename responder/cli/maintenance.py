"""``responder maintenance``: windows in which paging is suppressed, from a terminal."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any
from urllib.parse import quote

from responder.cli.client import Client, clean
from responder.cli.remote import add_author, group, identifier, misused, subcommand, tell

_PATH = "/api/v1/maintenance"
#: Flag -> how it is shown, and what it is. It is a key of the body.
_FLAGS = {
    "from": ("TIME", "begins (default: now)"),
    "to": ("TIME", "ends; or give --for"),
    "for": ("DURATION", "how long, such as 90m or 2h; at most 31d"),
    "starts": ("TIME", "the first of several, on the wall of --timezone, such as 2026-01-03T02:00"),
    "every": ("RRULE", "when it comes again, such as FREQ=WEEKLY;BYDAY=SA"),
    "lasts": ("DURATION", "how long each of several is, such as 2h; at most 7d"),
    "timezone": ("ZONE", "such as Europe/Berlin; for times without an offset"),
}
_ADD = """
Suppress paging for what matches, now or later, once or again and again. A TIME is RFC 3339, such as
2026-12-24T22:00:00+01:00, or without the offset where --timezone says whose clock it is.

  responder maintenance add --service database --for 2h --note "new disks"
  responder maintenance add --match 'cluster="eu"' --from 2026-12-24T22:00:00Z --to 2026-12-25T02:00:00Z
  responder maintenance add --match 'cluster="eu"' --starts 2026-01-03T02:00 --timezone Asia/Manila \\
      --every "FREQ=WEEKLY;BYDAY=SA" --lasts 2h

Asked for again while it is not over, with the same name, matchers and author, it goes on until the later end.
"""
_LIST = "Windows that run, come, or were over within the last week; those of the rule files too."
_END = "End a window now, or take back one that is to come. Those of the rule files are ended there."
_OTHERS_SHOWN = 5


def add_parser(commands: Any) -> None:
    """Add the command."""
    below = group(commands, "maintenance", "windows in which paging is suppressed: add, list, end")
    add = subcommand(below, "add", add_window, "suppress paging for what matches", _ADD)
    add.add_argument(
        "--match",
        action="append",
        default=[],
        metavar="MATCHER",
        help="such as 'cluster=\"eu\"', as in Alertmanager (=, !=, =~, !~); may be repeated: all have to hold",
    )
    add.add_argument("--service", help="the same as --match 'service=\"SERVICE\"': the incident's service")
    add.add_argument("--name", default="", help='what people see (default: "maintenance")')
    for flag, (shown, text) in _FLAGS.items():
        add.add_argument(f"--{flag}", dest=f"when_{flag}", metavar=shown, help=text)
    add_author(add)
    add.add_argument("--note", default="", metavar="TEXT", help="why; people see it")
    subcommand(below, "list", list_windows, "what runs, comes, or was over lately", _LIST)
    end = subcommand(below, "end", end_window, "end one now, or take back one that is to come", _END)
    end.add_argument("id", metavar="ID", type=identifier, help="as `responder maintenance list` shows it")


def add_window(args: argparse.Namespace, client: Client) -> int:
    """Make a window."""
    matchers = [*args.match, *([f"service={json.dumps(args.service)}"] if args.service else [])]
    given = {flag: value for flag in _FLAGS if (value := getattr(args, f"when_{flag}")) is not None}
    if not matchers:
        return misused(
            "maintenance add", "what to suppress paging for: give --service SERVICE, or --match MATCHER"
        )
    if not given.keys() - {"from", "timezone"}:
        return misused(
            "maintenance add", "how long: give --for DURATION, or --to TIME (see --help for what comes again)"
        )
    body = {"name": args.name, "match": matchers, "by": args.by, "note": args.note, **given}
    made = client.change("POST", _PATH, body)
    for warning in made["warnings"]:
        print(clean(f"responder: {warning}: does it hold back what it should?"), file=sys.stderr)
    return tell(args, made, f"{_line(made)}{_BECAME.get(made['outcome'], '')}")


_BECAME = {
    "extended": "\nthere was this window already: it goes on until then now",
    "known": "\nthere was this window already, and it lasts as long",
    "repeated": "\nit was made before, by the same request",
}


def list_windows(args: argparse.Namespace, client: Client) -> int:
    """All of them as a table."""
    found = client.get(_PATH)
    return tell(args, found, "\n".join(map(_line, found["maintenance"])) or "no maintenance windows")


def _line(one: Any) -> str:
    if one["running"]:
        when = f"until {one['running']['to'][:16]}Z"
    elif one["next"]:
        when = f"from {one['next']['from'][:16]}Z to {one['next']['to'][:16]}Z"
    else:
        when = "over"
    again = f", {one['every']} for {one['lasts']} ({one['timezone']})" if one["every"] else ""
    why = "".join(f"  {one[key]}" for key in ("by", "note") if one[key])
    return f"{one['id'] or 'rule files':<16}  {one['name']}: {', '.join(one['match'])}  {when}{again}{why}"


def end_window(args: argparse.Namespace, client: Client) -> int:
    """End one, and say what that means."""
    known = {one["id"]: one for one in client.get(_PATH)["maintenance"]}
    window = known.get(args.id)
    client.call("DELETE", f"{_PATH}/{quote(args.id, safe='')}")
    others = [one for one in client.get(_PATH)["maintenance"] if one["running"]]
    return tell(args, {"ended": args.id}, "\n".join([_ended(window), *_still(others)]))


def _ended(window: Any) -> str:
    if window is not None and not window["running"]:
        return "taken back: it had not begun" if window["next"] else "taken off the list: it was over already"
    return "ended: what still fires is paged now, except for what something else holds back"


def _still(others: list[Any]) -> list[str]:
    """Other windows that run: they may concern the same."""
    if not others:
        return []
    more = [f"and {len(others) - _OTHERS_SHOWN} more"] if len(others) > _OTHERS_SHOWN else []
    return ["other windows that run:", *map(_line, others[:_OTHERS_SHOWN]), *more]
