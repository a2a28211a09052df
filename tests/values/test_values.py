"""Small values: durations, texts, secrets, fingerprints."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from conftest import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

from responder.alerts import fingerprint
from responder.durations import format_duration, parse_duration
from responder.secrets import Redactor, Secret
from responder.text import block, one_line


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("1d", 86400), ("500ms", 0.5), ("0", 0), ("2w", 1209600)],
)
def test_durations_read_as_prometheus_writes_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "1.5h", "-5m", "5 m", "1m1h", "five"])
def test_what_is_no_duration_says_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="90s, 15m or 1h30m"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**11))
def test_a_duration_written_and_read_is_the_same(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


def test_text_of_senders_loses_what_could_steer_a_reader() -> None:
    hostile = "a\x1b[31mred\r\nX: y\u202eevil\u2028z\x00"
    assert one_line(hostile, 100) == "a [31mred X: y evil z"
    assert "\x1b" not in block(hostile, 100)
    assert one_line("x" * 50, 10) == "x" * 9 + "…"


@given(st.text())
def test_one_line_is_one_line_and_no_longer_than_asked(text: str) -> None:
    line = one_line(text, 40)
    assert len(line) <= 40
    assert len(line.splitlines()) <= 1


def test_fingerprints_are_alertmanagers_own() -> None:
    checked = 0
    for path in FIXTURES.glob("*.json"):
        decoded = json.loads(path.read_bytes())
        for alert in decoded.get("alerts", []) if isinstance(decoded, dict) else []:
            assert fingerprint(alert["labels"]) == alert["fingerprint"], path.name
            checked += 1
    assert checked > 30


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret("hunter2secret")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} { ({'a': secret}) }"
    assert secret.reveal() == "hunter2secret"


def test_configured_secrets_and_what_looks_like_one_are_blanked() -> None:
    redact = Redactor(["s3cret-value", "abc"])
    for text in (
        "password=hunter2", "Authorization: Bearer abcdefghijklmnop", "postgres://u:pa55word@db/x", "s3cret-value",
        "xoxb-123-456-abc", "token: eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl", "AKIAABCDEFGHIJKLMNOP",
        "https://hooks.slack.com/services/T0/B0/xyz",
    ):  # fmt: skip
        shown = redact(text)
        assert "<redacted>" in shown, text
        for part in ("hunter2", "pa55word", "s3cret-value", "c2lnbmF0dXJl", "AKIAABCD", "B0/xyz", "123-456"):
            assert part not in shown
    assert redact("abc is an ordinary word") == "abc is an ordinary word"


@given(st.text(max_size=300))
def test_redaction_never_fails(text: str) -> None:
    Redactor(["secret-one"])(text)
