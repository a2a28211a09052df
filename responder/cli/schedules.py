"""``responder oncall`` and ``responder schedule``: who is on call now and in the coming weeks, and who stands in."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from responder.cli.client import CallError, Client, default_url
from responder.cli.offline import known, now
from responder.cli.remote import add_author, add_looking, looked_at, misused, tell
from responder.durations import format_duration
from responder.registry import did_you_mean
from responder.web.oncall import on_call_view, weeks_view

_KNOWS = "which knows overrides, swaps and calendar feeds"
#: What ``responder schedule`` does besides showing; a schedule of such a name is shown by the API.
_VERBS = {"override": ("who", "start", "end"), "swap": ("between", "start", "end"), "remove": ()}
_FLAGS = {"who": "--who", "between": "--between", "start": "--from", "end": "--to"}
_SCHEDULE_USAGE = """responder schedule [NAME ...] [--weeks N] [--at TIME] [--config FILE | --url URL] [--json]
       responder schedule override NAME --who NAME ... --from TIME --to TIME [--note TEXT] [--url URL]
       responder schedule swap NAME --between NAME NAME --from TIME --to TIME [--note TEXT] [--url URL]
       responder schedule remove ID [--url URL]"""


_ONCALL = (
    "Who is on call for each service and level, now or at a time. From the configuration and the rule files; with --url "
    "(or RESPONDER_URL) from a running daemon, which also knows what people changed."
)
_SCHEDULE = """
Show the coming weeks of schedules with their gaps, or change who is on call: override puts somebody else there for a
while, swap lets two take each other's turns, remove takes such a change back by its ID. Showing answers from the files,
or from the daemon with --url (or RESPONDER_URL); changing always goes to the daemon.

  responder schedule dbteam --weeks 2 --url http://127.0.0.1:8080
  responder schedule override dbteam --who ben --from "2026-12-24 09:00" --to "2026-12-26 09:00" --note holiday
  responder schedule swap dbteam --between ana ben --from "2026-12-24 09:00" --to "2026-12-26 09:00"
  responder schedule remove 1b6c1f0a77a3d1f2
