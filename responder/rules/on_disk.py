"""Which files the rules are."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from responder.documents import Problem


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
