"""Who takes over, and when: from the schedules alone."""

from __future__ import annotations

from datetime import timedelta

from shifts import at, layer, override, schedule

from responder.oncall.roster import Roster
from responder.oncall.takeovers import stands_for, takeovers

MONDAY = at("2026-11-23 09:00")
HOUR = timedelta(hours=1)


def roster(**schedules: str) -> Roster:
    return Roster({name: schedule("UTC", layer(people), name=name) for name, people in schedules.items()})


def found(one: Roster, hours: float = 1.0) -> list[tuple[str, tuple[str, ...]]]:
    start = MONDAY - HOUR / 2
    return [(each.person, each.schedules) for each in takeovers(one, start, start + hours * HOUR)]


def test_a_change_of_turns_is_one_takeover_by_whoever_comes() -> None:
    [one] = takeovers(roster(db="ana ben"), MONDAY - HOUR, MONDAY + HOUR)
    assert (one.at, one.schedules) == (MONDAY, ("db",))
    assert one.person in ("ana", "ben")
    assert takeovers(roster(db="ana ben"), MONDAY, MONDAY + HOUR) == ()  # it is not told twice
    assert takeovers(roster(db="ana ben"), MONDAY + HOUR, MONDAY + 2 * HOUR) == ()


def test_who_stays_takes_nothing_over() -> None:
    assert found(roster(db="ana")) == []


def test_an_override_is_a_takeover_and_so_is_its_end() -> None:
    changed = Roster(
        {
            "db": schedule(
                "UTC", layer("ana"), overrides=[override(MONDAY, MONDAY + HOUR, "ben", "cyd")], name="db"
            )
        }
    )
    assert found(changed, 4) == [("ben", ("db",)), ("cyd", ("db",)), ("ana", ("db",))]


def test_who_takes_over_several_schedules_at_once_hears_of_it_once() -> None:
    both = roster(api="ana ben", db="ana ben")
    [(_, schedules)] = found(both)
    assert schedules == ("api", "db")


def test_a_name_of_the_matrix_stands_for_the_schedules_inside_its_teams() -> None:
    nested = Roster({"db": schedule("UTC", layer("ana ben"), name="db")}, {"everybody": ("db", "cyd")})
    assert "db" in stands_for(nested, "everybody")
    assert stands_for(nested, "cto") == {"cto"}
