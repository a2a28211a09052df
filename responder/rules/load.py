"""Rule files become one set: read, merged and checked, with every problem of every file told at once."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

from responder.config import TypeCatalogue
from responder.documents import Document, Place, Problem, ProblemsError
from responder.incident.severity import Level, Severity
from responder.matchers import Matcher, MatcherError, parse_matcher
from responder.registry import did_you_mean
from responder.rules import files, schedule_checks
from responder.rules.dependencies import dependency_problems
from responder.rules.drills import DrillShape, drill_problems, read_drills
from responder.rules.files import DefaultShape, RuleShape, SeverityShape
from responder.rules.plugin_checks import plugin_problems
from responder.rules.raw import PluginEntry, RawRules, RuleEntry, levels_of, plan_of
from responder.rules.reachability import unreachable_rules
from responder.rules.times import check_times
from responder.typed import read

_RESPONSE = {Severity.P1: 15, Severity.P2: 60, Severity.P3: 240, Severity.P4: 1440}  # minutes, the runbook's


class RulesError(ProblemsError):
    """The rule files cannot be used."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may refer to outside the rule files: plug-in types, configured targets and channels."""

    catalogue: TypeCatalogue = TypeCatalogue()
    targets: Mapping[str, frozenset[str]] = {}
    allowed: Mapping[tuple[str, str], Sequence[str]] | None = None
    """The allow-list of each target, by section and name; ``None`` where there is no configuration to check against."""
    channels: Sequence[str] | None = None
    """Names of the configured channels; ``None`` where there is no configuration to check against."""


class LoadedRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules (``None`` where there were errors) and every problem."""

    raw: RawRules | None
    problems: tuple[Problem, ...]


def rule_files(paths: Sequence[str]) -> tuple[tuple[Path, ...], tuple[Problem, ...]]:
    """The files that folders, globs and file names stand for, in order, each once."""
    found: dict[Path, None] = {}
    problems = []
    for path in paths:
        here = Path(path)
        if here.is_dir():
            matches = [one for one in sorted(here.rglob("*")) if one.suffix in {".yaml", ".yml"}]
        else:
            matches = [Path(one) for one in sorted(glob.glob(path, recursive=True))]  # noqa: PTH207 - absolute globs
        if not matches and not here.is_dir():
            problems.append(Problem(file=path, text="no such rule file or folder"))
        found.update(dict.fromkeys(one for one in matches if not _hidden(one, here)))
    return tuple(found), tuple(problems)


def _hidden(file: Path, root: Path) -> bool:
    """Kubernetes mounts a ConfigMap's versions in hidden folders beside the links to them."""
    parts = file.relative_to(root).parts if root.is_dir() else ()
    return any(part.startswith(".") for part in parts)


def load(paths: Sequence[str], around: Surroundings) -> LoadedRules:
    """Read and check all files as one set."""
    found, problems = rule_files(paths)
    merging = _Merging(around)
    digest = hashlib.blake2b(digest_size=16)
    for file in found:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            problems = (*problems, Problem(file=str(file), text=f"cannot read it: {reason}"))
            continue
        digest.update(f"{file}\0{len(text)}\0{text}".encode())
        merging.add(Document(str(file), text))
    raw = merging.finish(digest.hexdigest())
    problems = (*problems, *merging.problems)
    failed = any(problem.level == "error" for problem in problems)
    return LoadedRules(raw=None if failed else raw, problems=problems)


