"""Plans of channels, personal delays against the matrix, acknowledgements that lapse, and everybody on a level."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from test_rules import BASE, compiled, says

from responder.incident.policy import AcknowledgementPolicy
from responder.incident.severity import LEVELS, Level, Severity
from responder.rules.explain import as_text, explain
from responder.rules.maintenance import LASTS
from responder.rules.times import RANGES

MINUTE = timedelta(minutes=1)


def errors(tmp_path: Path, *texts: str) -> list[str]:
    return [one for one in says(tmp_path, BASE, *texts) if ": error: " in one]


def test_a_channel_may_have_a_time_at_contacts_and_severities(tmp_path: Path) -> None:
    rules = compiled(
        tmp_path,
        BASE,
        "contacts: {dbteam: {channels: {P1: [chat, {channel: phone, after: 2m}]}}}\n"
        "severities: {P2: {respond_within: 1h, channels: [chat, {channel: mail, after: 90s}]}}",
        channels=("log",),
    )
    channels = rules.policy("database").channels["dbteam"]
    assert [str(step) for step in channels[Severity.P1]] == ["chat", "phone after 2m"]
    assert [str(step) for step in channels[Severity.P2]] == ["chat", "mail after 1m30s"]
    assert [str(step) for step in channels[Severity.P3]] == ["log"]


def test_people_whom_no_row_names_have_plans_too(tmp_path: Path) -> None:
    rules = compiled(tmp_path, BASE, "contacts: {ana: {channels: {P1: [phone]}}}", channels=("log",))
    assert [str(step) for step in rules.channels_of("ana", Severity.P1)] == ["phone"]
    assert [str(step) for step in rules.channels_of("nobody knows", Severity.P1)] == ["log"]


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ("[{channel: chat, afer: 2m}]", "unknown key 'afer'"),
        ("[{after: 2m}]", "missing channel"),
        ("[{channel: chat, after: soon}]", "expected a duration"),
        ("[[chat]]", "is not expected here"),
        ("[{channel: chat, after: 3m}, {channel: mail, after: 2m}]",
         "contacts.dbteam.channels.P1: mail after 2m stands behind chat after 3m; put the earlier one first"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_plan_is_told_with_its_place(tmp_path: Path, plan: str, text: str) -> None:
    found = errors(tmp_path, f"contacts:\n  dbteam: {{channels: {{P1: {plan}}}}}")
    assert any(one.startswith("1.yaml:2:") and text in one for one in found), found


def test_l14_a_personal_delay_as_long_as_the_step_to_the_next_level_is_refused_with_the_fix(
    tmp_path: Path,
) -> None:
    """L14: the next level pre-empted a person's own later phone call."""
    text = "contacts:\n  dbteam: {channels: {P1: [chat, {channel: phone, after: 5m}]}}"
    expected = (
        "1.yaml:2:3: error: contacts.dbteam.channels.P1: phone after 5m comes too late: row database pages its "
        "secondary 5m after its primary; make it shorter than 5m, or give the level more time in "
        "severities.P1.escalate"
    )
    assert errors(tmp_path, text) == [expected]


def test_l14_a_shorter_delay_is_taken_and_so_is_a_longer_step(tmp_path: Path) -> None:
    """L14."""
    plan = "contacts: {dbteam: {channels: {P1: [chat, {channel: phone, after: 4m}]}}}"
    assert errors(tmp_path, plan) == []
    longer = "severities: {P1: {respond_within: 15m, escalate: {secondary: 10m}}}"
    assert errors(tmp_path, plan.replace("4m", "9m"), longer) == []


def test_l14_the_last_level_has_until_it_is_paged_anew(tmp_path: Path) -> None:
    """L14."""
    found = errors(tmp_path, "contacts: {cto: {channels: {P1: [chat, {channel: phone, after: 20m}]}}}")
    assert len(found) == 1
    assert "row database pages its executive anew 15m later; make it shorter than 15m" in found[0]


