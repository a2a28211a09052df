"""One mistake is told once: what only seems to be missing, because a file or a section cannot be read, is not told as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from responder.catalogue import catalogue
from responder.documents import Place
from responder.rules.load import Surroundings, load
from responder.rules.service_checks import ServiceOf

NAMES = """rules:
  - {name: a, match: ['x="y"'], severity: P2, service: database, runbook: slow}
services: {api: {depends_on: [database]}}
runbooks: {own: {diagnose: [connections], offer: [restart]}}
schedules: {night: {timezone: UTC, rotation: [ana, ben], handoff: "09:00"}}
quiet_hours: {P3: {hours: "20:00-08:00"}}
drills: [{name: d, service: database, at: "10:00"}]
maintenance: [{name: m, match: ['service="database"'], from: 2026-12-24T22:00Z, to: 2026-12-25T02:00Z}]
"""
HEARTBEAT = ServiceOf(what="heartbeats[0]", service="database", place=Place("responder.yaml", 1, 1))


def told(folder: Path, **texts: str) -> list[str]:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    found = load([str(folder)], Surroundings(catalogue=catalogue(), services=(HEARTBEAT,)))
    assert found.raw is None
    return [str(one).removeprefix(f"{folder}/") for one in found.problems]


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        ("escalation:\n  database: {primary: dbteam\n  platform: [\n", "z.yaml:3:11: error: not YAML: did not find"),
        ("- escalation\n", "z.yaml:1:1: error: rule file: expected a mapping, got a list"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_all_that_is_told(tmp_path: Path, broken: str, cause: str) -> None:
    (only,) = told(tmp_path, a=NAMES, z=broken)
    assert only.startswith(cause)


def test_a_file_that_is_not_text_is_all_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "z.yaml").write_bytes(b"\xff\xfe")
    assert told(tmp_path, a=NAMES) == ["z.yaml:1:1: error: cannot read it: not UTF-8"]


def test_a_file_that_is_not_there_is_all_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(NAMES)
    found = load([f"{tmp_path}/a.yaml", f"{tmp_path}/gone.yaml"], Surroundings(catalogue=catalogue()))
    assert [str(one) for one in found.problems] == [
        f"{tmp_path}/gone.yaml:1:1: error: no such rule file or folder"
    ]


def test_what_is_wrong_by_itself_is_told_beside_a_file_that_cannot_be_read_and_after_it(
    tmp_path: Path,
) -> None:
    found = told(tmp_path, a="rules: [{name: a, match: ['x'], severity: P9, service: s}]\n", z="a: [\n")
    assert [one.partition(":")[0] for one in found] == ["z.yaml", "a.yaml", "a.yaml"]
    assert "severity: expected one of" in found[1] + found[2]


def test_a_section_under_a_misspelt_key_takes_no_others_with_it(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        a="escalaton: {platform: {primary: ana}, database: {primary: ben}}\n",
        b="rules: [{name: a, match: ['x=\"y\"'], severity: P2, service: database, runbook: slow}]\n",
    )
    assert found == [
        "a.yaml:1:1: error: unknown key 'escalaton' (did you mean \"escalation\"?)",
        "b.yaml:1:79: error: rule a: no runbook 'slow'",
    ]


def test_a_section_that_is_no_mapping_takes_no_others_with_it(tmp_path: Path) -> None:
    assert told(tmp_path, a="escalation: [platform]\n") == [
        "a.yaml:1:13: error: escalation: expected a mapping, got a list"
    ]


def test_a_default_that_cannot_be_read_is_not_judged_as_the_shipped_one(tmp_path: Path) -> None:
    (only,) = told(
        tmp_path, a="escalation: {database: {primary: ana}}\ndefault: {severity: P9, service: database}\n"
    )
    assert "default.severity: expected one of" in only


def test_a_file_with_nothing_in_it_hides_no_mistake(tmp_path: Path) -> None:
    for nothing in ("", "# later\n", "~\n"):
        assert any("nobody would be paged" in one for one in told(tmp_path, a="rules: []\n", z=nothing))


def test_a_key_that_is_no_name_is_told_and_does_not_end_the_check(tmp_path: Path) -> None:
    first, *_ = told(tmp_path, a="rules:\n  - name: a\n    ? [b, c]\n    : d\n")
    assert first == "a.yaml:3:7: error: rules[0]: expected a name, got a list"
