"""``responder actions`` and ``responder audit``: guarded fixes from a terminal."""

from __future__ import annotations

import argparse
import json
import re
import time
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from responder.cli.client import CallError, Client
from responder.cli.remote import add_author, group, identifier, subcommand, tell
from responder.durations import format_duration, parse_duration
from responder.incident.audit import AuditPage, Elsewhere, Line, UnreadableEntry, verify

_SWITCH = "/api/v1/actions/kill-switch"
_HASH = re.compile("[0-9a-f]{64}")

_LOOK_EVERY = 0.5  # seconds
_LONGEST_WAIT = timedelta(hours=1)
#: A run that is being verified was performed.
_GOOD = frozenset({"rehearsed", "effective", "verifying"})
_SAYS = {
    "requested": "asked for; whether it has begun is not known yet",
    "verifying": "performed; whether it helps is still being looked at",
    "rehearsed": "rehearsed, nothing was changed",
    "effective": "performed, and it helped",
    "ineffective": "performed, and it did not help",
    "unknown": "it is not known what came of it",
}


_RUN = """
Have an action done for an incident, rehearsed (--dry-run) or taken back (--undo), and wait for what comes of it. Exits
with 1 where it was refused, failed, did not help or is not over.
"""


_VERIFY = """
Walk the chain of hashes, and exit with 1 where an entry was changed, put in or taken out, or a line cannot be read. The
newest hash and the number of entries that are kept, as the daemon tells them, show what is missing at the end and at
the beginning. A chain that was made anew as a whole, or emptied with its newest hash, shows only with --head: the hash
of any entry, as it stands in the daemon's log. Where that is none of the entries that are kept, it exits with 1.
"""


def _hash(text: str) -> str:
    found = text.strip().lower()
    if not _HASH.fullmatch(found):
        raise argparse.ArgumentTypeError(
            f"expected 64 hex digits, as the log and `verify` show them, got {text!r}"
        )
    return found


def _wait(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found > _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"expected at most {format_duration(_LONGEST_WAIT)}, got {text!r}")
    return found


def add_parser(commands: Any) -> None:
    """Add both commands."""
    below = group(commands, "actions", "guarded fixes: list, run, rehearse, undo, switch off and on")
    subcommand(
        below, "list", list_actions, "the actions of the rules in force, and whether they are switched off"
    )
    run = subcommand(
        below, "run", run_action, "have an action done, rehearsed or undone for an incident", _RUN
    )
    run.add_argument(
        "incident",
        metavar="INCIDENT",
        type=identifier,
        help="16 hex digits, as `responder incidents list` shows them",
    )
    run.add_argument("name", metavar="NAME", help="the action, as `responder actions list` shows it")
    run.add_argument(
        "--wait",
        type=_wait,
        default=timedelta(minutes=1),
        metavar="DURATION",
        help="how long to wait for what comes of it; 0s: not at all (default: 1m)",
    )
    how = run.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="go through every gate, change nothing")
    how.add_argument("--undo", action="store_true", help="take back the last run")
    off = subcommand(below, "stop", switch, "switch every action off at once, on every replica")
    on = subcommand(below, "start", switch, "switch actions on again (needs the role admin)")
    for command in (run, off, on):
        add_author(command)
        command.add_argument("--note", default="", metavar="TEXT", help="why")
    kept = group(commands, "audit", "what was done to targets: list it, verify that nobody changed it")
    listing = subcommand(
        kept, "list", list_audit, "who wanted what, what was done, what came of it; oldest first"
    )
    listing.add_argument(
        "--after", type=int, default=0, metavar="NUMBER", help="only entries after this one (default: all)"
    )
    check = subcommand(
        kept,
        "verify",
        verify_audit,
        "walk the chain of hashes; exit 1 where it is broken or incomplete",
        _VERIFY,
    )
    check.add_argument(
        "--head", type=_hash, metavar="HASH",
        help="the hash of an entry as you have it, from the daemon's log or an earlier `verify`: whether it is in the chain",
    )  # fmt: skip


def list_actions(args: argparse.Namespace, client: Client) -> int:
    """Names, types, targets, and whether they are switched off."""
    answer = client.get("/api/v1/actions")
    lines = [
        f"{one['name']:<32} {one['type']:<28} {one['target']:<12} {one['approval']}"
        for one in answer["actions"]
    ]
    return tell(args, answer, "\n".join([*lines, _switched(answer["kill_switch"])]))


def _switched(switch: Any) -> str:
    if not switch["engaged"]:
        return "actions are on"
    note = f": {switch['note']}" if switch["note"] else ""
    return f"actions were switched off by {switch['by']} at {switch['at'][:19]}Z{note}"


