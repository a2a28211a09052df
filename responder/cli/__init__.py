"""The command line: one module of this folder for each command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence

from responder.cli import actions as actions_command
from responder.cli import channels as channels_command
from responder.cli import check as check_command
from responder.cli import demo as demo_command
from responder.cli import explain as explain_command
from responder.cli import incidents as incidents_command
from responder.cli import maintenance as maintenance_command
from responder.cli import schedules as schedules_command
from responder.cli import serve as serve_command
from responder.cli.remote import USAGE
from responder.registry import did_you_mean
from responder.release import release

#: Commands that are planned, and what does their work meanwhile.
_NOT_YET = {
    "test": "responder check reads rule files, and responder explain label=value says what they make of an alert",
    "simulate": "responder explain label=value says who would be paged for an alert, when and over what",
    "report": "response times are metrics: responder_sla_response_total, responder_time_to_acknowledge_seconds",
}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    return _parser()[0]


def _parser() -> tuple[argparse.ArgumentParser, Collection[str]]:
    """The command line and the names of its commands."""
    top = argparse.ArgumentParser(
        prog="responder", description="Alertmanager's alerts in, enriched pages out."
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {release()}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = (
        serve_command,
        demo_command,
        check_command,
        explain_command,
        incidents_command,
        schedules_command,
        maintenance_command,
        actions_command,
        channels_command,
    )
    for module in modules:
        module.add_parser(commands)
    return top, tuple(commands.choices)


def _no_command(name: str, known: Collection[str]) -> str:
    """What to say of a name that is no command; nothing of one that is, and of an option."""
    if name in _NOT_YET:
        return f"{name} is not in this version; {_NOT_YET[name]}"
    return "" if name.startswith("-") or name in known else f"no command {name!r}{did_you_mean(name, known)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: exits with the command's code."""
    top, commands = _parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and (text := _no_command(given[0], commands)):
        print(f"responder: {text}", file=sys.stderr)
        sys.exit(USAGE)
    args = top.parse_args(given)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        code = run(args)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    sys.exit(code)
