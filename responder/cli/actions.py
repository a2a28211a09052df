"""``responder actions`` and ``responder audit``: guarded fixes from a terminal."""

from __future__ import annotations

import argparse
import json
from typing import Any
from urllib.parse import quote

import msgspec

from responder.cli.client import CallError, Client
from responder.cli.remote import me, subcommand, tell
from responder.incident.audit import AuditEntry, verify

_SWITCH = "/api/v1/actions/kill-switch"
_ENTRIES = msgspec.json.Decoder(list[AuditEntry])


def add_parser(commands: Any) -> None:
    """Add both commands."""
    actions = commands.add_parser("actions", help="guarded fixes: run, rehearse, undo, switch off")
    below = actions.add_subparsers(dest="what", required=True, metavar="WHAT")
    subcommand(below, "list", list_actions, "the actions of the rules in force")
    run = subcommand(below, "run", run_action, "have an action done for an incident")
    run.add_argument("incident")
    run.add_argument("name")
    how = run.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="go through every gate, change nothing")
    how.add_argument("--undo", action="store_true", help="take back the last run")
    off = subcommand(below, "stop", switch, "switch every action off, on every replica")
    on = subcommand(below, "start", switch, "switch actions on again")
    for command in (run, off, on):
        command.add_argument("--by", default=me(), help="who says so (default: %(default)s)")
        command.add_argument("--note", default="", help="why")
    audit = commands.add_parser(
        "audit", help="what was done to targets: list it, verify that nobody changed it"
    )
    kept = audit.add_subparsers(dest="what", required=True, metavar="WHAT")
    listing = subcommand(kept, "list", list_audit, "the entries, oldest first")
    listing.add_argument("--after", type=int, default=0, metavar="NUMBER", help="from behind this entry on")
    check = subcommand(kept, "verify", verify_audit, "walk the chain of hashes; exit 1 where it is broken")
    check.add_argument("--head", default="", metavar="HASH", help="the newest hash, as the log has it")


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
    """Ask for it; what comes of it stands in the incident."""
    path = f"/api/v1/incidents/{quote(args.incident, safe='')}/actions/{quote(args.name, safe='')}"
    body = {"by": args.by, "note": args.note, "dry_run": args.dry_run, "undo": args.undo}
    answer = json.loads(client.call("POST", path, body))
    return tell(args, answer, f"asked for; see: responder incidents show {args.incident}")


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
