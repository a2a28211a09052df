"""What every command has that calls a running daemon."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from typing import Any

from responder.cli.client import CallError, Client, clean, default_token, default_url


def subcommand(below: Any, name: str, handler: Callable[..., int], text: str) -> Any:
    """A subcommand that calls a daemon: ``handler`` is given the arguments and a client."""
    command = below.add_parser(name, help=text)
    add_address(command)
    command.add_argument("--json", action="store_true", help="the answer as JSON")
    command.set_defaults(run=lambda args: called(args, handler))
    return command


def add_address(command: Any) -> None:
    """The arguments that say where the daemon is."""
    command.add_argument(
        "--url", default=default_url(), help="the daemon (RESPONDER_URL; default: %(default)s)"
    )
    command.add_argument("--token", default=default_token(), help="an API token (RESPONDER_TOKEN)")


def called(args: argparse.Namespace, handler: Callable[[argparse.Namespace, Client], int]) -> int:
    """Call the daemon; 1 where it refused or could not be reached."""
    try:
        return handler(args, Client(args.url, args.token))
    except CallError as error:
        print(f"responder: {error}", file=sys.stderr)
        return 1


def me() -> str:
    """The user's own name, for the time line."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "terminal"


def tell(args: argparse.Namespace, answer: Any, text: str) -> int:
    """Print the answer, as JSON where that is wanted."""
    print(json.dumps(answer) if args.json else clean(text))
    return 0
