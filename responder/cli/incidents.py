"""``responder incidents`` and ``responder quarantine``: the API from a terminal."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any
from urllib.parse import quote

from responder.cli.account import page_words
from responder.cli.client import Client, clean
from responder.cli.remote import add_author, group, identifier, misused, subcommand, tell
from responder.text import one_line

#: Subcommand -> path below the incident, and what it does.
_ACTIONS = {
    "ack": ("acknowledge", "say that you are at work on it: no further level is paged"),
    "escalate": ("escalate", "page the next level now, whatever holds pages back"),
    "resolve": ("resolve", "declare it over: nobody is paged for it any more"),
    "reopen": ("reopen", "say that it is not over after all: it is paged anew"),
    "note": ("notes", "write a line into the time line"),
    "assign": ("assign", "put somebody's name on it; that pages nobody"),
    "severity": ("severity", "say how bad it is; a worse one than before pages anew"),
    "snooze": ("snooze", "take it for a while; what still fires then is paged anew"),
}
#: What some of them take beside the incident: an argument, and a key of the body.
_MORE = {"assign": "to", "severity": "severity", "snooze": "for"}


_INCIDENT = "the incident: 16 hex digits, as `responder incidents list` shows it"
_LIST = """
Open and past incidents, newest first. Each of --state, --service and --severity takes one value, or several by commas.

  responder incidents list --state triggered,acknowledged --severity P1,P2