""".strip()


def add_parser(commands: Any) -> None:
    """Add both commands."""
    oncall = commands.add_parser("oncall", help="who is on call, by service and level", description=_ONCALL)
    add_looking(oncall, _KNOWS)
    oncall.set_defaults(run=lambda args: _run(args, show_on_call))
    schedule = commands.add_parser(
        "schedule",
        help="the coming weeks with their gaps; overrides and swaps",
        usage=_SCHEDULE_USAGE,
        description=_SCHEDULE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    schedule.add_argument(
        "words",
        nargs="*",
        metavar="NAME",
        help="the schedules to show (default: all); or a verb and what it takes",
    )
    add_looking(schedule, _KNOWS)
    schedule.add_argument("--weeks", type=_weeks, default=4, metavar="N", help="how far to look (default: 4)")
    schedule.add_argument("--who", nargs="+", metavar="NAME", help="override: who is on call instead")
    schedule.add_argument(
        "--between", nargs=2, metavar="NAME", help="swap: the two who take each other's turns"
    )
    text = "override, swap: RFC 3339, or 2026-12-24 09:00 on the schedule's wall"
    schedule.add_argument("--from", dest="start", metavar="TIME", help=text)
    schedule.add_argument("--to", dest="end", metavar="TIME", help=text)
    add_author(schedule)
    schedule.add_argument("--note", default="", metavar="TEXT", help="why")
    schedule.set_defaults(run=lambda args: _run(args, schedules))


def _weeks(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= 52:
        raise argparse.ArgumentTypeError(f"expected 1 to 52 weeks, got {text!r}")
    return int(text)


def _run(args: argparse.Namespace, handler: Any) -> int:
    args.url = looked_at(args)
    try:
        code: int = handler(args)
    except CallError as error:
        print(f"responder: {error}", file=sys.stderr)
        return 1
    return code


def show_on_call(args: argparse.Namespace) -> int:
    """Each service with the people of each level."""
    if args.url:
        answer = Client(args.url, args.token).get("/api/v1/oncall", at=_rfc3339(args.at))
    else:
        found = known(args.config, args.at)
        if found is None:
            return 1
        view = on_call_view(found.rules.rows, found.roster, args.at or now())
        answer = msgspec.to_builtins(view)
    return tell(args, answer, "\n".join(_on_call_lines(answer)))


def _on_call_lines(answer: Any) -> Iterator[str]:
    yield f"on call at {answer['at']}"
    for row in answer["oncall"]:
        for number, one in enumerate(row["levels"]):
            people = ", ".join(one["people"]) or ("UNKNOWN" if one["why"] == "unknown" else "NOBODY")
            behind = (
                people
                if one["why"] == "always" and people == one["contact"]
                else f"{one['contact']}: {people}"
            )
            yield f"{'' if number else row['service']:<20} {one['level']:<10} {behind}"


def schedules(args: argparse.Namespace) -> int:
    """Show the coming weeks, or change them."""
    verb = args.words[0] if args.words else ""
    if verb in _VERBS:
        return _change(args, verb)
    given = [_FLAGS[name] for name in _FLAGS if getattr(args, name) is not None]
    if given:
        return _misused(f"{given[0]} goes with override or swap, such as: responder schedule override NAME …")
    start = args.at or now()
    end = start + timedelta(weeks=args.weeks)
    weeks = _weeks_of(args, start, end)
    if weeks is None:
        return 1
    text = "\n\n".join("\n".join(_week_lines(one)) for one in weeks)
    return tell(args, {"schedules": weeks}, text or "no schedules")


def _weeks_of(args: argparse.Namespace, start: datetime, end: datetime) -> list[Any] | None:
    """From the daemon, or from the files; ``None`` after what is wrong was told."""
    if args.url:
        client = Client(args.url, args.token)
        names = args.words or [one["name"] for one in client.get("/api/v1/schedules")["schedules"]]
        span = {"from": _rfc3339(start), "to": _rfc3339(end)}
        return [client.get(f"/api/v1/schedules/{quote(name, safe='')}", **span) for name in names]
    found = known(args.config, start)
    if found is None:
        return None
    names = args.words or sorted(found.roster.schedules)
    unknown = [name for name in names if name not in found.roster.schedules]
    if unknown:
        hint = did_you_mean(unknown[0], found.roster.schedules)
        print(f"responder schedule: no schedule {unknown[0]!r}{hint}", file=sys.stderr)
        return None
    return [msgspec.to_builtins(weeks_view(found.roster, name, start, end)) for name in names]


def _week_lines(weeks: Any) -> Iterator[str]:
    zone = ZoneInfo(weeks["timezone"])
    yield f"{weeks['name']} ({weeks['timezone']})"
    for span in weeks["spans"]:
        start, end = (datetime.fromisoformat(span[key]) for key in ("from", "to"))
        when = f"{start.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"
        yield f"  {when:<26} {format_duration(end - start):<12} {_who(span)}".rstrip()


def _who(span: Any) -> str:
    if not span["people"]:
        return "UNKNOWN: the calendar does not say" if span["why"] == "unknown" else "GAP: nobody is on call"
    people = ", ".join(span["people"])
    if span["why"] in ("override", "swap"):
        return f"{people:<24} {span['why']}" + (
            f": {span['layer']}" if span["why"] == "override" and span["layer"] else ""
        )
    return f"{people:<24} {span['layer']}" if span["layer"] not in ("", "rotation", "calendar") else people


def _change(args: argparse.Namespace, verb: str) -> int:
    """Override, swap, remove."""
    rest = args.words[1:]
    missing = [_FLAGS[name] for name in _VERBS[verb] if getattr(args, name) is None]
    stray = [_FLAGS[name] for name in _FLAGS if getattr(args, name) is not None and name not in _VERBS[verb]]
    if len(rest) != 1:
        return _misused(f"{verb}: expected one {'ID' if verb == 'remove' else 'schedule'}")
    if missing or stray:
        return _misused(
            f"{verb}: {'missing ' + missing[0] if missing else stray[0] + ' does not go with it'}"
        )
    client = Client(args.url or default_url(), args.token)
    if verb == "remove":
        return _remove(args, client, rest[0])
    body = {"from": args.start, "to": args.end, "by": args.by, "note": args.note}
    body |= {"who": args.who} if verb == "override" else {"between": args.between}
    path = f"/api/v1/schedules/{quote(rest[0], safe='')}/{'overrides' if verb == 'override' else 'swaps'}"
    made = json.loads(client.call("POST", path, body))
    joined = (" and " if verb == "swap" else ", ").join(made["who"])
    return tell(
        args, made, f"{made['id']}  {made['schedule']}: {verb} {made['from']} to {made['to']}: {joined}"
    )


def _remove(args: argparse.Namespace, client: Client, change: str) -> int:
    for schedule in client.get("/api/v1/schedules")["schedules"]:
        if any(one["id"] == change for one in schedule["overrides"]):
            client.call("DELETE", f"/api/v1/schedules/{quote(schedule['name'], safe='')}/overrides/{change}")
            return tell(args, {"removed": change}, f"removed from {schedule['name']}")
    raise CallError(f"no override or swap {change}")


def _misused(text: str) -> int:
    return misused("schedule", f"{text}\nusage: {_SCHEDULE_USAGE}")


def _rfc3339(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
