"""The rules in force: loaded, reloaded on demand and when a file changes; a bad set never replaces a good one."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from responder.catalogue import catalogue
from responder.clock import Clock, SystemClock
from responder.config import Config, Targets
from responder.config_load import configured_secrets, places_in
from responder.foreseen import Foreseen
from responder.incident.policy import FlappingPolicy
from responder.rules.compile import Compiled, Timing
from responder.rules.explain import Explanation, Holding, Who, explain
from responder.rules.load import LoadedRules, RulesError, Surroundings, load
from responder.rules.on_disk import rule_files
from responder.rules.reloading import ReloadOutcome
from responder.rules.service_checks import ServiceOf
from responder.secrets import CurrentRedactor
from responder.staleness import ConfigFile

log = structlog.get_logger(__name__)

WATCH_EVERY = 2.0  # seconds
_PROBLEMS_LOGGED = 20
_Stamp = tuple[int, int, int] | None
_Stamps = tuple[dict[Path, _Stamp], _Stamp]


class Rulebook:
    """Holds the compiled rules and replaces them as a whole."""

    def __init__(
        self, config: Config, loaded: LoadedRules, clock: Clock | None = None, *, path: Path | None = None
    ) -> None:
        """``path`` is where the configuration was read from.

        Raises :class:`RulesError` where the first set cannot be used: there is none to fall back to.
        """
        if loaded.raw is None:
            raise RulesError(loaded.problems)
        self._config = config
        self._clock = clock or SystemClock()
        self.rules = Compiled(loaded.raw, timing_of(config))
        self.redact = CurrentRedactor(partial(configured_secrets, config))
        self.last_reload_ok = True
        self.loaded_at = self._clock.now()
        self.warnings = loaded.problems
        self.file = ConfigFile(path, config)
        self._lock = asyncio.Lock()

    def explain(self, labels: Mapping[str, str], who: Who, holding: Holding) -> Explanation:
        """What happens to an alert with these labels."""
        return explain(self.rules, labels, who, holding)

    async def reload(self) -> ReloadOutcome:
        """Read the rule files anew; the rules in force stay where there is any error. The configuration is only compared."""
        async with self._lock:
            await asyncio.to_thread(self.file.look)
            warnings = self.file.warnings()
            loaded = await asyncio.to_thread(load_rules, self._config, self.file.path, self._clock.now())
            if loaded.raw is None:
                self.last_reload_ok = False
                log.error(
                    "rules not reloaded", problems=[str(one) for one in loaded.problems[:_PROBLEMS_LOGGED]]
                )
                return ReloadOutcome(taken=False, problems=loaded.problems, warnings=warnings)
            self.rules = await asyncio.to_thread(Compiled, loaded.raw, timing_of(self._config))
            self.last_reload_ok = True
            self.loaded_at = self._clock.now()
            log.info("rules reloaded", rules=len(self.rules.rules))
            if loaded.problems:
                log.warning(
                    "warnings of the rules", problems=[str(one) for one in loaded.problems[:_PROBLEMS_LOGGED]]
                )
            return ReloadOutcome(taken=True, problems=loaded.problems, warnings=warnings)

    async def watch(self, clock: Clock) -> None:
        """Reload when a rule file has changed, say so when the configuration has, and follow secrets' files; for ever."""
        seen: _Stamps | None = None
        told = ""
        while True:
            failure = ""
            try:
                seen = await self._looked(seen)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, who pages goes on paging
                failure = _without_words(error)
            if failure and failure != told:
                log.error("the files on disk cannot be looked at; what runs goes on", error=failure)
            told = failure
            await clock.sleep(WATCH_EVERY)

    async def _looked(self, seen: _Stamps | None) -> _Stamps:
        """Compare the files with what was ``seen`` before, and follow what has changed; what is seen now."""
        now = await asyncio.to_thread(self._stamps)
        if seen is None:
            return now
        await asyncio.to_thread(self.redact.look)
        if now[0] != seen[0]:
            await self.reload()
        elif now[1] != seen[1]:
            await asyncio.to_thread(self.file.look)
        return now

    def _stamps(self) -> _Stamps:
        """Those of the rule files, and that of the configuration."""
        rules = {file: _stamp(file) for file in rule_files(self._config.rules)[0]}
        return rules, _stamp(self.file.path) if self.file.path else None


def _without_words(error: Exception) -> str:
    """What was raised, and where. Its own words may quote a file, and what is new there is not known as a secret yet."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def _stamp(file: Path) -> _Stamp:
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
        flapping=FlappingPolicy(count=config.flapping.count, within=config.flapping.within),
        hold_down=config.hold_down,
    )


def _in_order(config: Config) -> tuple[str, ...]:
    """As the configuration has them, but the log last: it wakes nobody, and would take each page before the others."""
    return tuple(sorted(config.channels, key=lambda name: config.channels[name].type == "log"))


def target_names(config: Config) -> dict[str, frozenset[str]]:
    """The names of the configured targets, by section."""
    return {kind: frozenset(getattr(config.targets, kind)) for kind in Targets.__struct_fields__}


def surroundings_of(config: Config, path: Path | None, now: datetime) -> Surroundings:
    """What the rules may refer to; ``path`` is where the configuration was read from."""
    sections = {kind: getattr(config.targets, kind) for kind in Targets.__struct_fields__}
    return Surroundings(
        catalogue=catalogue(),
        targets=target_names(config),
        allowed={
            (kind, name): one.allow for kind, section in sections.items() for name, one in section.items()
        },
        foresee=Foreseen(config.targets),
        channels=tuple(config.channels),
        services=_services_of(config, path) if path is not None else (),
        now=now,
    )


def _services_of(config: Config, path: Path) -> tuple[ServiceOf, ...]:
    whats = [f"heartbeats[{number}]" for number in range(len(config.heartbeats))]
    places = places_in(path, [f"{what}.service" for what in whats])
    return tuple(
        ServiceOf(what=what, service=one.service, place=place)
        for what, one, place in zip(whats, config.heartbeats, places, strict=True)
    )


def load_rules(config: Config, path: Path | None, now: datetime) -> LoadedRules:
    """Read the files that the configuration names."""
    return load(config.rules, surroundings_of(config, path, now))


def rulebook(config: Config, path: Path | None = None) -> Rulebook:
    """The rules of a configuration, which was read from ``path``.

    Raises:
        RulesError: with every problem.
    """
    clock = SystemClock()
    return Rulebook(config, load_rules(config, path, clock.now()), clock, path=path)
