"""``responder incidents`` and ``responder quarantine``: the API from a terminal."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from responder.cli.client import CallError, Client, clean, default_token, default_url

#: Subcommand -> path below the incident.
_ACTIONS = {
    "ack": "acknowledge",
    "escalate": "escalate",
    "resolve": "resolve",
    "reopen": "reopen",
    "note": "notes",
    "assign": "assign",
    "severity": "severity",
}


def add_parser(commands: Any) -> None:
    """Add both commands."""
    incidents = commands.add_parser("incidents", help="list, show, acknowledge, escalate, resolve incidents")
    below = incidents.add_subparsers(dest="what", required=True, metavar="WHAT")
    listing = against_daemon(below, "list", list_incidents, "open and past incidents, newest first")
    for name in ("state", "service", "severity"):
        listing.add_argument(f"--{name}", metavar=name.upper())
    listing.add_argument("--limit", default="50")
    against_daemon(below, "show", show, "one incident with everything").add_argument("id")
    for name in _ACTIONS:
        command = against_daemon(below, name, act, f"{name} an incident")
        command.add_argument("id")
        if name == "assign":
            command.add_argument("to", metavar="NAME")
        elif name == "severity":
            command.add_argument("severity", choices=["P1", "P2", "P3", "P4"])
        command.add_argument("--by", default=_me(), help="who says so (default: %(default)s)")
        command.add_argument("--note", default="", help="a line for the time line")
    quarantine = commands.add_parser("quarantine", help="bodies that could not be read")
    kept = quarantine.add_subparsers(dest="what", required=True, metavar="WHAT")
    against_daemon(kept, "list", list_quarantine, "what is kept, newest first")
    for name, handler, text in (
        ("show", show_quarantined, "a body as it came"),
        ("drop", drop_quarantined, "forget one"),
        ("replay", replay, "send one to the webhook again"),
    ):
        against_daemon(kept, name, handler, text).add_argument("digest")


def against_daemon(below: Any, name: str, handler: Callable[..., int], text: str) -> Any:
    """A subcommand that calls a daemon: ``handler`` is given the arguments and a client."""
    command = below.add_parser(name, help=text)
    command.add_argument(
        "--url", default=default_url(), help="the daemon (RESPONDER_URL; default: %(default)s)"
    )
    command.add_argument("--token", default=default_token(), help="an API token (RESPONDER_TOKEN)")
    command.add_argument("--json", action="store_true", help="the answer as JSON")
    command.set_defaults(run=lambda args: _run(args, handler))
    return command


def _run(args: argparse.Namespace, handler: Callable[[argparse.Namespace, Client], int]) -> int:
    try:
        return handler(args, Client(args.url, args.token))
    except CallError as error:
        print(f"responder: {error}", file=sys.stderr)
        return 1


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "terminal"


def tell(args: argparse.Namespace, answer: Any, text: str) -> int:
    """Print the answer: as JSON where that was asked for, else in words."""
    print(json.dumps(answer) if args.json else clean(text))
    return 0


def list_incidents(args: argparse.Namespace, client: Client) -> int:
    """The list as a table."""
    answer = client.get(
        "/api/v1/incidents", state=args.state, service=args.service, severity=args.severity, limit=args.limit
    )
    lines = [_line(one) for one in answer["incidents"]] or ["no incidents"]
    return tell(args, answer, "\n".join(lines))


def _line(one: Any) -> str:
    return f"{one['id']}  {one['severity']}  {one['state']:<12}  {one['opened_at'][:19]}Z  {one['service']}: {one['title']}"


def show(args: argparse.Namespace, client: Client) -> int:
    """One incident."""
    one = client.get(f"/api/v1/incidents/{quote(args.id, safe='')}")
    lines = [_line(one), f"respond by {one['respond_by'][:19]}Z, {one['counts']['firing']} firing"]
    if one["next_step"]:
        lines.append(f"next: {one['next_step']['level']} at {one['next_step']['at'][:19]}Z")
    lines += ["", "findings:", *(f"  [{f['status']}] {f['probe']}: {f['headline']}" for f in one["findings"])]
    lines += [
        "",
        "pages:",
        *(
            f"  {p['requested_at'][11:19]} {p['level']} {p['to']} over {p['channel']}: {p['status']}"
            for p in one["pages"]
        ),
    ]
    lines += [
        "",
        "time line:",
        *(
            f"  {e['at'][11:19]} {e['text']}{' (' + e['by'] + ')' if e['by'] else ''}"
            for e in one["timeline"]
        ),
    ]
    return tell(args, one, "\n".join(lines))


def act(args: argparse.Namespace, client: Client) -> int:
    """Acknowledge, escalate, resolve, reopen, note, assign, set the severity."""
    body = {"by": args.by, "note": args.note}
    if args.what in {"assign", "severity"}:
        body["to" if args.what == "assign" else "severity"] = (
            args.to if args.what == "assign" else args.severity
        )
    path = f"/api/v1/incidents/{quote(args.id, safe='')}/{_ACTIONS[args.what]}"
    answer = json.loads(client.call("POST", path, body))
    return tell(
        args, answer, _line(answer) if "state" in answer else "recorded; the decision is still to come"
    )


def list_quarantine(args: argparse.Namespace, client: Client) -> int:
    """What could not be read."""
    answer = client.get("/api/v1/quarantine")
    lines = [
        f"{one['digest']}  {one['last_seen'][:19]}Z  seen {one['seen']}  {one['size']} bytes  {one['reason']}"
        for one in answer["quarantine"]
    ]
    return tell(args, answer, "\n".join(lines) or "nothing is in quarantine")


def show_quarantined(args: argparse.Namespace, client: Client) -> int:
    """A body as it came (control characters blanked for the terminal)."""
    raw = client.call("GET", f"/api/v1/quarantine/{quote(args.digest, safe='')}")
    print(clean(raw.decode(errors="replace")))
    return 0


def drop_quarantined(args: argparse.Namespace, client: Client) -> int:
    """Forget one."""
    client.call("DELETE", f"/api/v1/quarantine/{quote(args.digest, safe='')}")
    return tell(args, {"dropped": args.digest}, "dropped")


def replay(args: argparse.Namespace, client: Client) -> int:
    """Send a body to the webhook again; a single alert is wrapped into a body. What is taken leaves quarantine."""
    raw = client.call("GET", f"/api/v1/quarantine/{quote(args.digest, safe='')}")
    body = raw
    try:
        alone = json.loads(raw)
    except ValueError:
        alone = None
    if isinstance(alone, dict) and "alerts" not in alone:
        body = json.dumps({"version": "4", "receiver": "replay", "alerts": [alone]}).encode()
    answer = json.loads(client.call("POST", "/webhooks/alertmanager", raw=body))
    if answer["quarantined"]:
        print("responder: it still cannot be read; see: responder quarantine list", file=sys.stderr)
        return 1
    client.call("DELETE", f"/api/v1/quarantine/{quote(args.digest, safe='')}")
    return tell(args, answer, f"taken: {answer['changed']} changed, {answer['duplicate']} duplicate")
