"""``oncall``, ``schedule``, ``check --schedules`` and ``explain --at``, as a user types them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from daemon import DaemonProcess, running

from responder.cli import main
from responder.clock import SystemClock

RULES = """
escalation:
  database: {primary: dbteam, secondary: night, executive: cto}
contacts: {ana: {email: ana@x.example}, ben: {email: ben@x.example}, cto: {email: cto@x.example}}
schedules:
  dbteam: {timezone: Europe/Berlin, rotation: [ana, ben], handoff: "Mon 09:00", start: 2025-01-06}
  night: {timezone: Asia/Manila, rotation: [ben]}
default: {service: database}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.yaml").write_text(RULES)
    file = tmp_path / "responder.yaml"
    file.write_text("rules: [rules/]\nchannels: {mail: {type: email, host: localhost, from: r@x.example}}\n")
    return file


def rewritten(config: Path, old: str, new: str) -> None:
    file = config.parent / "rules" / "rules.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


class Typed:
    """What a command answered."""

    def __init__(self, code: int, out: str, error: str) -> None:
        self.code, self.out, self.error = code, out, error


def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Typed:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    shown = capsys.readouterr()
    code = ended.value.code
    return Typed(code if isinstance(code, int) else 1, shown.out, shown.err)


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("2026-07-01T09:00:00 PST", "PST means different zones to different people: give an offset"),
        ("2026-07-01 09:00 CET", "CET means different zones"),
        ("2026-07-01T09:00:00", "does not say where: give an offset"),
    ],
)
def test_a_time_that_could_be_meant_otherwise_is_refused_with_the_fix(
    config: Path, capsys: pytest.CaptureFixture[str], at: str, says: str
) -> None:
    for command in ("oncall", "schedule", "explain"):
        answer = typed(capsys, command, "--config", str(config), "--at", at)
        assert answer.code == 2
        assert says in answer.error


