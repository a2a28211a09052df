"""What ``--help`` says: of every command and each of its arguments, so that nobody has to guess."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from responder.cli import main, parser


def commands(of: argparse.ArgumentParser) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Every command below one, with its line in the list that names it."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            lines = {one.dest: one.help or "" for one in action._choices_actions}
            for name, command in action.choices.items():
                yield command, lines.get(name, "")
                yield from commands(command)


ALL = list(commands(parser()))


@pytest.mark.parametrize(("command", "line"), ALL, ids=[command.prog for command, _ in ALL])
def test_every_command_and_each_of_its_arguments_says_what_it_is(
    command: argparse.ArgumentParser, line: str
) -> None:
    assert line, "it has no line in the list"
    assert len(line.split()) > 2, line
    assert command.description, "its own help does not say what it does"
    silent = [
        action.dest
        for action in command._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]
    assert silent == []
    names = [action.metavar or action.dest for action in command._actions if not action.option_strings]
    assert not [name for name in names if str(name) == "id"], "what goes there is shown in capitals"


@pytest.mark.parametrize(
    "arguments",
    [
        ("incidents", "show", "nonsense"), ("incidents", "ack", "12"), ("incidents", "silence", "x", "2h"),
        ("actions", "run", "x", "restart"), ("maintenance", "end", ""),
    ],
)  # fmt: skip
def test_an_id_that_is_none_is_told_by_its_form(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "expected 16 hex digits" in capsys.readouterr().err


def test_a_note_needs_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["incidents", "note", "a" * 16])
    assert ended.value.code == 2
    assert "expected a TEXT" in capsys.readouterr().err
