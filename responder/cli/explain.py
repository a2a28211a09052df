"""``responder explain``: what happens to an alert with these labels, and why."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from typing import Any

import msgspec

from responder.cli.account import show_account
from responder.cli.offline import known, moment, now
from responder.cli.remote import add_address, called
from responder.duty import people_behind
from responder.holding.foretelling import foretelling
from responder.rules.explain import as_text, explain

_USAGE = 2


def add_parser(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("explain", help="which rule takes an alert, who is paged when, and why")
    command.add_argument("--config", metavar="FILE", help="responder.yaml")
    command.add_argument(
        "--at",
        type=moment,
        metavar="TIME",
        help="who is on call, and what holds pages back, as of this time (RFC 3339)",
    )
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument(
        "--alert", metavar="FINGERPRINT", help="what became of an alert, asked of the daemon"
    )
    add_address(command)
    command.add_argument("labels", nargs="*", metavar="label=value")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the explanation; 2 for labels that are none."""
    if (args.alert is None) is not bool(args.labels):
        print("responder explain: expected label=value, or --alert FINGERPRINT", file=sys.stderr)
        return _USAGE
    if args.alert is not None:
        return called(args, show_account)
    pairs = [one.partition("=") for one in args.labels]
    bad = [name for name, equals, _ in pairs if not equals or not name]
    if bad:
        print(f"responder explain: expected label=value, got {bad[0]!r}", file=sys.stderr)
        return _USAGE
    found = known(args.config, args.at)
    if found is None:
        return 1
    labels = {name: value for name, _, value in pairs}
    at = args.at or now()

    def who(names: Collection[str]) -> dict[str, tuple[str, ...]]:
        return people_behind(found.roster, names, at)

    holding = foretelling(found.rules, found.rules.maintenance, who, at)
    explanation = explain(found.rules, labels, who, holding)
    print(msgspec.json.encode(explanation).decode() if args.json else as_text(explanation))
    return 0
