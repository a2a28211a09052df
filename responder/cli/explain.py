"""``responder explain``: what happens to an alert with these labels, and why."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from typing import Any

import msgspec

from responder.cli.account import show_account
from responder.cli.client import Client, clean, default_url
from responder.cli.offline import known, now
from responder.cli.remote import add_looking, called, identifier, looked_at, misused
from responder.duty import people_behind
from responder.holding.foretelling import foretelling
from responder.intake.alive import unseen_signs
from responder.intake.heartbeats import Heartbeats
from responder.rules.explain import Explanation, as_sign_of_life, as_text, explain

_NOT_KNOWN = "windows and overrides that people made, silences, what is paged now: ask a daemon, with --url"
_ABOUT = """
Which rule takes an alert with these labels and why the earlier ones did not, who is paged when and over what, and what
would hold its pages back. From the rule files; with --url (or RESPONDER_URL) from a running daemon, which also knows the
windows and overrides that people made, silences, and what is paged already. With --alert: what became of an alert that
came to it.

  responder explain alertname=PostgresDown severity=critical cluster=prod
  responder explain --url http://127.0.0.1:8080 alertname=PostgresDown severity=critical
  responder explain --alert 1b6c1f0a77a3d1f2
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "explain",
        help="which rule takes an alert, who is paged when, and why",
        description=_ABOUT.strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_looking(command, "which knows windows, overrides, silences and what is paged")
    command.add_argument(
        "--alert",
        metavar="FINGERPRINT",
        type=_fingerprint,
        help="what became of an alert, asked of the daemon: 16 hex digits, as `responder incidents show ID` lists them",
    )
    command.add_argument("labels", nargs="*", metavar="label=value", help="the labels of an alert")
    command.set_defaults(run=run)


def _fingerprint(text: str) -> str:
    try:
        return identifier(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected the fingerprint of an alert: 16 hex digits, as `responder incidents show ID`, the console and "
            f"Alertmanager's /api/v2/alerts have them, got {text!r}; for labels: responder explain label=value"
        ) from None


def run(args: argparse.Namespace) -> int:
    """Print the explanation; 2 for labels that are none."""
    if (args.alert is None) is not bool(args.labels):
        return misused("explain", "expected label=value, or --alert FINGERPRINT")
    if args.alert is not None:
        if args.at or args.config:
            return misused(
                "explain", "--alert is asked of a daemon, and of what has been: without --at and --config"
            )
        args.url = args.url or default_url()
        return called(args, show_account)
    pairs = [one.partition("=") for one in args.labels]
    bad = [name for name, equals, _ in pairs if not equals or not name]
    if bad:
        return misused("explain", f"expected label=value, got {bad[0]!r}")
    args.url = looked_at(args)
    args.pairs = {name: value for name, _, value in pairs}
    return called(args, _asked) if args.url else _offline(args)


def _asked(args: argparse.Namespace, client: Client) -> int:
    """By the daemon."""
    body = {"labels": args.pairs, **({"at": args.at.isoformat()} if args.at else {})}
    return _show(args, client.ask("/api/v1/explain", body, Explanation))


def _offline(args: argparse.Namespace) -> int:
    """From the files alone."""
    found = known(args.config, args.at)
    if found is None:
        return 1
    at = args.at or now()

    def who(names: Collection[str]) -> dict[str, tuple[str, ...]]:
        return people_behind(found.roster, names, at)

    holding = foretelling(found.rules, found.rules.maintenance, who, at)
    explanation = explain(found.rules, args.pairs, who, holding)
    explanation = msgspec.structs.replace(explanation, not_known=(_NOT_KNOWN,))
    return _show(args, as_sign_of_life(explanation, unseen_signs(Heartbeats(found.heartbeats), args.pairs)))


def _show(args: argparse.Namespace, explanation: Explanation) -> int:
    print(msgspec.json.encode(explanation).decode() if args.json else clean(as_text(explanation)))
    return 0