def test_oncall_says_who_it_is_at_a_time_from_the_files_alone(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = typed(capsys, "oncall", "--config", str(config), "--at", "2025-03-31T06:59:00Z")
    assert found.code == 0
    assert found.out.splitlines() == [
        "on call at 2025-03-31T06:59:00Z",
        "database             primary    dbteam: ben",
        "                     secondary  night: ben",
        "                     executive  cto",
    ]
    later = typed(capsys, "oncall", "--config", str(config), "--at", "2025-03-31T07:00:00Z", "--json")
    assert json.loads(later.out)["oncall"][0]["levels"][0]["people"] == ["ana"]


def test_schedule_shows_the_coming_weeks_on_the_wall_with_gaps_marked(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(config, "start: 2025-01-06}", "start: 2025-01-06, end: 2025-04-07}")
    found = typed(
        capsys, "schedule", "dbteam", "--config", str(config), "--at", "2025-03-24T08:00:00Z", "--weeks", "3"
    )
    assert found.out.splitlines() == [
        "dbteam (Europe/Berlin)",
        "  Mon 2025-03-24 09:00 CET   6d23h        ben",
        "  Mon 2025-03-31 09:00 CEST  7d           ana",
        "  Mon 2025-04-07 09:00 CEST  7d1h         GAP: nobody is on call",
    ]
    every = typed(capsys, "schedule", "--config", str(config), "--json", "--at", "2025-03-24T08:00:00Z")
    assert [one["name"] for one in json.loads(every.out)["schedules"]] == ["dbteam", "night"]


def test_a_schedule_that_is_not_there_is_an_error_with_what_is(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = typed(capsys, "schedule", "dbtaem", "--config", str(config))
    assert found.code == 1
    assert "no schedule 'dbtaem' (did you mean \"dbteam\"?)" in found.error


@pytest.mark.parametrize(
    "arguments",
    [
        ("oncall", "--at", "noon"),
        ("oncall", "--url", "http://x", "--config", "y"),
        ("schedule", "--weeks", "0"),
        ("schedule", "override", "dbteam", "--who", "ana"),
        ("schedule", "override", "--who", "ana", "--from", "x", "--to", "y"),
        ("schedule", "swap", "dbteam", "--who", "ana", "--from", "x", "--to", "y"),
        ("schedule", "remove", "a", "b"),
        ("schedule", "dbteam", "--who", "ana"),
        ("check", "--days", "3"),
        ("check", "--schedules", "--days", "-1"),
        ("check", "--schedules", "--at", "tomorrow"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_would_be_right(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    found = typed(capsys, *arguments)
    assert found.code == 2
    assert "responder" in found.error


def test_check_schedules_is_clean_where_somebody_is_always_there(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = typed(capsys, "check", "--config", str(config), "--schedules", "--at", "2025-03-24T08:00:00Z")
    assert (found.code, found.out) == (0, "0 error(s), 0 warning(s)\n")


def test_l12_check_schedules_names_gaps_lonely_people_and_dead_contacts_by_date(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """L12: the second level's contact had no way to be reached; here the check fails before that is needed."""
    rewritten(config, ", executive: cto", "")
    rewritten(config, "start: 2025-01-06}", "start: 2025-01-06, end: 2025-04-07}")
    rewritten(config, "ana: {email: ana@x.example}", 'ana: {slack: "@ana"}')
    found = typed(
        capsys,
        "check",
        "--config",
        str(config),
        "--schedules",
        "--at",
        "2025-03-24T08:00:00Z",
        "--days",
        "21",
    )
    assert found.code == 1
    unreachable = "ana cannot be reached over any channel for P1, P2, P3, P4"
    assert [one.removeprefix("schedules: error: ") for one in found.out.splitlines()] == [
        "2025-03-24 08:00 UTC to 2025-03-31 07:00 UTC: database: ben is on call at every level",
        f"2025-03-31 09:00 CEST to 2025-04-07 09:00 CEST: database primary: {unreachable}",
        "2025-04-07 09:00 CEST to 2025-04-14 10:00 CEST: database primary: nobody is on call for dbteam",
        "3 error(s), 0 warning(s)",
    ]


def test_check_schedules_does_not_judge_what_cannot_be_read(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(config, "Europe/Berlin", "Europe/Berlim")
    found = typed(capsys, "check", "--config", str(config), "--schedules")
    assert found.code == 1
    assert 'did you mean "Europe/Berlin"?' in found.out
    assert found.out.endswith("1 error(s), 0 warning(s)\n")


def test_check_schedules_tells_of_calendars_that_are_broken_or_name_strangers(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(
        config, "{timezone: Asia/Manila, rotation: [ben]}", "{timezone: Asia/Manila, ical: {file: night.ics}}"
    )
    file = config.parent / "rules" / "night.ics"
    file.write_text("<html>")
    arguments = (
        "check",
        "--config",
        str(config),
        "--schedules",
        "--at",
        "2025-03-24T08:00:00Z",
        "--days",
        "1",
    )
    found = typed(capsys, *arguments)
    assert found.code == 1
    assert "database secondary: nobody knows who is on call for night" in found.out
    assert "schedules: warning: night: never read: it is no iCalendar file" in found.out
    file.write_text(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Zo\x1b[31me\r\n"
        "DTSTART:20250301T000000Z\r\nDTEND:20250501T000000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    found = typed(capsys, *arguments)
    assert "database secondary: nobody is on call for night" in found.out
    assert "schedules: warning: night: events name nobody we know: 'Zo [31me'" in found.out
    assert "\x1b" not in found.out
    assert not (config.parent / "data").exists()


def test_explain_says_who_would_be_paged_at_that_time(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--config", str(config), "--at", "2025-03-31T07:00:00Z")
    found = typed(capsys, "explain", *at, "alertname=x")
    assert "primary   dbteam after 0s: ana over mail" in found.out
    assert "executive cto after 4h, over mail" in found.out
    assert json.loads(typed(capsys, "explain", *at, "--json", "a=b").out)["paged"][0]["people"] == [
        {"name": "ana", "channels": ["mail"]}
    ]


async def on_terminal(daemon: DaemonProcess, *arguments: str) -> Typed:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "responder", *arguments, "--url", daemon.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    return Typed(process.returncode or 0, out.decode(), error.decode())


async def test_overrides_and_swaps_are_made_shown_and_taken_back_from_a_terminal(tmp_path: Path) -> None:
    now = SystemClock().now()
    span = ("--from", (now - timedelta(hours=1)).isoformat(), "--to", (now + timedelta(hours=1)).isoformat())
    async with running(tmp_path, {}, RULES) as daemon:
        made = await on_terminal(
            daemon,
            "schedule",
            "override",
            "dbteam",
            "--who",
            "cto",
            *span,
            "--by",
            "ana",
            "--note",
            "dentist",
        )
        assert made.code == 0, made.error
        assert made.out.rstrip().endswith(": cto")
        assert "primary    dbteam: cto" in (await on_terminal(daemon, "oncall")).out
        weeks = (await on_terminal(daemon, "schedule", "dbteam", "--weeks", "1")).out
        assert "override: dentist" in weeks
        swap = await on_terminal(
            daemon, "schedule", "swap", "dbteam", "--between", "ana", "ben", *span, "--json"
        )
        assert json.loads(swap.out)["who"] == ["ana", "ben"]
        for change in (made.out.split()[0], json.loads(swap.out)["id"]):
            assert (await on_terminal(daemon, "schedule", "remove", change)).out == "removed from dbteam\n"
        again = await on_terminal(daemon, "schedule", "remove", made.out.split()[0])
        assert (again.code, again.error) == (1, f"responder: no override or swap {made.out.split()[0]}\n")
        refused = await on_terminal(daemon, "schedule", "override", "dbteam", "--who", "zoe", *span)
        assert (refused.code, refused.error.startswith("responder: 400: body.who: no contact 'zoe'")) == (
            1,
            True,
        )
        nowhere = await on_terminal(daemon, "schedule", "override", "dbtaem", "--who", "ana", *span)
        assert "404: no schedule 'dbtaem'" in nowhere.error


async def test_on_a_machine_that_names_its_daemon_the_daemon_answers(tmp_path: Path) -> None:
    async with running(tmp_path, {}, RULES) as daemon:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "responder", "oncall",
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "RESPONDER_URL": daemon.url},
        )  # fmt: skip
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert "secondary  night: ben" in out.decode()
