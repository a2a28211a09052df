"""The command line: one module of this folder for each command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from responder.cli import actions as actions_command
from responder.cli import channels as channels_command
from responder.cli import check as check_command
from responder.cli import demo as demo_command
from responder.cli import explain as explain_command
from responder.cli import incidents as incidents_command
from responder.cli import schedules as schedules_command
from responder.cli import serve as serve_command
from responder.release import release


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
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
        actions_command,
        channels_command,
    )
    for module in modules:
        module.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: exits with the command's code."""
    args = parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        code = run(args)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    sys.exit(code)
