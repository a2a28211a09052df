"""Acknowledge links: signed, expiring, for one incident and one person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder.signing import AckTokens, BadTokenError, ExpiredTokenError

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
TOKENS = AckTokens(b"k" * 32)


def test_a_token_says_who_may_acknowledge_what_and_fits_into_a_short_message() -> None:
    token = TOKENS.issue("1f" * 8, "dbteam", NOW, timedelta(hours=48))
    claim = TOKENS.read(token, NOW + timedelta(hours=47))
    assert (claim.incident, claim.contact) == ("1f" * 8, "dbteam")
    assert len(token) <= 200


def test_a_token_expires() -> None:
    token = TOKENS.issue("1f" * 8, "dbteam", NOW, timedelta(hours=1))
    with pytest.raises(ExpiredTokenError):
        TOKENS.read(token, NOW + timedelta(hours=2))


def test_another_key_reads_nothing() -> None:
    token = TOKENS.issue("1f" * 8, "dbteam", NOW, timedelta(hours=1))
    with pytest.raises(BadTokenError):
        AckTokens(b"x" * 32).read(token, NOW)


@given(st.text(max_size=500))
def test_whatever_comes_instead_is_refused_and_never_raises_anything_else(text: str) -> None:
    with pytest.raises(BadTokenError):
        TOKENS.read(text, NOW)


@given(st.integers(min_value=0, max_value=90), st.integers(min_value=1, max_value=63))
def test_a_token_with_one_character_changed_is_refused(position: int, by: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = TOKENS.issue("1f" * 8, "dbteam", NOW, timedelta(hours=1))
    at = position % (len(token) - 1)  # the last character holds bits that base64 does not use
    changed = token[:at] + alphabet[(alphabet.index(token[at]) + by) % 64] + token[at + 1 :]
    with pytest.raises(BadTokenError):
        TOKENS.read(changed, NOW)
