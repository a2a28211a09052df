"""Rule files become one set: read, merged and checked, with every problem of every file told at once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import yaml

from responder.config import TypeCatalogue
from responder.documents import Document, Place, Problem, ProblemsError, is_null
from responder.incident.maintenance import MaintenanceWindow
from responder.incident.severity import Severity
from responder.registry import did_you_mean, nearest
from responder.rules import files, schedule_checks
from responder.rules.dependencies import dependency_problems
from responder.rules.drills import DrillShape, drill_problems, read_drills
from responder.rules.files import DefaultShape, RuleShape
from responder.rules.maintenance import read_windows
from responder.rules.on_disk import rule_files
from responder.rules.parts import matchers_of, severities_of
from responder.rules.plugin_checks import Foresee, plugin_problems
from responder.rules.quiet_hours import quiet_problems
from responder.rules.raw import PluginEntry, RawRules, RuleEntry
from responder.rules.reachability import unreachable_rules
from responder.rules.reference_checks import (
    Whatever,
    channel_problems,
    default_row_problems,
    reference_problems,
    runbook_problem,
)
from responder.rules.service_checks import ServiceOf, matcher_problems, named_problems, over_problems
from responder.rules.times import check_times
from responder.typed import read


class RulesError(ProblemsError):
    """The rule files cannot be used."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may refer to outside the rule files: plug-in types, configured targets and channels."""

    catalogue: TypeCatalogue = TypeCatalogue()
    targets: Mapping[str, frozenset[str]] = {}
    allowed: Mapping[tuple[str, str], Sequence[str]] | None = None
    """The allow-list of each target, by section and name; ``None`` where there is no configuration to check against."""
    foresee: Foresee | None = None
    """What of a probe or an action the configured targets will refuse; ``None`` as before."""
    channels: Sequence[str] | None = None
    """Names of the configured channels; ``None`` where there is no configuration to check against."""
    services: Sequence[ServiceOf] = ()
    """Those that the configuration names."""
    now: datetime | None = None
    """By which windows are over; ``None`` where that is not to be judged."""


class LoadedRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules (``None`` where there were errors) and every problem."""

    raw: RawRules | None
    problems: tuple[Problem, ...]


def load(paths: Sequence[str], around: Surroundings) -> LoadedRules:
    """Read and check all files as one set."""
    found, problems = rule_files(paths)
    merging = _Merging(around)
    merging.unread.update(files.KEYS if problems else ())
    digest = hashlib.blake2b(digest_size=16)
    for file in found:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            problems = (*problems, Problem(file=str(file), text=f"cannot read it: {reason}"))
            merging.unread.update(files.KEYS)
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
        self._names: dict[str, dict[str, None]] = {}
        self._nodes: dict[tuple[str, str], tuple[Document, yaml.Node]] = {}
        self._rules: list[RuleEntry] = []
        self._maintenance: list[MaintenanceWindow] = []
        self._drills: list[DrillShape] = []
        self._default: DefaultShape | None = None
        self._late: list[Problem] = []
        #: Keys some of whose names cannot be read: what seems to be missing there may be in what is broken.
        self.unread: set[str] = set()
        #: Runbooks that rules name which cannot be read.
        self._loose: list[tuple[str, str, Place]] = []

    @property
    def problems(self) -> list[Problem]:
        """What is no YAML first: the rest may follow from it."""
        documents = sorted(self._documents, key=lambda one: one.root is not None)
        return [problem for document in documents for problem in document.problems] + self._late

    def add(self, document: Document) -> None:
        self._documents.append(document)
        items = document.items(document.root, "rule file")
        self.unread.update(files.KEYS if document.problems and not items else ())
        for key, key_node, node in items:
            if key in files.NAMED:
                self._add_named(document, key, node)
            elif key == "rules":
                for index, element in enumerate(document.elements(node, key)):
                    self._add_rule(document, element, f"rules[{index}]")
            elif key == "default":
                self._add_default(document, key_node, node)
            elif key == "maintenance":
                self._maintenance += read_windows(document, node, self._claim)
            elif key == "drills":
                self._drills += read_drills(document, node, self._claim)
            elif key == "checklist":
                document.elements(node, key)
            else:
                self._unknown(document, key, key_node)

    def _unknown(self, document: Document, key: str, node: yaml.Node) -> None:
        document.report(node, f"unknown key {key!r}{did_you_mean(key, files.KEYS)}")
        if (meant := nearest(key, files.KEYS)) is not None:
            self.unread.add(meant)

    def _add_named(self, document: Document, key: str, node: yaml.Node) -> None:
        if not isinstance(node, yaml.MappingNode) and not is_null(node):
            self.unread.add(key)
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
        self._names.setdefault(key, {})[name] = None
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
            self._salvage(document, node, what)
            return
        if not self._claim(document, "rules", shape.name, node):
            return
        self._nodes["rules", shape.name] = (document, node)
        if shape.name == "default":
            document.report(node, f"{what}: the name 'default' is taken; use the key default: instead")
        match_node = (
            next(value for key, _, value in document.items(node, what) if key == "match")
            if shape.match
            else node
        )
        matchers = matchers_of(document, match_node, shape.match, what)
        self._rules.append(RuleEntry(shape=shape, matchers=matchers, place=document.place(node)))

    def _salvage(self, document: Document, node: yaml.Node, what: str) -> None:
        """What else is wrong with a rule that cannot be read: it is all told at once."""
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        by_name = {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}
        name, match, runbook = (by_name.get(key) for key in ("name", "match", "runbook"))
        if isinstance(name, yaml.ScalarNode):
            self._claim(document, "rules", name.value, node)
        if isinstance(match, yaml.SequenceNode):
            texts = tuple(one.value for one in match.value if isinstance(one, yaml.ScalarNode))
            if len(texts) == len(match.value):
                matchers_of(document, match, texts, what)
        if isinstance(runbook, yaml.ScalarNode) and not is_null(runbook):
            called = name.value if isinstance(name, yaml.ScalarNode) else what
            self._loose.append((called, runbook.value, document.place(runbook)))

    def _add_default(self, document: Document, key_node: yaml.Node, node: yaml.Node) -> None:
        if self._claim(document, "default", "default", key_node):
            shape = read(document, node, DefaultShape, "default")
            self._nodes["default", "default"] = (document, node)
            if shape is not msgspec.UNSET:
                self._default = shape
            else:
                self.unread.add("default")

    def finish(self, digest: str) -> RawRules:
        default = self._default or DefaultShape()
        raw = RawRules(
            rules=tuple(self._rules),
            default=default,
            maintenance=tuple(self._maintenance),
            drills=tuple(self._drills),
            severities=severities_of(self._named["severities"]),
            named=self._named,
            digest=digest,
        )
        self._late += self._check(raw)
        return raw

    def _check(self, raw: RawRules) -> Iterator[Problem]:
        yield from reference_problems(raw, self._place, self._known)
        for rule, runbook, place in self._loose:
            yield from runbook_problem(rule, runbook, place, self._known)
        yield from channel_problems(raw, self._place, self._around.channels)
        if "default" not in self.unread:
            yield from default_row_problems(raw, self._place, self._known)
        yield from check_times(raw, self._place)
        if self.unread.isdisjoint({"contacts", "schedules"}):
            yield from schedule_checks.name_problems(self._named, self._nodes, self._places)
        yield from unreachable_rules(raw.rules)
        around = self._around
        for one in plugin_problems(raw.named, raw.rules, around.allowed, self._known, around.foresee):
            yield self._place(one.key, one.name, *one.path).problem(one.text, one.level)
        services, rows = self._named["services"], self._known("escalation")
        known = self._known("services", "escalation")
        yield from dependency_problems(services, known, lambda name: self._place("services", name))
        for name, text, level in quiet_problems(raw.named):
            if level == "error" or self.unread.isdisjoint({"contacts", "schedules"}):
                yield self._place("quiet_hours", name).problem(text, level)
        yield from drill_problems(raw.drills, rows, lambda name: self._place("drills", name))
        yield from named_problems(self._around.services, rows)
        if self.unread.isdisjoint({"services", "escalation", "rules"}):
            yield from matcher_problems(raw, self._around.services, rows, self._place)
        if self._around.now is not None:
            yield from over_problems(raw.maintenance, self._around.now, self._place)

    def _known(self, *keys: str) -> Collection[str]:
        """The names under any of the keys, also of entries that could not be read."""
        names: Collection[str] = self._names.get(keys[0], {})
        if len(keys) > 1:
            names = {name: None for key in keys for name in self._names.get(key, {})}
        return names if self.unread.isdisjoint(keys) else Whatever(names)

    def _place(self, key: str, name: str, /, *path: str | int) -> Place:
        """Where an entry stands, or what the path leads to in it; what no file has is missing in the first one."""
        known = self._nodes.get((key, name))
        if known is not None and path:
            document, node = known
            found = document.below(node, *path)
            if found is not node:
                return document.place(found)
        first = self._documents[0].file if self._documents else "rules"
        return self._places.get((key, name), Place(first, 1, 1))