def run_action(args: argparse.Namespace, client: Client) -> int:
    """Ask for it, and wait for what comes of it: 1 where it was refused, failed, did not help, or is not over."""
    incident = f"/api/v1/incidents/{quote(args.incident, safe='')}"
    before = client.get(incident) if args.wait else None
    body = {"by": args.by, "note": args.note, "dry_run": args.dry_run, "undo": args.undo}
    answer = client.change("POST", f"{incident}/actions/{quote(args.name, safe='')}", body)
    see = f"see: responder incidents show {args.incident}"
    if before is None:
        return tell(args, answer, f"asked for; {see}")
    end = time.monotonic() + args.wait / timedelta(seconds=1)
    found = None
    while not (found := _run_of(args.name, before, client.get(incident)) or found) or not _over(found):
        if time.monotonic() >= end:
            break
        time.sleep(_LOOK_EVERY)
    if found is None:
        raise CallError(f"{args.name}: asked for, and not begun after {format_duration(args.wait)}; {see}")
    tell(args, found, f"{_outcome(found)}\n{see}")
    return 0 if found["status"] in _GOOD else 1


def _run_of(name: str, before: Any, now: Any) -> Any:
    """What has become of the wish: its run, or a refusal that only the time line has; ``None`` while there is neither."""
    known = {run["id"] for run in before["action_runs"]}
    for run in reversed(now["action_runs"]):
        if run["name"] == name and run["id"] not in known:
            return run
    old = [(line["at"], line["text"]) for line in before["timeline"]]
    for line in reversed(now["timeline"]):
        refused = line["reason"] == "action_refused" and line["text"].startswith(f"{name}: ")
        if refused and (line["at"], line["text"]) not in old:
            return {"name": name, "status": "refused", "text": line["text"].removeprefix(f"{name}: ")}
    return None


def _over(run: Any) -> bool:
    return run["status"] not in ("requested", "verifying")


def _outcome(run: Any) -> str:
    gate = f" ({run['gate']})" if run.get("gate") else ""
    text = f": {run['text']}" if run["text"] else ""
    return f"{run['name']}: {_SAYS.get(run['status'], run['status'])}{gate}{text}"


def switch(args: argparse.Namespace, client: Client) -> int:
    """Throw the kill switch."""
    body = {"engaged": args.what == "stop", "by": args.by, "note": args.note}
    answer = json.loads(client.call("POST", _SWITCH, body))
    warning = answer.get("warning")
    return tell(args, answer, f"{_switched(answer)}\nwarning: {warning}" if warning else _switched(answer))


def _pages(client: Client, after: int) -> list[AuditPage]:
    found: list[AuditPage] = []
    following: int | None = after
    while following is not None:
        try:
            page = msgspec.convert(client.get("/api/v1/audit", after=str(following)), AuditPage)
        except msgspec.ValidationError as error:
            raise CallError(f"the daemon's audit is not as this version knows it: {error}") from None
        found.append(page)
        following = page.next
    return found


def list_audit(args: argparse.Namespace, client: Client) -> int:
    """Who wanted what, what was done, what came of it."""
    lines = [line for page in _pages(client, args.after) for line in page.lines()]
    text = "\n".join(_told(line) for line in lines)
    return tell(args, msgspec.to_builtins(lines), text or "nothing was done yet")


def _told(line: Line) -> str:
    if isinstance(line, UnreadableEntry):
        return f"{line.number:>6}  UNREADABLE (line {line.line} of the audit): {line.text}"
    return (
        f"{line.number:>6}  {line.at:%Y-%m-%dT%H:%M:%S}Z  {line.event:<12} {line.action:<28} {line.target} {line.object}"
        f"  {line.by}  {line.text}"
    )


def verify_audit(args: argparse.Namespace, client: Client) -> int:
    """Walk the chain here, not on the daemon that is being checked."""
    pages = _pages(client, 0)
    last = pages[-1]
    verdict = verify(
        (line for page in pages for line in page.lines()),
        Elsewhere(hash=args.head or "", newest=last.head, keeps=last.keeps),
    )
    counted = f"{verdict.entries} entries from number {verdict.first}"
    if verdict.broken_at is not None:
        text = f"BROKEN at entry {verdict.broken_at}: {verdict.text}"
    elif not verdict.sound:
        text = f"NOT FOUND in {counted}: {verdict.text}"
    else:
        text = f"{counted}: {verdict.text}\nnewest hash {verdict.head or 'none'}"
    tell(args, msgspec.to_builtins(verdict), text)
    return 0 if verdict.sound else 1
