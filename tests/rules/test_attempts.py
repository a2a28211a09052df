"""What one attempt at an action may take, against the time that it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from responder.actions import gates
from responder.catalogue import catalogue
from responder.rules.limits import LONGEST_QUESTION
from responder.rules.load import Surroundings, load

PROBES = """
probes:
  quick: {type: http, target: api, path: /health, timeout: 5s}
  slow: {type: http, target: api, path: /health, timeout: 20s}
"""


def cut_off(tmp_path: Path, action: str) -> bool:
    (tmp_path / "rules.yaml").write_text(
        f"{PROBES}\nactions:\n  a: {{type: http, target: api, path: /x, {action}}}\n"
    )
    found = load([str(tmp_path)], Surroundings(catalogue=catalogue())).problems
    return any("one attempt could take" in one.text for one in found)


@pytest.mark.parametrize(
    ("action", "over"),
    [
        ("timeout: 30s", False),
        ("timeout: 30s, precondition: {probe: quick}", False),
        ("timeout: 30s, precondition: {probe: slow}, verify: quick", True),
        ("timeout: 20s, precondition: {probe: quick}, verify: slow", False),
        ("timeout: 21s, precondition: {probe: quick}, verify: slow", True),
        # Where nothing else is named, the precondition's probe looks before the change as well.
        ("timeout: 20s, precondition: {probe: slow}", True),
        ("timeout: 5s, precondition: {probe: slow}", False),
        ("timeout: 5s, precondition: {probe: gone}, verify: gone-too", False),
    ],
)
def test_an_attempt_that_could_be_cut_off_is_an_error(tmp_path: Path, action: str, *, over: bool) -> None:
    assert cut_off(tmp_path, action) is over


def test_the_gates_keep_to_what_is_reckoned_with() -> None:
    assert gates._ASKED_WITHIN == LONGEST_QUESTION