class _Merging:
    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._documents: list[Document] = []
        self._named: dict[str, dict[str, Any]] = {key: {} for key in files.NAMED}
        self._places: dict[tuple[str, str], Place] = {}
        self._nodes: dict[tuple[str, str], tuple[Document, yaml.Node]] = {}
        self._rules: list[RuleEntry] = []
        self._drills: list[DrillShape] = []
        self._default: DefaultShape | None = None
        self._late: list[Problem] = []

    @property
    def problems(self) -> list[Problem]:
        return [problem for document in self._documents for problem in document.problems] + self._late

    def add(self, document: Document) -> None:
        self._documents.append(document)
        if document.root is None:
            return
        for key, key_node, node in document.items(document.root, "rule file"):
            if key in files.NAMED:
                self._add_named(document, key, node)
            elif key == "rules":
                for index, element in enumerate(document.elements(node, key)):
                    self._add_rule(document, element, f"rules[{index}]")
            elif key == "default":
                self._add_default(document, key_node, node)
            elif key == "drills":
                self._drills += read_drills(document, node, self._claim)
            elif key == "checklist":
                document.elements(node, key)
            else:
                document.report(key_node, f"unknown key {key!r}{did_you_mean(key, files.KEYS)}")

    def _add_named(self, document: Document, key: str, node: yaml.Node) -> None:
        for name, key_node, value in document.items(node, key):
            if not self._claim(document, key, name, key_node):
                continue
            what = f"{key}.{name}"
            if key in files.TYPED:
                entry = self._plugin(document, value, key, what)
            elif key == "severities" and name not in set(Severity):
                document.report(key_node, f"{what}: expected one of {', '.join(Severity)}")
                continue
            else:
                entry = read(document, value, files.NAMED[key], what)
            if key == "schedules" and entry is not msgspec.UNSET:
                entry = schedule_checks.checked(document, value, what, entry)
            if entry is not msgspec.UNSET:
                self._named[key][name] = entry
                self._nodes[key, name] = (document, value)

    def _claim(self, document: Document, key: str, name: str, node: yaml.Node) -> bool:
        place = document.place(node)
        first = self._places.setdefault((key, name), place)
        if first is not place:
            document.report(node, f"{key}: {name!r} is defined twice, first at {first.file}:{first.line}")
            return False
        return True

    def _plugin(self, document: Document, node: yaml.Node, key: str, what: str) -> Any:
        """An entry of ``probes`` or ``actions``: its type, and the settings of that type."""
        items = document.items(node, what)
        by_name = {name: value for name, _, value in items}
        types: Mapping[str, type[msgspec.Struct]] = getattr(self._around.catalogue, key)
        if "type" not in by_name:
            document.report(node, f"{what}: missing type (known: {', '.join(sorted(types))})")
            return msgspec.UNSET
        kind = read(document, by_name["type"], str, f"{what}.type")
        if not isinstance(kind, str) or kind not in types:
            if isinstance(kind, str):
                text = f"{what}: unknown {key.removesuffix('s')} type {kind!r}{did_you_mean(kind, types)}"
                document.report(by_name["type"], text)
            return msgspec.UNSET
        kept = [(key_node, value) for name, key_node, value in items if name != "type"]
        rest = yaml.MappingNode(node.tag, kept, node.start_mark, node.end_mark)
        settings = read(document, rest, types[kind], what)
        if settings is msgspec.UNSET:
            return settings
        self._check_target(document, node, settings, what)
        return PluginEntry(type=kind, settings=settings)

    def _check_target(self, document: Document, node: yaml.Node, settings: msgspec.Struct, what: str) -> None:
        section, target = getattr(settings, "TARGET_KIND", ""), getattr(settings, "target", None)
        if target is not None and target not in self._around.targets.get(section, frozenset({target})):
            text = f"{what}: target {target!r} is not configured under targets.{section}; it is left out of the diagnosis, and an action on it is refused"
            document.report(node, text, "warning")

    def _add_rule(self, document: Document, node: yaml.Node, what: str) -> None:
        shape = read(document, node, RuleShape, what)
        if shape is msgspec.UNSET:
            return
        if not self._claim(document, "rules", shape.name, node):
            return
        if shape.name == "default":
            document.report(node, f"{what}: the name 'default' is taken; use the key default: instead")
        match_node = (
            next(value for key, _, value in document.items(node, what) if key == "match")
            if shape.match
            else node
        )
        matchers = self._matchers(document, match_node, shape.match, what)
        self._rules.append(RuleEntry(shape=shape, matchers=matchers, place=document.place(node)))

    def _matchers(
        self, document: Document, node: yaml.Node, texts: tuple[str, ...], what: str
    ) -> tuple[Matcher, ...]:
        matchers = []
        nodes = document.elements(node, what) if texts else []
        for index, (text, one) in enumerate(zip(texts, nodes, strict=False)):
            try:
                matchers.append(parse_matcher(text))
            except MatcherError as error:
                document.report(one, f"{what}.match[{index}]: {error}")
        return tuple(matchers)

    def _add_default(self, document: Document, key_node: yaml.Node, node: yaml.Node) -> None:
        if self._claim(document, "default", "default", key_node):
            shape = read(document, node, DefaultShape, "default")
            if shape is not msgspec.UNSET:
                self._default = shape

    def finish(self, digest: str) -> RawRules:
        default = self._default or DefaultShape()
        severities = {Severity(name): shape for name, shape in self._named["severities"].items()}
        for severity, minutes in _RESPONSE.items():
            severities.setdefault(severity, SeverityShape(respond_within=timedelta(minutes=minutes)))
        raw = RawRules(
            rules=tuple(self._rules),
            default=default,
            drills=tuple(self._drills),
            severities=severities,
            named=self._named,
            digest=digest,
        )
        self._late += self._check(raw)
        return raw

    def _check(self, raw: RawRules) -> Iterator[Problem]:
        yield from self._check_references(raw)
        yield from self._check_channels(raw)
        yield from self._check_default_row(raw)
        yield from check_times(raw, self._place)
        yield from schedule_checks.name_problems(self._named, self._nodes, self._places)
        yield from unreachable_rules(raw.rules)
        for problem in plugin_problems(raw.named, raw.rules, self._around.allowed):
            yield self._place(problem.key, problem.name).problem(problem.text, problem.level)
        services, rows = self._named["services"], self._named["escalation"]
        yield from dependency_problems(services, rows, lambda name: self._place("services", name))
        yield from drill_problems(raw.drills, rows, lambda name: self._place("drills", name))

    def _place(self, key: str, name: str) -> Place:
        return self._places.get((key, name), Place("rules", 1, 1))

    def _check_references(self, raw: RawRules) -> Iterator[Problem]:
        runbooks, rows = self._named["runbooks"], self._named["escalation"]
        for entry in raw.rules:
            shape = entry.shape
            if shape.runbook is not None and shape.runbook not in runbooks:
                text = (
                    f"rule {shape.name}: no runbook {shape.runbook!r}{did_you_mean(shape.runbook, runbooks)}"
                )
                yield entry.place.problem(text)
            if isinstance(shape.service, str) and rows and shape.service not in rows:
                text = f"rule {shape.name}: service {shape.service!r} has no row in escalation; the default's is taken"
                yield entry.place.problem(text, "warning")
        for name, runbook in runbooks.items():
            for key, wanted in (("probes", runbook.diagnose), ("actions", runbook.offer)):
                for one in wanted:
                    if one not in self._named[key] and (key, one) not in self._places:
                        text = f"runbook {name}: no {key.removesuffix('s')} {one!r}{did_you_mean(one, self._named[key])}"
                        yield self._place("runbooks", name).problem(text)

    def _check_channels(self, raw: RawRules) -> Iterator[Problem]:
        known = self._around.channels
        wanted: list[tuple[str, str, str]] = [
            ("severities", str(s), c.channel)
            for s, shape in raw.severities.items()
            for c in plan_of(shape.channels)
        ]
        for name, contact in self._named["contacts"].items():
            wanted += [
                ("contacts", name, c.channel) for chosen in contact.channels.values() for c in plan_of(chosen)
            ]
        for key, name, channel in wanted:
            if known is not None and channel not in known:
                text = (
                    f"{key}.{name}: no channel {channel!r} in the configuration{did_you_mean(channel, known)}"
                )
                yield self._place(key, name).problem(text)
        for severity, shape in raw.severities.items():
            secondary, executive = levels_of(shape)[Level.SECONDARY], levels_of(shape)[Level.EXECUTIVE]
            if secondary > executive:
                text = f"severities.{severity}: the executive is paged before the secondary"
                yield self._place("severities", severity).problem(text, "warning")

    def _check_default_row(self, raw: RawRules) -> Iterator[Problem]:
        service, rows = raw.default.service, self._named["escalation"]
        name = service if isinstance(service, str) else service.default
        if name is not None and name not in rows:
            text = f"default: service {name!r} has no row in escalation: nobody would be paged; add escalation.{name}"
            yield self._place("default", "default").problem(text)