"""
_ALERTS_SHOWN = 20
_LABELS_WIDTH = 300


def add_parser(commands: Any) -> None:
    """Add both commands."""
    below = group(commands, "incidents", "list, show, acknowledge, escalate, resolve incidents")
    listing = subcommand(below, "list", list_incidents, "open and past incidents, newest first", _LIST)
    listing.add_argument(
        "--state", metavar="STATE", help="triggered, acknowledged, monitoring, resolved (default: any)"
    )
    listing.add_argument("--service", metavar="SERVICE", help="such as database (default: any)")
    listing.add_argument("--severity", metavar="SEVERITY", help="P1, P2, P3, P4 (default: any)")
    listing.add_argument(
        "--limit", default="50", metavar="N", help="at most so many, 1 to 500 (default: %(default)s)"
    )
    _on_one(subcommand(below, "show", show, "one incident: alerts, findings, people, pages, time line"))
    for name, (_, text) in _ACTIONS.items():
        command = _on_one(subcommand(below, name, act, text))
        if name == "assign":
            command.add_argument("to", metavar="NAME", help="who has it")
        elif name == "severity":
            command.add_argument("severity", choices=["P1", "P2", "P3", "P4"], help="P1 is the worst")
        elif name == "snooze":
            command.add_argument("for", metavar="DURATION", help="such as 30m or 4h; at most 24h")
        elif name == "note":
            command.add_argument(
                "text", metavar="TEXT", nargs="?", default="", help="the line; or --note TEXT"
            )
        add_author(command)
        command.add_argument("--note", default="", metavar="TEXT", help="a line for the time line")
    _add_silences(below)
    kept = group(commands, "quarantine", "bodies and alerts that could not be read: list, show, drop, replay")
    subcommand(kept, "list", list_quarantine, "what is kept, newest first, and what is wrong with it")
    for name, handler, text in (
        ("show", show_quarantined, "a body as it came"),
        ("drop", drop_quarantined, "forget one of them for good"),
        ("replay", replay, "send one to the webhook again; what is taken leaves quarantine"),
    ):
        subcommand(kept, name, handler, text).add_argument(
            "digest", metavar="DIGEST", help="32 hex digits, as `responder quarantine list` shows them"
        )


def _on_one(command: Any) -> Any:
    command.add_argument("id", metavar="ID", type=identifier, help=_INCIDENT)
    return command


def _add_silences(below: Any) -> None:
    silence = _on_one(
        subcommand(below, "silence", silence_incident, "silence in Alertmanager what fires in an incident")
    )
    silence.add_argument("for", metavar="DURATION", help="such as 30m or 2h; 1m to 30d")
    unsilence = _on_one(
        subcommand(
            below, "unsilence", unsilence_incident, "withdraw the silences that were made from an incident"
        )
    )
    for command in (silence, unsilence):
        add_author(command)
        command.add_argument("--comment", default="", metavar="TEXT", help="why; Alertmanager shows it")


def silence_incident(args: argparse.Namespace, client: Client) -> int:
    """Silence it."""
    return _silencing(args, client, "POST", {"for": getattr(args, "for")})


def unsilence_incident(args: argparse.Namespace, client: Client) -> int:
    """Withdraw what silences it."""
    return _silencing(args, client, "DELETE", {})


def _silencing(args: argparse.Namespace, client: Client, method: str, more: dict[str, str]) -> int:
    path = f"/api/v1/incidents/{quote(args.id, safe='')}/silence"
    body = {"by": args.by, "comment": args.comment, **more}
    answer = client.change(method, path, body)
    return tell(args, answer, _line(answer) if "state" in answer else answer["text"])


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
        step = one["next_step"]
        lines.append(f"next: {step['level']} ({step['to']}) at {step['at'][:19]}Z")
    if one["attached"]:
        services = [
            f"{other['service']} {other['severity']} ({other['incident']})" for other in one["attached"]
        ]
        lines.append(f"attached: {', '.join(services)}")
    if one["digest"]:
        takes = "" if one["digest"]["ended"] else "; acknowledging takes all of them"
        lines.append(f"digest: {one['digest']['text']}, told with its page{takes}")
    if one["flapping_since"]:
        lines.append(f"flapping since {one['flapping_since'][:19]}Z")
    if one["snoozed_until"]:
        lines.append(f"snoozed until {one['snoozed_until'][:19]}Z")
    silences = [f"silenced by {s['by']} until {s['until'][:19]}Z: {s['comment']}" for s in one["silences"]]
    lines += [f"paging is held back ({h['kind']}): {h['text']}{_until(h)}" for h in one["holds"]] or silences
    lines += ["", "alerts:", *_alerts(one)]
    lines += ["", "findings:", *(f"  [{f['status']}] {f['probe']}: {f['headline']}" for f in one["findings"])]
    lines += ["", "people:", *_people(one), "", "pages:"]
    lines += [
        f"  {p['requested_at'][11:19]} {p['level']} {p['to']} over {p['channel']}: {page_words(p)}"
        for p in one["pages"]
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


def _alerts(one: Any) -> list[str]:
    """Their fingerprints, for `responder explain --alert`, and their labels."""
    lines = []
    for alert in one["alerts"][:_ALERTS_SHOWN]:
        labels = ", ".join(f"{name}={value!r}" for name, value in sorted(alert["labels"].items()))
        lines.append(f"{alert['fingerprint']}  {alert['status']:<8}  {one_line(labels, _LABELS_WIDTH)}")
    more = one["alerts_total"] - len(lines)
    return [f"  {line}" for line in lines] + ([f"  and {more} more"] if more > 0 else [])


def _until(hold: Any) -> str:
    return f" until {hold['until'][:16]}Z" if hold["until"] else ""


def _run_line(run: Any) -> str:
    gate = f" ({run['gate']})" if run["gate"] else ""
    change = f": {run['before']} -> {run['after']}" if run["before"] and run["after"] else ""
    what = f"{run['requested_at'][11:19]} {run['name']} ({run['kind']}) by {run['by']}: {run['status']}{gate}"
    return f"  {what}: {run['text']}{change}"


def _people(one: Any) -> list[str]:
    """Who was reached, level by level."""
    lines = []
    for reach in one["reached"]:
        who = [f"{p['name']} over {', '.join(p['channels'])}: {p['status']}" for p in reach["people"]]
        each = " (each has to acknowledge)" if reach["everybody"] else ""
        lines.append(f"  {reach['at'][11:19]} {reach['level']} {reach['to']}{each}")
        lines += [f"    {line}" for line in who or ["nobody was on call"]]
    return lines


def act(args: argparse.Namespace, client: Client) -> int:
    """Acknowledge, escalate, resolve, reopen, note, assign, snooze, set the severity."""
    body = {"by": args.by, "note": args.note}
    if args.what == "note":
        body["note"] = " ".join(part for part in (args.text, args.note) if part)
        if not body["note"].strip():
            return misused("incidents note", "expected a TEXT")
    if key := _MORE.get(args.what):
        body[key] = getattr(args, key)
    path = f"/api/v1/incidents/{quote(args.id, safe='')}/{_ACTIONS[args.what][0]}"
    answer = client.change("POST", path, body)
    return tell(args, answer, _line(answer) if "state" in answer else answer["text"])


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
