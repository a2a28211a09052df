"""The rules in force: loaded, reloaded on demand and when a file changes; a bad set never replaces a good one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from responder.catalogue import catalogue
from responder.clock import Clock, SystemClock
from responder.config import Config, Targets
from responder.config_load import configured_secrets
from responder.documents import Problem
from responder.rules.compile import Compiled, Timing
from responder.rules.explain import Explanation, Who, explain
from responder.rules.load import LoadedRules, RulesError, Surroundings, load, rule_files
from responder.secrets import Redactor

log = structlog.get_logger(__name__)

WATCH_EVERY = 2.0  # seconds
_PROBLEMS_LOGGED = 20


class ReloadOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the new rules were taken, and every problem."""

    taken: bool
    problems: tuple[Problem, ...] = ()


class Rulebook:
    """Holds the compiled rules and replaces them as a whole."""

    def __init__(self, config: Config, loaded: LoadedRules, clock: Clock | None = None) -> None:
        """Raises :class:`RulesError` where the first set cannot be used: there is none to fall back to."""
        if loaded.raw is None:
            raise RulesError(loaded.problems)
        self._config = config
        self._clock = clock or SystemClock()
        self.rules = Compiled(loaded.raw, timing_of(config))
        self.redact = Redactor(configured_secrets(config))
        self.last_reload_ok = True
        self.loaded_at = self._clock.now()
        self.warnings = loaded.problems
        self._lock = asyncio.Lock()

    def explain(self, labels: Mapping[str, str], who: Who) -> Explanation:
        """What happens to an alert with these labels."""
        return explain(self.rules, labels, who)

    async def reload(self) -> ReloadOutcome:
        """Read the files anew; the rules in force stay where there is any error."""
        async with self._lock:
            loaded = await asyncio.to_thread(load_rules, self._config)
            if loaded.raw is None:
                self.last_reload_ok = False
                log.error(
                    "rules not reloaded", problems=[str(one) for one in loaded.problems[:_PROBLEMS_LOGGED]]
                )
                return ReloadOutcome(taken=False, problems=loaded.problems)
            self.rules = await asyncio.to_thread(Compiled, loaded.raw, timing_of(self._config))
            self.last_reload_ok = True
            self.loaded_at = self._clock.now()
            log.info("rules reloaded", rules=len(self.rules.rules))
            return ReloadOutcome(taken=True, problems=loaded.problems)

    async def watch(self, clock: Clock) -> None:
        """Reload when a file has changed; for ever."""
        seen = await asyncio.to_thread(self._stamps)
        while True:
            await clock.sleep(WATCH_EVERY)
            now = await asyncio.to_thread(self._stamps)
            if now != seen:
                seen = now
                await self.reload()

    def _stamps(self) -> dict[Path, tuple[int, int, int] | None]:
        return {file: _stamp(file) for file in rule_files(self._config.rules)[0]}


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """Inode, size and time of change: a ConfigMap is replaced by a link, an editor writes a new file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def timing_of(config: Config) -> Timing:
    """What the configuration adds to every policy."""
    return Timing(
        channels=_in_order(config),
        targets=target_names(config),
        triage_wait=config.triage_wait,
        monitor_for=config.monitor_for,
        stale_after=config.stale_after,
    )


def _in_order(config: Config) -> tuple[str, ...]:
    """As the configuration has them, but the log last: it wakes nobody, and would take each page before the others."""
    return tuple(sorted(config.channels, key=lambda name: config.channels[name].type == "log"))


def target_names(config: Config) -> dict[str, frozenset[str]]:
    """The names of the configured targets, by section."""
    return {kind: frozenset(getattr(config.targets, kind)) for kind in Targets.__struct_fields__}


def surroundings_of(config: Config) -> Surroundings:
    """What the rules may refer to."""
    sections = {kind: getattr(config.targets, kind) for kind in Targets.__struct_fields__}
    return Surroundings(
        catalogue=catalogue(),
        targets=target_names(config),
        allowed={
            (kind, name): one.allow for kind, section in sections.items() for name, one in section.items()
        },
        channels=tuple(config.channels),
    )


def load_rules(config: Config) -> LoadedRules:
    """Read the files that the configuration names."""
    return load(config.rules, surroundings_of(config))


def rulebook(config: Config) -> Rulebook:
    """The rules of a configuration.

    Raises:
        RulesError: with every problem.
    """
    return Rulebook(config, load_rules(config))
