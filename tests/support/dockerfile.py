"""A Dockerfile as stages of instructions, and what the build may see of the tree."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Stage:
    """One ``FROM`` and what follows it: pairs of instruction and arguments."""

    image: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [rest for one, rest in self.steps if one == word]

    def last(self, word: str) -> str:
        return self.all(word)[-1]

    def exec_form(self, word: str) -> list[str]:
        """The argument as a list of words; anything but the exec form would put a shell before the daemon."""
        words: list[str] = json.loads(self.last(word))
        return words


def stages(text: str) -> list[Stage]:
    """The stages in order."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    found: list[Stage] = []
    for line in filter(None, joined.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            found.append(Stage(image, name))
        else:
            found[-1].steps.append((word, rest.strip()))
    return found


def copied_from_the_tree(stage: Stage) -> list[str]:
    """The sources of every ``COPY`` that takes from the build's context."""
    return [source for rest in stage.all("COPY") if "--from=" not in rest for source in rest.split()[:-1]]


def context(root: Path, to: Path) -> None:
    """Copy what ``.dockerignore`` lets through: names after ``!``, less the patterns that come last."""
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*", "nothing goes in that is not named"
    unwanted = [
        one.removeprefix("**/") for one in patterns if not one.startswith(("*", "!")) or one.startswith("**/")
    ]

    def ignored(_: str, names: list[str]) -> set[str]:
        return {name for name in names if any(fnmatch(name, one) for one in unwanted)}

    for name in (one.removeprefix("!") for one in patterns if one.startswith("!")):
        if (root / name).is_dir():
            shutil.copytree(root / name, to / name, ignore=ignored)
        else:
            shutil.copy(root / name, to / name)
