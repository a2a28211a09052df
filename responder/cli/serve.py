"""``responder serve``: the daemon."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import Any

import structlog

from responder import logs
from responder.app import Daemon
from responder.cli.loading import configuration, rules_of
from responder.config import Config
from responder.rulebook import Rulebook
from responder.store.errors import StoreError, UnsafeStoreError

log = structlog.get_logger(__name__)


def add_parser(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "serve",
        help="run the daemon until it is stopped",
        description="Run the daemon until SIGTERM or SIGINT. Without --config: built-in defaults, the embedded store under "
        "./data, rules from ./rules, pages to the log.",
    )
    command.add_argument("--config", metavar="FILE", help="responder.yaml; without it, built-in defaults")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; 1 where it could not start or a part of it died."""
    config = configuration(args.config)
    rules = rules_of(config, args.config) if config else None
    if config is None or rules is None:
        return 1
    logs.set_up(config.log_level, redact=rules.redact)
    return serve(config, rules)


def serve(config: Config, rules: Rulebook) -> int:
    """Run the daemon in an event loop of its own."""
    try:
        asyncio.run(_serve(config, rules))
    except (UnsafeStoreError, StoreError, OSError) as error:
        print(f"responder: {error}", file=sys.stderr)
        return 1
    except ExceptionGroup as group:  # a part died: end loudly, and let the supervisor start us again
        log.exception("a part of the daemon died", parts=len(group.exceptions))
        return 1
    return 0


async def _serve(config: Config, rules: Rulebook) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reloads: set[asyncio.Task[object]] = set()

    def reload() -> None:
        task: asyncio.Task[object] = loop.create_task(rules.reload(), name="reload by SIGHUP")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    await Daemon(config, rules).run(stop)
