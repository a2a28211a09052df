"""Bytes of a webhook become alerts, each on its own; the traps that were measured."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from conftest import FIXTURES, body
from daemon import alert, webhook_body
from hypothesis import given
from hypothesis import strategies as st

from responder.alerts import MAX_LABELS, fingerprint
from responder.intake.webhook import BodyError, decode, ends_ms, starts_ms


def one(**changes: Any) -> dict[str, Any]:
    return {**alert(1), **changes}


def reason(changed: dict[str, Any]) -> str:
    decoded = decode(webhook_body(alert(2), changed))
    assert len(decoded.good) == 1
    assert len(decoded.bad) == 1
    return decoded.bad[0].reason


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"status": "odd"}, "alerts[1].status"),
        ({"labels": {}}, "alerts[1].labels"),
        ({"labels": None}, "alerts[1].labels"),
        ({"labels": {"a": 1}}, "alerts[1].labels"),
        ({"startsAt": "yesterday"}, "alerts[1].startsAt"),
        ({"startsAt": "2026-11-24T03:00:00"}, "alerts[1].startsAt"),
        ({"startsAt": 5}, "alerts[1].startsAt"),
        ({"endsAt": "never"}, "alerts[1].endsAt"),
        ({"status": "resolved"}, "alerts[1].endsAt"),
        ({"fingerprint": "../../etc"}, "alerts[1].fingerprint"),
        ({"annotations": []}, "alerts[1].annotations"),
    ],
)
def test_a_bad_alert_says_which_field_is_wrong_and_leaves_its_neighbours(
    changes: dict[str, Any], field: str
) -> None:
    assert reason(one(**changes)).startswith(field)


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": {"summary": "s", "description": "x" * 200_000}},
        {"labels": {"alertname": "Alert1", "severity": "critical", "a": "x" * 9_000}},
        {"labels": {"alertname": "Alert1", "severity": "critical", **{f"a{n}": "x" for n in range(150)}}},
        {"annotations": {"n" * 2_000: "x", "summary": "s"}},
    ],
)
def test_an_alert_with_too_much_in_it_is_taken_with_what_fits(changes: dict[str, Any]) -> None:
    """A page with half a description beats no page."""
    made = one(**changes)
    decoded = decode(webhook_body(made))
    assert decoded.bad == []
    ((taken, raw),) = decoded.good
    assert len(taken.labels) <= MAX_LABELS
    assert taken.labels["alertname"] == "Alert1"
    assert taken.labels.get("severity") == made["labels"].get("severity")
    assert len(raw) < 80_000
    assert taken.fingerprint == (made.get("fingerprint") or fingerprint(made["labels"]))


def test_an_alert_that_is_no_object_is_set_aside_and_a_body_nested_without_end_refused() -> None:
    raw = (
        b'{"version":"4","alerts":[5,'
        + json.dumps(alert(1)).encode()
        + b',{"labels":'
        + b"[" * 3_000
        + b"]" * 3_000
        + b"}]}"
    )
    with pytest.raises(BodyError, match="nested"):
        decode(raw)
    shallow = decode(raw.replace(b"[" * 3_000 + b"]" * 3_000, b"[[]]"))
    assert (len(shallow.good), len(shallow.bad)) == (1, 2)


def test_the_zero_time_is_no_end_and_times_near_the_limits_do_not_overflow() -> None:
    for text in ("0001-01-01T00:00:00Z", "1969-12-31T23:00:00-01:00", "9999-12-31T23:59:59Z"):
        (good, _), *_ = decode(webhook_body(one(endsAt=text))).good
        assert ends_ms(good) == 0


def test_nine_digits_and_offsets_of_a_time_are_understood() -> None:
    (good, _), *_ = decode(webhook_body(one(startsAt="2026-11-24T11:00:00.123456789+08:00"))).good
    assert starts_ms(good) == int(datetime(2026, 11, 24, 3, 0, 0, 123_000, tzinfo=UTC).timestamp() * 1000)


def test_unknown_keys_of_newer_alertmanagers_are_ignored() -> None:
    raw = json.loads(webhook_body(one(newField={"x": 1})))
    raw |= {"notification_reason": "new alerts added", "routeLabels": {"a": "b"}}
    assert len(decode(json.dumps(raw).encode()).good) == 1


def test_a_custom_payload_is_refused_with_a_reason() -> None:
    with pytest.raises(BodyError, match="version"):
        decode(b'{"text": "anything its author likes"}')


def test_truncated_alerts_are_counted() -> None:
    assert decode(body("truncated")).truncated == 5


def test_every_recorded_body_decodes_without_a_bad_alert() -> None:
    for path in FIXTURES.glob("*.json"):
        if b'"groupKey"' in path.read_bytes():
            assert decode(path.read_bytes()).bad == [], path.name


@given(st.binary(max_size=400))
def test_whatever_bytes_come_it_is_read_or_refused_and_nothing_else(raw: bytes) -> None:
    with contextlib.suppress(BodyError):
        decode(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "generatorURL"),
            json_values,
        ),
    )
)
def test_whatever_an_alert_holds_its_neighbour_is_taken(odd: dict[str, Any]) -> None:
    try:
        raw = json.dumps({"version": "4", "alerts": [odd, alert(1)]}, allow_nan=False).encode()
    except ValueError:
        return
    assert len(decode(raw).good) >= 1
