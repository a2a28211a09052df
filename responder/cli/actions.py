"""``responder actions`` and ``responder audit``: guarded fixes from a terminal."""

from __future__ import annotations

import argparse
import json
import time
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from responder.cli.client import CallError, Client
from responder.cli.remote import add_author, group, identifier, subcommand, tell
from responder.durations import format_duration, parse_duration
from responder.incident.audit import AuditEntry, verify

_SWITCH = "/api/v1/actions/kill-switch"
_ENTRIES = msgspec.json.Decoder(list[AuditEntry])

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
    check = subcommand(kept, "verify", verify_audit, "walk the chain of hashes; exit 1 where it is broken")
    check.add_argument(
        "--head", default="", metavar="HASH",
        help="the newest hash as you have it, from the daemon's log or an earlier `verify`: whether it is in the chain",
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
    return tell(args, answer, _switched(answer))


def _entries(client: Client, after: int) -> list[Any]:
    found: list[Any] = []
    following: int | None = after
    while following is not None:
        answer = client.get("/api/v1/audit", after=str(following))
        found += answer["entries"]
        following = answer["next"]
    return found


def list_audit(args: argparse.Namespace, client: Client) -> int:
    """Who wanted what, what was done, what came of it."""
    entries = _entries(client, args.after)
    lines = [
        f"{one['number']:>6}  {one['at'][:19]}Z  {one['event']:<12} {one['action']:<28} {one['target']} {one['object']}"
        f"  {one['by']}  {one['text']}"
        for one in entries
    ]
    return tell(args, entries, "\n".join(lines) or "nothing was done yet")


def verify_audit(args: argparse.Namespace, client: Client) -> int:
    """Walk the chain here, not on the daemon that is being checked."""
    try:
        entries = _ENTRIES.decode(json.dumps(_entries(client, 0)))
    except msgspec.DecodeError as error:
        raise CallError(f"an entry cannot be read: {error}") from None
    verdict = verify(entries, args.head)
    if verdict.broken_at is not None:
        text = f"BROKEN at entry {verdict.broken_at}: {verdict.text}"
    else:
        text = f"{verdict.entries} entries from number {verdict.first}: {verdict.text}\nnewest hash {verdict.head}"
    tell(args, msgspec.to_builtins(verdict), text)
    return 1 if verdict.broken_at is not None else 0
