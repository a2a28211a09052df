"""``responder check``: configuration and rule files, offline; one line per finding. ``--schedules`` looks ahead."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import msgspec

from responder.catalogue import catalogue
from responder.cli.client import clean
from responder.cli.offline import Known, calendar_lines, judge, moment, now
from responder.cli.remote import misused
from responder.config import Config
from responder.config_load import ConfigError, PartialConfig, load_config, with_a_channel
from responder.documents import Problem
from responder.duty import READY_FOR
from responder.oncall.readiness import Trouble
from responder.rulebook import surroundings_of, timing_of
from responder.rules.compile import Compiled
from responder.rules.load import Surroundings, load


def add_parser(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "check",
        help="validate configuration and rule files, offline",
        description="Validate the configuration and the rule files without a daemon: one line for each finding. Exits with 0 "
        "where there is no error, 1 where there is one, 2 for wrong usage.",
    )
    command.add_argument("--config", metavar="FILE", help="responder.yaml")
    command.add_argument(
        "rules", nargs="*", metavar="RULES", help="rule files or folders; else those of the config"
    )
    command.add_argument(
        "--schedules",
        action="store_true",
        help="whether somebody who can be reached is on call at every level",
    )
    command.add_argument(
        "--days", type=_days, metavar="N", help="how far to look (with --schedules; default: 14)"
    )
    command.add_argument("--at", type=moment, metavar="TIME", help="from this time on (with --schedules)")
    command.set_defaults(run=run)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= 366:
        raise argparse.ArgumentTypeError(f"expected 1 to 366 days, got {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print every finding; 0 where there is no error."""
    if not args.schedules and (args.days or args.at):
        return misused("check", "--days and --at go with --schedules")
    problems, config, around = _configuration(args.config)
    paths = tuple(args.rules) or around.paths
    raw = None
    if paths:
        loaded = load(paths, around.rules)
        problems, raw = problems + loaded.problems, loaded.raw
    for problem in _in_order(problems):
        print(problem)
    errors = sum(problem.level == "error" for problem in problems)
    warnings = len(problems) - errors
    if args.schedules and config and raw:
        length = timedelta(days=args.days or READY_FOR.days)
        known, found = judge(config, Compiled(raw, timing_of(config)), args.at or now(), length)
        stale = [line for state in known.calendars for line in calendar_lines(state)]
        for line in [*(_line(known, one) for one in found), *(f"schedules: warning: {one}" for one in stale)]:
            print(clean(line))
        errors, warnings = errors + len(found), warnings + len(stale)
    print(f"{errors} error(s), {warnings} warning(s)")
    return 1 if errors else 0


def _in_order(problems: tuple[Problem, ...]) -> list[Problem]:
    """File by file, each from its first line to its last."""
    files = list(dict.fromkeys(one.file for one in problems))
    return sorted(problems, key=lambda one: (files.index(one.file), one.line, one.column))


def _line(known: Known, trouble: Trouble) -> str:
    """One trouble by its dates, on the wall of the schedule that it is about."""
    schedule = known.roster.schedules.get(trouble.name)
    start, end = (at.astimezone(schedule.zone if schedule else UTC) for at in (trouble.start, trouble.end))
    where = f"{trouble.service} {trouble.level}".strip()
    return f"schedules: error: {start:%F %R %Z} to {end:%F %R %Z}: {where}: {trouble.text}"


class _Around(msgspec.Struct, frozen=True):
    """Where the rules are, and what they may refer to."""

    paths: tuple[str, ...]
    rules: Surroundings


def _configuration(path: str | None) -> tuple[tuple[Problem, ...], Config | None, _Around]:
    """Its problems, the configuration where it can be used, and what the rules are to be checked with."""
    alone = Surroundings(catalogue=catalogue(), now=now())
    if path is None:
        config = with_a_channel(Config(), catalogue())
        return (), config, _Around(config.rules, alone)
    try:
        loaded = load_config(Path(path), os.environ, catalogue())
    except ConfigError as error:
        return error.problems, None, _beside(error.partial, Path(path), alone)
    around = _Around(loaded.config.rules, surroundings_of(loaded.config, Path(path), now()))
    return loaded.warnings, loaded.config, around


def _beside(partial: PartialConfig | None, path: Path, alone: Surroundings) -> _Around:
    """A configuration with errors: its rules are checked all the same, but not against what cannot be read.

    ``alone`` is what rules refer to where nothing of it can be.
    """
    if partial is None or "rules" in partial.unread:
        return _Around((), alone)
    around = surroundings_of(with_a_channel(partial.config, catalogue()), path, now())
    if "channels" in partial.unread:
        around = msgspec.structs.replace(around, channels=None)
    if "targets" in partial.unread:
        around = msgspec.structs.replace(around, targets={}, allowed=None, foresee=None)
    return _Around(partial.config.rules, around)
