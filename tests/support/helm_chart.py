"""The chart as the real Helm engine sees it. Run as a program it lints the chart with every values file of ``ci/``."""

from __future__ import annotations

import multiprocessing
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "helm" / "responder"
NOTES = "responder/templates/NOTES.txt"
KUBERNETES = "v1.31.0"
INFO = 1
PATIENCE = 60.0

Values = dict[str, Any]


class RefusedError(Exception):
    """The chart, its schema or the engine refused the values."""


def ci_values() -> dict[str, Values]:
    """The values files that a lint must pass with, by name."""
    return {
        file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))
        for file in sorted((FOLDER / "ci").glob("*.yaml"))
    }


def findings(values: Values) -> list[str]:
    """What ``helm lint --strict`` complains of; advice is none of it."""
    import helm_python

    report = helm_python.lint(FOLDER, values, strict=True, namespace="ops", kube_version=KUBERNETES)
    bad = [f"{one['path']}: {one['error']}" for one in report["messages"] if one["severity"] > INFO]
    return bad or list(report["errors"])


def rendered(values: Values, name: str, namespace: str) -> dict[str, str]:
    """The text of every template.

    Raises:
        RefusedError: with the engine's own words.
    """
    import helm_python

    try:
        with helm_python.Chart.load(FOLDER) as chart:
            return chart.render(values, name=name, namespace=namespace)
    except helm_python.HelmError as error:
        raise RefusedError(str(error)) from None


class Objects:
    """What a render would create."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.notes = texts[NOTES]
        self.all: list[dict[str, Any]] = [
            one for name, text in texts.items() if name != NOTES for one in yaml.safe_load_all(text) if one
        ]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.all if one["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> dict[str, Any]:
        found = [one for one in self.of(kind) if name in (None, one["metadata"]["name"])]
        assert len(found) == 1, f"{len(found)} objects {kind} {name}"
        return found[0]

    @property
    def pod(self) -> dict[str, Any]:
        """The pod's specification."""
        spec: dict[str, Any] = self.one("Deployment")["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> dict[str, Any]:
        container: dict[str, Any] = self.pod["containers"][0]
        return container

    @property
    def config(self) -> dict[str, Any]:
        """``responder.yaml``."""
        name = next(v for v in self.pod["volumes"] if v["name"] == "config")["configMap"]["name"]
        config: dict[str, Any] = yaml.safe_load(self.one("ConfigMap", name)["data"]["responder.yaml"])
        return config


class Helm:
    """The engine in a process of its own: its runtime takes signals and threads that tests of processes want for themselves."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"))

    def close(self) -> None:
        self._pool.shutdown()

    def lint(self, values: Values) -> list[str]:
        return self._pool.submit(findings, values).result(PATIENCE)

    def render(
        self, values: Values | None = None, *, name: str = "responder", namespace: str = "ops"
    ) -> Objects:
        return Objects(self._pool.submit(rendered, values or {}, name, namespace).result(PATIENCE))

    def refused(self, values: Values) -> str:
        """Why these values are refused."""
        try:
            self.render(values)
        except RefusedError as error:
            return re.sub(r"\s+", " ", str(error))
        raise AssertionError(f"taken: {values}")


def _lint_all() -> Iterator[str]:
    for name, values in ci_values().items():
        for finding in findings(values):
            yield f"{name}: {finding}"


if __name__ == "__main__":
    complaints = list(_lint_all())
    sys.stderr.writelines(f"{FOLDER.name}: {one}\n" for one in complaints)
    sys.exit(1 if complaints else 0)
