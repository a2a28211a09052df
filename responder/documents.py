"""YAML files with their places, so that every problem can be told with its file, line and column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong with a file; lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1
    text: str
    level: str = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.level}: {self.text}"


class ProblemsError(Exception):
    """Files that cannot be used; holds every problem, warnings too."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Place(msgspec.Struct, frozen=True):
    """Where a value stands."""

    file: str
    line: int
    column: int

    def problem(self, text: str, level: str = "error") -> Problem:
        """A problem at this place."""
        return Problem(file=self.file, line=self.line, column=self.column, text=text, level=level)


class Document:
    """One YAML file, parsed but not yet typed."""

    def __init__(self, file: str, text: str, *, expand: Callable[[str], str] | None = None) -> None:
        """``expand`` is applied to every text (``${NAME}``); it raises ``ValueError`` for what it does not know."""
        self.file = file
        self.problems: list[Problem] = []
        self.root: yaml.Node | None = None
        self.expand = expand
        try:
            self.root = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            what = ", ".join(part for part in (error.problem, error.context) if part)
            self.problems.append(Problem(file=file, line=line, column=column, text=f"not YAML: {what}"))
        except (yaml.YAMLError, RecursionError) as error:
            self.problems.append(Problem(file=file, text=f"not YAML: {type(error).__name__}"))

    def place(self, node: yaml.Node) -> Place:
        """Where a node stands."""
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def items(self, node: yaml.Node | None, what: str) -> list[tuple[str, yaml.Node, yaml.Node]]:
        """Key, its node and the value's node of a mapping; duplicate keys are problems."""
        if node is None or is_null(node):
            return []
        if not isinstance(node, yaml.MappingNode):
            self.report(node, f"{what}: expected a mapping, got {kind_of(node)}")
            return []
        seen: dict[str, yaml.Node] = {}
        found: list[tuple[str, yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.report(key, f"{what}: expected a name, got {kind_of(key)}")
                continue
            if key.value in seen:
                first = self.place(seen[key.value])
                self.report(key, f"{what}: {key.value!r} stands twice, first in line {first.line}")
                continue
            seen[key.value] = key
            found.append((key.value, key, value))
        return found

    def elements(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        """The nodes of a list."""
        if node is None or is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.report(node, f"{what}: expected a list, got {kind_of(node)}")
            return []
        return list(node.value)

    def below(self, node: yaml.Node, *path: str | int) -> yaml.Node:
        """The node that keys and indexes lead to, or the last one on the way that is there."""
        for step in path:
            found = None
            if isinstance(node, yaml.MappingNode):
                found = next((value for key, value in node.value if key.value == step), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                found = node.value[step] if step < len(node.value) else None
            if found is None:
                break
            node = found
        return node

    def report(self, node: yaml.Node, text: str, level: str = "error") -> None:
        """Note a problem at a node."""
        self.problems.append(self.place(node).problem(text, level))


def is_null(node: yaml.Node) -> bool:
    """Whether there is nothing at this place."""
    return isinstance(node, yaml.ScalarNode) and str(node.tag) == "tag:yaml.org,2002:null"


def kind_of(node: yaml.Node) -> str:
    """What stands at a place, for an error."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "nothing" if is_null(node) else repr(str(node.value)[:60])
