"""``responder check``: configuration and rule files, offline; one line per finding."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import msgspec

from responder.catalogue import catalogue
from responder.config import Config
from responder.config_load import ConfigError, load_config, with_a_channel
from responder.documents import Problem
from responder.rulebook import surroundings_of
from responder.rules.load import Surroundings, load


def add_parser(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("check", help="validate configuration and rule files, offline")
    command.add_argument("--config", metavar="FILE", help="responder.yaml")
    command.add_argument(
        "rules", nargs="*", metavar="RULES", help="rule files or folders; else those of the config"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every finding; 0 where there is no error."""
    problems, config = _configuration(args.config)
    paths = tuple(args.rules) or (config.rules if config else ())
    if paths:
        problems += load(paths, _around(config, known=args.config is not None)).problems
    for problem in problems:
        print(problem)
    errors = sum(problem.level == "error" for problem in problems)
    warnings = len(problems) - errors
    print(f"{errors} error(s), {warnings} warning(s)")
    return 1 if errors else 0


def _configuration(path: str | None) -> tuple[tuple[Problem, ...], Config | None]:
    if path is None:
        return (), with_a_channel(Config(), catalogue())
    try:
        loaded = load_config(Path(path), os.environ, catalogue())
    except ConfigError as error:
        return error.problems, None
    return loaded.warnings, loaded.config


def _around(config: Config | None, *, known: bool) -> Surroundings:
    """Channels and targets are checked only against a configuration that was given."""
    if config is None or not known:
        return Surroundings(catalogue=catalogue())
    around = surroundings_of(config)
    return msgspec.structs.replace(around, channels=tuple(config.channels))