def test_l14_the_plan_of_a_severity_counts_for_all_who_have_none(tmp_path: Path) -> None:
    """L14."""
    text = "severities:\n  P1: {respond_within: 15m, channels: [chat, {channel: phone, after: 6m}]}"
    found = errors(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith("1.yaml:2:3: error: severities.P1.channels: phone after 6m comes too late")


def test_l14_people_of_a_schedule_are_held_to_the_rows_that_name_it(tmp_path: Path) -> None:
    """L14."""
    found = errors(
        tmp_path,
        "schedules: {dbteam: {timezone: UTC, rotation: [ana, ben], handoff: 'Mon 09:00'}}\n"
        "contacts: {ana: {}, ben: {channels: {P1: [chat, {channel: phone, after: 7m}]}}, eve: {channels: {P1: [{channel: phone, after: 7m}]}}}",
    )
    assert len(found) == 1
    assert "contacts.ben.channels.P1: phone after 7m comes too late: row database" in found[0]


def test_an_acknowledgement_may_lapse_by_severity(tmp_path: Path) -> None:
    rules = compiled(
        tmp_path,
        BASE,
        "severities: {P1: {respond_within: 15m, acknowledgement: {remind_after: 30m, lapse_after: 45m}}}",
    )
    severities = rules.policy("database").severities
    assert severities[Severity.P1].acknowledgement == AcknowledgementPolicy(
        remind_after=30 * MINUTE, lapse_after=45 * MINUTE
    )
    assert severities[Severity.P2].acknowledgement == AcknowledgementPolicy()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("{remind_after: 45m, lapse_after: 30m}",
         "remind_after: 45m is not before lapse_after (30m), so nobody would be reminded; make it shorter"),
        ("{lapse_after: 0s}", "lapse_after: expected 1m to 30d, got 0s"),
        ("{remind_after: 10s}", "remind_after: expected 1m to 30d, got 10s"),
        ("{lapses_after: 10m}", "unknown key 'lapses_after' (did you mean \"lapse_after\"?)"),
    ],
)  # fmt: skip
def test_silences_that_make_no_sense_are_refused(tmp_path: Path, rule: str, text: str) -> None:
    found = errors(tmp_path, f"severities:\n  P1: {{respond_within: 15m, acknowledgement: {rule}}}")
    assert len(found) == 1
    assert found[0].startswith("1.yaml:2:")
    assert text in found[0]


@pytest.mark.parametrize(
    ("option", "levels"),
    [("true", LEVELS), ("false", ()), ("[primary]", (Level.PRIMARY,))],
)
def test_a_row_may_ask_everybody_on_all_or_some_of_its_levels(
    tmp_path: Path, option: str, levels: tuple[Level, ...]
) -> None:
    rules = compiled(
        tmp_path,
        BASE + f"  api: {{primary: backend, secondary: platform, executive: cto, everybody: {option}}}\n",
    )
    assert rules.policy("api").everybody == levels
    assert rules.policy("database").everybody == ()


def test_everybody_on_a_level_that_the_row_does_not_have_is_refused(tmp_path: Path) -> None:
    found = says(tmp_path, BASE + "  api: {primary: backend, everybody: [executive]}\n")
    assert any(
        "escalation.api.everybody: the row has no executive; add one, or take it out" in one for one in found
    )


def test_the_explanation_tells_times_and_who_has_to_acknowledge(tmp_path: Path) -> None:
    rules = compiled(
        tmp_path,
        BASE + "  api: {primary: backend, secondary: platform, everybody: [primary]}\n",
        "contacts: {backend: {channels: {P1: [chat, {channel: phone, after: 2m}]}}}\n"
        "rules: [{name: a, severity: P1, service: api}]",
    )
    text = as_text(explain(rules, {"alertname": "X"}))
    assert "primary   backend after 0s, over chat, phone after 2m, each has to acknowledge" in text
    assert "secondary platform after 5m, over log\n" in text + "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{respond_within: 99d}", "2:24: error: severities.P1.respond_within: expected 1s to 30d, got 99d"),
        ("{respond_within: 0s}", "2:24: error: severities.P1.respond_within: expected 1s to 30d, got 0s"),
        ("{respond_within: 15m, update_every: 1y}", "error: severities.P1.update_every: expected 1s to 30d, got 365d"),
        ("{respond_within: 15m, escalate: {secondary: 31d}}",
         "2:51: error: severities.P1.escalate.secondary: expected 0s to 30d, got 31d"),
        ("{respond_within: 15m, escalate: {secondary: 5s}}",
         "warning: severities.P1.escalate.secondary: 5s leaves nobody the time to act; 1m or more is usual"),
        ("{respond_within: 15m, acknowledgement: {lapse_after: 99d}}", "lapse_after: expected 1m to 30d, got 99d"),
    ],
)  # fmt: skip
def test_a_time_that_nobody_can_mean_is_told_where_it_stands(tmp_path: Path, text: str, said: str) -> None:
    found = says(tmp_path, BASE, f"severities:\n  P1: {text}")
    assert [one for one in found if said in one], found


def test_two_levels_may_be_paged_at_once(tmp_path: Path) -> None:
    text = "severities: {P1: {respond_within: 15m, escalate: {secondary: 0s}}}"
    assert says(tmp_path, BASE, text) == says(tmp_path, BASE)


def test_the_docs_list_the_ranges_of_a_severity() -> None:
    section = Path("docs/rules.md").read_text().partition("## Ranges")[2]
    for key, allowed in RANGES.items():
        assert f"| `severities.*.{key}` | {allowed} |" in section
    assert f"| `maintenance[].lasts` | {LASTS} |" in section
