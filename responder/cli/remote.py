"""What every command has that calls a running daemon."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from responder.cli.client import CallError, Client, clean, default_token, default_url
from responder.cli.offline import moment

#: The exit code of a command that was not meant so.
USAGE = 2
_IDENTIFIER = re.compile("[0-9a-f]{16}")


def group(commands: Any, name: str, text: str) -> Any:
    """A command that has subcommands; what they are added to."""
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    return command.add_subparsers(dest="what", required=True, metavar="WHAT")


def subcommand(below: Any, name: str, handler: Callable[..., int], text: str, more: str = "") -> Any:
    """A subcommand that calls a daemon: ``handler`` is given the arguments and a client.

    ``text`` is its line in the list of them, ``more`` stands in its own help.
    """
    command = below.add_parser(
        name,
        help=text,
        description=more.strip() or f"{text[0].upper()}{text[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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


def add_looking(command: Any, knows: str) -> None:
    """The arguments of a command that shows, offline or from a daemon, ``knows`` more; ``url`` is ``None`` for offline."""
    command.add_argument("--at", type=moment, metavar="TIME", help="as of this time (RFC 3339)")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--config", metavar="FILE", help="responder.yaml: answer from it and its rule files")
    where.add_argument("--url", help=f"ask this daemon, {knows} (RESPONDER_URL, without --config)")
    command.add_argument("--token", default=default_token(), help="an API token (RESPONDER_TOKEN)")
    command.add_argument("--json", action="store_true", help="as JSON")


def looked_at(args: argparse.Namespace) -> str | None:
    """The daemon that such a command asks; ``None`` where it answers from the files."""
    url: str | None = args.url
    return url if url is not None or args.config is not None else os.environ.get("RESPONDER_URL")


def identifier(text: str) -> str:
    """An id on the command line: that of an incident, a window, an override, a fingerprint."""
    found = text.strip().lower()
    if not _IDENTIFIER.fullmatch(found):
        raise argparse.ArgumentTypeError(f"expected 16 hex digits, such as 1b6c1f0a77a3d1f2, got {text!r}")
    return found


def called(args: argparse.Namespace, handler: Callable[[argparse.Namespace, Client], int]) -> int:
    """Call the daemon; 1 where it refused or could not be reached."""
    try:
        return handler(args, Client(args.url, args.token))
    except CallError as error:
        print(f"responder: {error}", file=sys.stderr)
        return 1


def add_author(command: Any) -> None:
    """The argument that says who does it."""
    command.add_argument("--by", default=me(), help="who says so (default: %(default)s)")


def misused(command: str, text: str) -> int:
    """Say how a command was not meant; the exit code of that."""
    print(f"responder {command}: {text}", file=sys.stderr)
    return USAGE


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
