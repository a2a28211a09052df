"""Configuration and rules for a command, with every problem told at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from responder.catalogue import catalogue
from responder.config import Config
from responder.config_load import ConfigError, load_config
from responder.documents import Problem
from responder.rulebook import Rulebook, rulebook
from responder.rules.load import RulesError


def tell(problems: tuple[Problem, ...]) -> None:
    """One line for each problem, on stderr."""
    for problem in problems:
        print(problem, file=sys.stderr)


def configuration(path: str | None) -> Config | None:
    """The configuration; ``None`` after its problems were told."""
    try:
        loaded = load_config(Path(path) if path else None, os.environ, catalogue())
    except ConfigError as error:
        tell(error.problems)
        return None
    tell(loaded.warnings)
    return loaded.config


def rules_of(config: Config, path: str | None = None) -> Rulebook | None:
    """The rules in force, whose warnings were told; ``None`` after their problems were."""
    try:
        found = rulebook(config, Path(path) if path else None)
    except RulesError as error:
        tell(error.problems)
        return None
    tell(found.warnings)
    return found
