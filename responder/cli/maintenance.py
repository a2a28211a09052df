"""``responder maintenance``: windows in which paging is suppressed, from a terminal."""

from __future__ import annotations

import argparse
import json
from typing import Any
from urllib.parse import quote

from responder.cli.client import Client
from responder.cli.remote import me, subcommand, tell

_PATH = "/api/v1/maintenance"
#: Flag -> key of the body, and what it is.
_FLAGS = {
    "from": "begins (RFC 3339; default: now)",
    "to": "ends (RFC 3339)",
    "for": "how long, such as 2h; instead of --to",
    "starts": "the first of several: a time on the wall of --timezone, such as 2026-01-03T02:00",
    "every": "when it comes again, as an RRULE such as FREQ=WEEKLY;BYDAY=SA",
    "lasts": "how long each of several is, such as 2h",
    "timezone": "such as Europe/Berlin",
}


def add_parser(commands: Any) -> None:
    """Add the command."""
    maintenance = commands.add_parser("maintenance", help="windows in which paging is suppressed")
    below = maintenance.add_subparsers(dest="what", required=True, metavar="WHAT")
    add = subcommand(below, "add", add_window, "suppress paging for what matches")
    add.add_argument(
        "--match",
        action="append",
        default=[],
        metavar="MATCHER",
        help="such as 'cluster=\"eu\"'; all have to hold",
    )
    add.add_argument("--service", help="the same as --match 'service=\"SERVICE\"'")
    add.add_argument("--name", default="", help="what people see")
    for flag, text in _FLAGS.items():
        add.add_argument(f"--{flag}", dest=f"when_{flag}", help=text)
    add.add_argument("--by", default=me(), help="who says so (default: %(default)s)")
    add.add_argument("--note", default="", help="why")
    subcommand(below, "list", list_windows, "those that run, come, or ran lately; of the rule files too")
    subcommand(below, "end", end_window, "end one now, or take back one that is to come").add_argument("id")


def add_window(args: argparse.Namespace, client: Client) -> int:
    """Make a window."""
    matchers = [*args.match, *([f"service={json.dumps(args.service)}"] if args.service else [])]
    body: dict[str, Any] = {"name": args.name, "match": matchers, "by": args.by, "note": args.note}
    body |= {flag: value for flag in _FLAGS if (value := getattr(args, f"when_{flag}")) is not None}
    made = json.loads(client.call("POST", _PATH, body))
    return tell(args, made, _line(made))


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
    """End one."""
    client.call("DELETE", f"{_PATH}/{quote(args.id, safe='')}")
    return tell(args, {"ended": args.id}, "ended; what still fires is paged")
