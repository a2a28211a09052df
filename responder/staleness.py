"""Whether ``responder.yaml`` on disk is still what runs: it is read at the start, and only the rule files are read again."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from responder.catalogue import catalogue
from responder.config import Config
from responder.config_load import ConfigError, load_config
from responder.documents import Problem

log = structlog.get_logger(__name__)

_PROBLEMS_TOLD = 20


class ConfigFile:
    """The file that the running configuration was read from."""

    def __init__(self, path: Path | None, running: Config) -> None:
        """``path`` is ``None`` where the daemon runs on built-in defaults: then nothing is ever stale."""
        self.path = path
        self._running = running
        self._changed: tuple[str, ...] = ()
        self._problems: tuple[Problem, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether a restart would run on something else, or not at all."""
        return bool(self._changed or self._problems)

    def look(self) -> None:
        """Read it, compare it with what runs, and say in the log what is different."""
        if self.path is None:
            return
        try:
            on_disk = load_config(self.path, os.environ, catalogue()).config
        except ConfigError as error:
            self._problems = tuple(one for one in error.problems if one.level == "error")
            self._changed = ()
        else:
            self._problems = ()
            self._changed = tuple(
                name
                for name in Config.__struct_fields__
                if getattr(on_disk, name) != getattr(self._running, name)
            )
        for line in self.warnings():
            log.warning("the configuration on disk is not what runs", what=line)

    def warnings(self) -> tuple[str, ...]:
        """What is to be said of it to people, a line each."""
        if self._problems:
            told = [f"  {one}" for one in self._problems[:_PROBLEMS_TOLD]]
            return (
                f"{self.path} has errors; the daemon goes on with what it read, and would not start:",
                *told,
            )
        if self._changed:
            return (f"{self.path} has changed; restart for: {', '.join(self._changed)}",)
        return ()
