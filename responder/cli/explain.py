"""``responder explain``: what happens to an alert with these labels, and why."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import Any

import msgspec

from responder.cli.loading import configuration, rules_of
from responder.rules.explain import as_text

_USAGE = 2


def add_parser(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("explain", help="which rule takes an alert, who is paged when, and why")
    command.add_argument("--config", metavar="FILE", help="responder.yaml")
    command.add_argument(
        "--at", metavar="TIME", help="as of this time (RFC 3339); contacts do not rotate yet"
    )
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument("labels", nargs="+", metavar="label=value")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the explanation; 2 for labels that are none."""
    pairs = [one.partition("=") for one in args.labels]
    bad = [name for name, equals, _ in pairs if not equals or not name]
    if bad:
        print(f"responder explain: expected label=value, got {bad[0]!r}", file=sys.stderr)
        return _USAGE
    if args.at is not None and not _is_time(args.at):
        print(f"responder explain: --at: expected an RFC 3339 time, got {args.at!r}", file=sys.stderr)
        return _USAGE
    config = configuration(args.config)
    rules = rules_of(config) if config else None
    if rules is None:
        return 1
    explanation = rules.explain({name: value for name, _, value in pairs})
    print(msgspec.json.encode(explanation).decode() if args.json else as_text(explanation))
    return 0


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
