"""Text messages: the alphabet of telephones, two segments, and the words of a tired person's screen."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest
from conftest import body
from hypothesis import given
from hypothesis import strategies as st
from pages import AT, message

from responder.incident.message import Message, MessageKind
from responder.paging.sms_text import is_gsm, plain, segments, size, sms

LINK = "https://responder.example/ack/" + "t" * 86


def page(title: str = "PostgresTooManyConnections: 97 of 100 connections used", **more: object) -> Message:
    incident = msgspec.structs.replace(message().incident, title=title)
    made = message(incident=incident, ack_url=LINK, respond_by=AT + timedelta(minutes=15))
    return msgspec.structs.replace(made, **more)


def test_a_page_says_what_is_broken_since_when_and_what_to_answer() -> None:
    text = sms(page(), "7f3k")
    assert text.split("\n") == [
        "P1 database: PostgresTooManyConnections: 97 of 100 connections used",
        "5 firing, since 03:00 UTC",
        "Reply ACK 7f3k by 03:15 UTC (ESC 7f3k: next person)",
        LINK,
    ]
    assert segments(text) == 2


def test_without_a_code_the_link_is_how_to_answer() -> None:
    text = sms(page(), "")
    assert text.endswith(f"Acknowledge by 03:15 UTC:\n{LINK}")
    assert segments(text) <= 2


def test_a_reminder_after_the_promised_time_says_since_when_it_is_late() -> None:
    late = page(kind=MessageKind.REMINDER, sent_at=AT + timedelta(minutes=30))
    assert "It was due at 03:15 UTC, 15m ago: reply ACK 7f3k (ESC 7f3k: next person)" in sms(late, "7f3k")
    assert f"It was due at 03:15 UTC, 15m ago. Acknowledge:\n{LINK}" in sms(late, "")


def test_what_does_not_fit_is_the_link_and_then_the_end_of_the_title() -> None:
    text = sms(page("x" * 400), "7f3k")
    assert segments(text) == 2
    assert LINK not in text
    assert "xxx...\n5 firing, since 03:00 UTC\nReply ACK 7f3k" in text


def test_typography_becomes_what_telephones_have() -> None:
    assert (
        plain("\u201cdb\u201d \u2013 it\u2019s down\u2026 \u2192 \u2265 5 \u00b5s \U0001f525\ufe0f \u00a0ż ô")
        == '"db" - it\'s down... -> >= 5 us   z o'
    )
    assert is_gsm(plain("97 % — “quoted” • Ünïcödé: naïve café"))
    assert plain("{}[]~^|\\€ äöüñ ÆØÅ £") == "{}[]~^|\\€ äöüñ ÆØÅ £"


def test_another_script_stays_readable_within_two_shorter_segments() -> None:
    text = sms(page("数据库连接过多" * 20), "7f3k")
    assert not is_gsm(text)
    assert segments(text) == 2
    assert text.startswith("P1 database: 数据库连接过多")
    assert "Reply ACK 7f3k" in text


@pytest.mark.parametrize(
    ("text", "length", "count"),
    [("a" * 160, 160, 1), ("a" * 161, 161, 2), ("{" * 80, 160, 1), ("{" * 81, 162, 2), ("嗨" * 70, 70, 1), ("嗨" * 71, 71, 2), ("🔥" * 36, 72, 2)],
)  # fmt: skip
def test_segments_are_counted_as_carriers_count_them(text: str, length: int, count: int) -> None:
    assert (size(text), segments(text)) == (length, count)


def test_what_follows_says_who_has_it_and_that_it_is_over() -> None:
    assert sms(message(MessageKind.ACKNOWLEDGED, by="ana"), "").split("\n")[1:] == ["ana has it"]
    assert sms(message(MessageKind.RESOLVED), "").endswith("\nResolved")
    assert sms(page(kind=MessageKind.REMINDER), "7f3k").startswith("STILL OPEN P1 database")
    watched = msgspec.structs.replace(message().incident, state="monitoring")
    assert "It is monitoring now" in sms(message(incident=watched), "")


def test_a_day_later_the_date_is_said_too() -> None:
    assert "since 24 Nov 03:00 UTC" in sms(page(sent_at=AT + timedelta(days=2)), "7f3k")


@given(st.text(max_size=600))
def test_whatever_a_sender_wrote_the_way_to_answer_is_in_two_segments(title: str) -> None:
    text = sms(page(title), "7f3k")
    assert segments(text) <= 2
    assert "\nReply ACK 7f3k by 03:15 UTC" in text


def test_hostile_labels_do_not_make_lines_of_their_own() -> None:
    labels = json.loads(body("hostile"))["alerts"][0]["labels"]
    text = sms(page(" ".join(labels.values())), "7f3k")
    assert len(text.split("\n")) in (3, 4)
