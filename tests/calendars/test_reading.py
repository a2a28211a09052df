"""What stands in an iCalendar file, and files that were made to hurt."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime
from pathlib import Path

import pytest
from feed import calendar, event
from shifts import at

from responder.calendars.expand import expand
from responder.calendars.parse import BODY_LIMIT, CalendarError, Occurrences

START, END = at("2025-03-01 00:00"), at("2025-12-01 00:00")
DAY = ("20250601T080000Z", "20250601T160000Z")


async def read(raw: bytes) -> Occurrences:
    """Within a limit that no machine needs: the largest of these files takes seconds on one that is idle."""
    return await expand(raw, START, END, limit=100.0)


async def test_a_weekly_shift_keeps_its_time_on_the_wall_when_the_clock_changes() -> None:
    shift = event(
        "TZID=Europe/Berlin:20250106T090000", "TZID=Europe/Berlin:20250113T090000", "Ana", "RRULE:FREQ=WEEKLY"
    )
    found = (await read(calendar(shift))).events
    starts = {f"{one.start:%H:%M}" for one in found}
    assert starts == {"08:00", "07:00"}
    assert all(f"{one.end:%H:%M}" in starts for one in found)


async def test_exceptions_moved_and_cancelled_shifts_are_followed() -> None:
    shifts = calendar(
        event(*DAY, "Ana", "RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20250602T080000Z", uid="a"),
        event("20250603T100000Z", "20250603T120000Z", "Ben", "RECURRENCE-ID:20250603T080000Z", uid="a"),
        event("20250604T080000Z", "20250604T160000Z", "Ana", "RECURRENCE-ID:20250604T080000Z", "STATUS:CANCELLED", uid="a"),
    )  # fmt: skip
    found = (await read(shifts)).events
    assert [(f"{one.start:%d %H}", one.summary) for one in found] == [("01 08", "Ana"), ("03 10", "Ben")]


async def test_all_day_and_floating_times_stay_times_of_the_wall() -> None:
    found = (
        await read(
            calendar(
                event("VALUE=DATE:20250701", "VALUE=DATE:20250708"),
                event("20250801T090000", "20250801T170000"),
            )
        )
    ).events
    assert [(one.start, one.start.tzinfo) for one in found] == [
        (datetime.fromisoformat("2025-07-01"), None), (datetime.fromisoformat("2025-08-01T09:00"), None),
    ]  # fmt: skip


async def test_a_calendar_of_google_says_its_zone_for_all_events() -> None:
    own = calendar(event("20250701T090000", "20250701T170000"), more=("X-WR-TIMEZONE:America/New_York",))
    assert [one.start for one in (await read(own)).events] in (
        [at("2025-07-01 13:00")], [datetime.fromisoformat("2025-07-01T09:00")],
    )  # fmt: skip


async def test_attendees_are_read_with_name_and_address_except_who_declined() -> None:
    one = event(
        *DAY, "On call",
        'ATTENDEE;CN="Reyes, Ana";PARTSTAT=ACCEPTED:mailto:ana@example.com',
        "ATTENDEE;CN=Ben;PARTSTAT=DECLINED:mailto:ben@example.com",
        "ATTENDEE;EMAIL=cyd@example.com:urn:uuid:4711",
    )  # fmt: skip
    found = (await read(calendar(one))).events
    assert found[0].attendees == (("Reyes, Ana", "ana@example.com"), ("", "cyd@example.com"))


async def test_what_a_calendar_says_is_freed_of_control_characters_and_cut() -> None:
    found = (await read(calendar(event(*DAY, "Ana\x07\u202e" + "x" * 5_000)))).events
    assert len(found[0].summary) <= 200
    assert not set("\x07\u202e") & set(found[0].summary)


async def test_an_event_that_cannot_be_read_is_left_out_and_said() -> None:
    found = await read(calendar(event(*DAY, "Ana", "RRULE:FREQ=FOO"), event(*DAY, "Ben")))
    assert [one.summary for one in found.events] == ["Ben"]
    assert "left out" in found.warning


async def test_a_zone_that_nobody_knows_is_said() -> None:
    found = await read(calendar(event("TZID=No/Where:20250601T090000", "TZID=No/Where:20250601T170000")))
    assert "no time zone No/Where" in found.warning
    assert len(found.events) == 1


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "BEGIN:VCALENDAR is missing"),
        (b"<!DOCTYPE html><title>Sign in</title>", "a login page"),
        (calendar(event(*DAY))[:-20], "breaks off"),
        (b"BEGIN:VCALENDAR\r\n" + bytes(range(256)) * 200 + b"\r\nEND:VCALENDAR", "not readable"),
        (calendar(event(*DAY, "x", "RRULE:FREQ=SECO\r\n NDLY")), "repeats too often: FREQ=SECONDLY"),
        (calendar(event(*DAY, "x", "RRULE:freq=minutely")), "repeats too often"),
        (calendar(*["BEGIN:VEVENT\r\nEND:VEVENT"] * 5_001), "5001 events, more than 5000"),
        (b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * 4_000 + b"END:VEVENT\r\n" * 4_000 + b"END:VCALENDAR", "not readable"),
        (calendar(*(event(*DAY, "x", "RRULE:FREQ=HOURLY", uid=str(n)) for n in range(5))), "more than 20000 events"),
        (b"BEGIN:VCALENDAR" + b"x" * BODY_LIMIT, "over 1024 KiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_a_hostile_or_broken_file_gives_a_plain_problem(raw: bytes, says: str) -> None:
    with pytest.raises(CalendarError, match=says):
        await read(raw)


MINUTES = ",".join(str(n) for n in range(60))
BOMB = calendar(
    event("00010101T000000Z", "00010101T010000Z", "x", f"RRULE:FREQ=DAILY;BYHOUR=0,1,2;BYMINUTE={MINUTES}")
)


async def test_a_repetition_that_takes_for_ever_is_ended_and_holds_up_nothing_meanwhile() -> None:
    begun = time.monotonic()
    reading = asyncio.create_task(expand(BOMB, START, END, limit=10.0))
    longest = 0.0
    while not reading.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)
    with pytest.raises(CalendarError, match="longer than 10 s"):
        await reading
    assert time.monotonic() - begun < 60
    assert longest < 8.0


async def test_a_reader_does_not_outlive_its_cancellation() -> None:
    before = children()
    task = asyncio.create_task(expand(BOMB, START, END, limit=60.0))
    async with asyncio.timeout(30):
        while not children() - before:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert not children() - before


def children() -> set[Path]:
    """Living children of this process that read a calendar, as folders of ``/proc``."""
    return {entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _reads(entry)}


def _reads(entry: Path) -> bool:
    try:
        parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        return parent == os.getpid() and "responder.calendars.child" in (entry / "cmdline").read_text()
    except OSError:
        return False


async def test_the_reader_is_given_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "hunter2-hunter2")
    task = asyncio.create_task(expand(BOMB, START, END, limit=60.0))
    async with asyncio.timeout(30):
        while not (found := children()):
            await asyncio.sleep(0.01)
    assert "hunter2" not in (found.pop() / "environ").read_text()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
