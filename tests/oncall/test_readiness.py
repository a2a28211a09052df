"""Would a page find somebody? Gaps, lonely people and dead contacts, by date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from shifts import at, hours, layer, override, schedule

from responder.oncall.layer import CalendarLayer
from responder.oncall.readiness import Question, Row, Trouble, ready, troubles
from responder.oncall.roster import Roster
from responder.oncall.schedule import Schedule

START = at("2025-06-02 00:00")
END = START + timedelta(days=14)
SEVERITIES = ("P1", "P4")


def asking(
    roster: Roster, *rows: Row, deaf: Sequence[tuple[str, str]] = ()
) -> tuple[tuple[Trouble, ...], tuple[Row, ...]]:
    """Everybody is reached, except who stands in ``deaf`` with a severity."""
    question = Question(
        rows=rows,
        start=START,
        end=END,
        reach=lambda person, severity, _name: () if (person, severity) in deaf else ("chat",),
        severities=SEVERITIES,
    )
    return troubles(roster, question), rows


def row(service: str, *names: str) -> Row:
    levels = ("primary", "secondary", "executive")
    return Row(service=service, levels=tuple(zip(levels, names, strict=False)))


def told(found: Sequence[Trouble]) -> list[str]:
    return [
        f"{one.start:%m-%d %H:%M}-{one.end:%m-%d %H:%M} {one.service}/{one.level} {one.kind}: {one.text}"
        for one in found
    ]


def test_a_matrix_of_people_who_can_be_reached_is_ready() -> None:
    found, rows = asking(Roster(), row("database", "ana", "ben", "cto"))
    assert found == ()
    assert ready(rows, found) == {
        ("database", level): True for level in ("primary", "secondary", "executive")
    }


def test_gaps_are_named_by_date_and_make_only_their_own_level_unready() -> None:
    roster = Roster({"dbteam": schedule("UTC", layer("ana", start="2025-06-04"), name="dbteam")})
    found, rows = asking(roster, row("database", "dbteam", "cto"))
    assert told(found) == ["06-02 00:00-06-09 09:00 database/primary gap: nobody is on call for dbteam"]
    assert ready(rows, found) == {("database", "primary"): False, ("database", "secondary"): True}


def test_every_night_without_anybody_is_a_gap_of_its_own() -> None:
    roster = Roster(
        {"office": schedule("UTC", layer("ana", windows=hours("09:00-17:00", range(5))), name="office")}
    )
    found, _ = asking(roster, row("api", "office"))
    assert len(found) == 11
    assert told(found)[:2] == [
        "06-02 00:00-06-02 09:00 api/primary gap: nobody is on call for office",
        "06-02 17:00-06-03 09:00 api/primary gap: nobody is on call for office",
    ]


def test_one_person_at_every_level_is_told_for_as_long_as_it_is_so() -> None:
    base = schedule("UTC", layer("ana ben", "Mon 00:00", "1w", start="2025-06-02"), name="dbteam")
    roster = Roster({"dbteam": base})
    found, rows = asking(roster, row("database", "dbteam", "ben"))
    assert told(found) == ["06-09 00:00-06-16 00:00 database/ alone: ben is on call at every level"]
    assert not any(ready(rows, found).values())
    changed = schedule(
        "UTC", layer("ana ben", "Mon 00:00", "1w", start="2025-06-02"),
        overrides=[override(at("2025-06-09 00:00"), END, "zoe")],
    )  # fmt: skip
    assert asking(Roster({"dbteam": changed}), row("database", "dbteam", "ben"))[0] == ()


def test_a_row_with_one_level_has_nobody_to_be_compared_with() -> None:
    assert asking(Roster(), row("database", "ana"))[0] == ()


def test_l12_a_person_without_a_usable_channel_is_an_error_and_names_the_severities() -> None:
    """L12: a contact had no way to be reached, and nobody knew until it was needed."""
    roster = Roster(
        {"dbteam": schedule("UTC", layer("ana ben", "Mon 00:00", "1w", start="2025-06-02"), name="dbteam")},
        {"web": ("dbteam", "cyd")},
    )
    deaf = [("ben", "P1"), ("ben", "P4"), ("cyd", "P4")]
    found, rows = asking(roster, row("database", "dbteam", "cto"), row("api", "web"), deaf=deaf)
    assert told(found) == [
        "06-02 00:00-06-16 00:00 api/primary unreachable: cyd cannot be reached over any channel for P4",
        "06-09 00:00-06-16 00:00 api/primary unreachable: ben cannot be reached over any channel for P1, P4",
        "06-09 00:00-06-16 00:00 database/primary unreachable: ben cannot be reached over any channel for P1, P4",
    ]
    assert ready(rows, found) == {
        ("api", "primary"): False, ("database", "primary"): False, ("database", "secondary"): True,
    }  # fmt: skip


def test_a_calendar_that_nobody_could_read_is_told_as_unknown() -> None:
    feed = Schedule(name="feed", zone=schedule("UTC").zone, layers=(CalendarLayer(name="feed"),))
    found, _ = asking(Roster({"feed": feed}), row("api", "feed"))
    assert told(found) == [
        "06-02 00:00-06-16 00:00 api/primary unknown: nobody knows who is on call for feed"
    ]
