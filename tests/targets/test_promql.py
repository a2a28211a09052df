"""PromQL as text: thresholds taken off where that is certain, and values that stay values whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from responder.targets.promql import PromQLError, _tokens, bound, placeholders, split


@pytest.mark.parametrize(
    ("expression", "curve", "operator", "value"),
    [
        ("latency > 0.5", "latency", ">", 0.5),
        ("(up == 0)", "up", "==", 0),
        ('rate(x{a!="b>c"}[5m]) >= 1e3', 'rate(x{a!="b>c"}[5m])', ">=", 1_000),
        ("x < -1e-3", "x", "<", -0.001),
        ("x > (10 * 1024 * 1024)", "x", ">", 10_485_760),
        ("x != 0x1F # and y > 1\n", "x", "!=", 31),
        ("a / b * 100 > 80", "a / b * 100", ">", 80),
        ("(a) + (b) <= 1_000", "(a) + (b)", "<=", 1_000),
        ("x offset 5m > 1h30m", "x offset 5m", ">", 5_400),
        ("sum by (le) (x) > 14.4 * (1 - 0.99)", "sum by (le) (x)", ">", 0.144),
        ('x{y="a\\"b"} == 1', 'x{y="a\\"b"}', "==", 1),
        ("time() - heartbeat > 600", "time() - heartbeat", ">", 600),
        ("job:x:rate5m>.5", "job:x:rate5m", ">", 0.5),
        ("((a > bool 1) == 1)", "(a > bool 1)", "==", 1),
    ],
)
def test_a_comparison_with_a_number_is_taken_off(
    expression: str, curve: str, operator: str, value: float
) -> None:
    found, threshold = split(expression)
    assert found == curve
    assert threshold is not None
    assert threshold.operator == operator
    assert threshold.value == pytest.approx(value)


@pytest.mark.parametrize(
    "expression",
    [
        "a > 1 and b < 2", "a > 1 unless b", "a OR b > 1", "a > b", "a > bool 0.5", "a > on(x) b", "0.5 < a",
        "a > 1 > 2", "vector(1)", "a > 1 * b", "> 1", "", "a > ", "a > (1", "a > +Inf", "a > 1/0", 'a{b=">1', "a > 1 $",
        "absent(up)", "a > 5 +", "a @ 5", 'a{b="c"}', "(" * 3_000, "x" * 20_000 + " > 1",
        "a > " + "(" * 2_000 + "1" + ")" * 2_000,
    ],
)  # fmt: skip
def test_what_is_not_certain_is_drawn_as_it_is(expression: str) -> None:
    assert split(expression) == (expression, None)


@given(st.text(max_size=200))
def test_no_text_is_too_odd_to_be_looked_at(text: str) -> None:
    curve, threshold = split(text)
    assert threshold is None or curve


QUERY = "rate(x{job={job}, pod=~\"{pod}-.*\", zone='{zone}', plain!~{pod}}[5m]) > 1"


def test_placeholders_stand_for_a_string_or_a_part_of_one() -> None:
    assert placeholders(QUERY) == {"job", "pod", "zone"}
    assert bound(QUERY, {"job": "api", "pod": "web.1", "zone": "eu"}) == (
        'rate(x{job="api", pod=~"web\\\\.1-.*", zone=\'eu\', plain!~"web\\\\.1"}[5m]) > 1'
    )


@pytest.mark.parametrize(
    "value", ['"} or up{x="', "\\", '\\"', "a\nb", "'", "`", "{job}", "} # ", "日本", ".*", "a|b", "", "\\n"]
)
def test_a_value_cannot_leave_its_string(value: str) -> None:
    kinds = [token.kind for token in _tokens(bound(QUERY, dict.fromkeys(("job", "pod", "zone"), "x")))]
    hostile = bound(QUERY, dict.fromkeys(("job", "pod", "zone"), value))
    assert [token.kind for token in _tokens(hostile)] == kinds


@given(st.text(max_size=50))
@example('"')
@example("\\\n'")
def test_no_value_changes_the_shape_of_a_query(value: str) -> None:
    def shape(one: str) -> list[tuple[str, str]]:
        tokens = _tokens(bound(QUERY, dict.fromkeys(("job", "pod", "zone"), one)))
        return [(token.kind, "" if token.kind == "text" else token.text) for token in tokens]

    assert shape(value) == shape("x")


def test_what_cannot_be_escaped_is_refused() -> None:
    with pytest.raises(PromQLError, match="backticks"):
        placeholders("up{job=`{job}`}")
    with pytest.raises(PromQLError, match="not PromQL"):
        placeholders('up{job="a')
