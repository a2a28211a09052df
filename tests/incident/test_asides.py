"""What is only said aside: to conversations about the incident, in the lane of their page, and interrupting nobody."""

from __future__ import annotations

from stage import MINUTE, START, Play

from responder.incident.effects import SendMessage
from responder.incident.facts import AcknowledgedBy, AssignedTo, NoteAdded, ResolvedBy
from responder.incident.hold import Hold, HoldKind


def said(play: Play) -> list[tuple[str, str]]:
    """To whom, and what, since the last look."""
    found = [(one.contact, one.text) for _, one in play.asides]
    play.asides.clear()
    return found


def test_a_note_and_a_name_are_said_to_everybody_who_was_paged() -> None:
    play = Play().until(5)
    play.delivered()
    play.asides.clear()
    play.at(6, NoteAdded(at=play.now, by="ana", note="looking"))
    assert said(play) == [("dbteam", "ana: looking"), ("platform", "ana: looking")]
    play.at(7, AssignedTo(at=play.now, by="ana", to="ben"))
    assert said(play) == [("dbteam", "ana: assigned to ben."), ("platform", "ana: assigned to ben.")]


def test_who_was_paged_before_sees_that_another_level_is() -> None:
    play = Play()
    play.delivered()
    assert said(play) == []
    play.until(5)
    assert said(play) == [("dbteam", "")]


def test_what_holds_it_back_is_shown_and_so_is_its_end() -> None:
    play = Play()
    play.delivered()
    play.holds = (Hold(kind=HoldKind.SILENCE, by="ben", text="deploying"),)
    play.at(1)
    assert said(play) == [("dbteam", "")]
    play.at(2)
    assert said(play) == []


def test_what_is_told_anyway_is_not_said_aside_as_well_but_a_note_is() -> None:
    play = Play()
    play.delivered()
    play.at(1, AcknowledgedBy(at=START + MINUTE, by="ana"))
    assert said(play) == []
    over = play.at(2, ResolvedBy(at=play.now, by="ana"), NoteAdded(at=play.now, by="ana", note="fixed"))
    assert [one.aside for one in over.effects if isinstance(one, SendMessage)] == [False, True]
