"""Equal log lines are one line with a count."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder.triage.log_lines import Group, grouped


def texts(*lines: str, limit: int = 10) -> list[tuple[int, str]]:
    return [(group.count, group.text) for group in grouped(lines, limit)]


def test_the_first_of_equal_lines_is_kept_and_the_most_frequent_kind_comes_first() -> None:
    assert texts(
        "started on port 8080",
        "connection 17 to 10.0.3.4:5432 lost after 1.5 s",
        "connection 18 to 10.0.3.9:5432 lost after 12.25 s",
        "stopped",
    ) == [
        (2, "connection 17 to 10.0.3.4:5432 lost after 1.5 s"),
        (1, "started on port 8080"),
        (1, "stopped"),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-11-24T02:14:05.123Z down", "2026-11-24T02:14:06Z down"),
        ("2026-11-24 02:14:05,001+01:00 down", "2026-11-25 02:14:05,999+01:00 down"),
        ("E1124 02:14:05.123456 1 a.go:17] down", "E1125 02:14:06.654321 1 a.go:17] down"),
        ("job 6d9c3f0a-64b1-4c1e-9a51-0d6f2f1f9a77 died", "job 00000000-64B1-4c1e-9a51-0d6f2f1f9a77 died"),
        ("at 0x7ffd5e3c1a40", "at 0x10"),
        ("trace 9f86d081884c7d65 cut", "trace 60303ae22b998861 cut"),
        ("pod api-7d9f8b6c5d-x2x4z gone", "pod api-5c6d7f8b9d-q9z7k gone"),
        ("GET /orders/17 500 in 12ms", "GET /orders/18 500 in 7ms"),
    ],
)
def test_numbers_ids_and_times_make_no_difference(one: str, other: str) -> None:
    assert texts(one, other) == [(2, one)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user lost", "user found"),
        ('"GET / HTTP/1.1" 500 12', '"GET / HTTP/1.1" 404 12'),
        ("POST | 500 | took 3", "POST | 546 | took 3"),
        ("status=502", "status=200"),
        ('{"status_code": 502}', '{"status_code": 504}'),
    ],
)
def test_words_and_http_statuses_make_a_difference(one: str, other: str) -> None:
    assert len(texts(one, other)) == 2


def test_empty_lines_and_control_characters_are_nothing() -> None:
    assert texts("", "  \t", "\x1b[31mred\x1b[0m\r\n", "\x00") == [(1, "[31mred [0m")]


def test_only_so_many_kinds_are_given_and_a_long_line_is_cut_between_words() -> None:
    lines = [f"{'abcdefghij'[n]} failed" for n in range(10)]
    assert len(grouped(lines, 3)) == 3
    assert grouped(lines, 0) == grouped(lines, -1) == []
    long = texts("word " * 100 + "secret-in-the-middle " * 50)[0][1]
    assert len(long) <= 301
    assert long.endswith("word …")
    assert texts("x" * 10_000) == [(1, "…")]


def test_a_private_key_is_left_out_on_however_many_lines_it_stands() -> None:
    key = [
        "-----BEGIN RSA PRIVATE KEY-----",
        *["TUlJRXBBSUJBQUtDQVFFQQ"] * 20,
        "-----END RSA PRIVATE KEY-----",
    ]
    assert texts("before", *key, "after") == [(1, "before"), (1, "<redacted>"), (1, "after")]
    assert texts("key: " + "\n".join(key) + " and more", "after") == [(1, "key: <redacted>"), (1, "after")]
    endless = texts("-----BEGIN NOTHING", *["hidden"] * 300, "after")
    assert endless[-1] == (1, "after")


def test_mail_addresses_and_card_numbers_are_masked_and_times_are_not() -> None:
    assert texts("mail to ada.l+x@mail.example.com failed, card 4111-1111-1111-1111, 4111111111111111") == [
        (1, "mail to <masked> failed, card <masked>, <masked>")
    ]
    assert texts("at 1795568593123 order 12345678 by a@b") == [(1, "at 1795568593123 order 12345678 by a@b")]
    assert texts("word " * 58 + "ada@mail.example.com more")[0][1].endswith("word <masked> …")


def test_hostile_lines_take_no_time() -> None:
    begun = time.thread_time()
    for piece in ("a" * 10, "0-", "12:", "0x", "status ", "| ", "a1_", "-----BEGIN ", "2026-11-24 ", "a@a."):
        grouped([piece * 100_000] * 20, 5)
    assert time.thread_time() - begun < 5


def test_kinds_without_end_are_bounded() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    lines = (f"{a}{b}{c}" for a in letters for b in letters for c in letters)
    assert len(grouped(lines, 100_000)) == 5_000


@given(st.lists(st.text(max_size=50), max_size=30))
def test_every_line_is_counted_once(lines: list[str]) -> None:
    groups: list[Group] = grouped(lines, 100)
    assert sum(group.count for group in groups) <= len(lines)
    assert [g.count for g in groups] == sorted((g.count for g in groups), reverse=True)
