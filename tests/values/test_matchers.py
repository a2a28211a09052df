"""Alertmanager's matcher syntax, and what it means."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder.matchers import Matcher, MatcherError, Operator, parse_matcher, parse_matchers


@pytest.mark.parametrize(
    ("text", "name", "operator", "value"),
    [
        ('a="b"', "a", "=", "b"),
        ("a=b", "a", "=", "b"),
        ('a != "b c"', "a", "!=", "b c"),
        ('a=~"x|y"', "a", "=~", "x|y"),
        ('a!~"x.*"', "a", "!~", "x.*"),
        ('"my.label"="x"', "my.label", "=", "x"),
        ('"überlauf"=~"ja"', "überlauf", "=~", "ja"),
        ('a=~"\\\\d+"', "a", "=~", "\\d+"),
        ('a=~"\\d+"', "a", "=~", "\\d+"),  # classic: any other backslash stands for itself
        ('a="line\\nbreak"', "a", "=", "line\nbreak"),
        ('a="say \\"hi\\""', "a", "=", 'say "hi"'),
        ('a=""', "a", "=", ""),
        ("a=", "a", "=", ""),
    ],
)
def test_a_matcher_reads_as_alertmanager_reads_it(text: str, name: str, operator: str, value: str) -> None:
    matcher = parse_matcher(text)
    assert (matcher.name, matcher.operator, matcher.value) == (name, operator, value)


@pytest.mark.parametrize(
    "text", ["", "a", "=b", '{a="b"}', 'a=~"("', 'a=~"(?!x)"', 'a="b" c', 'a b="c"', 'a="b', "{"]
)
def test_what_is_no_matcher_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(MatcherError):
        parse_matcher(text) if text != "{" else parse_matchers(text)


def test_a_list_may_have_braces_and_a_comma_at_the_end() -> None:
    assert parse_matchers('{a="b", c=~"d,e",}') == (
        Matcher("a", Operator.EQUAL, "b"),
        Matcher("c", Operator.MATCHES, "d,e"),
    )
    assert parse_matchers("") == ()


def test_a_missing_label_is_the_empty_text() -> None:
    for text in ('a=""', 'a!="x"', 'a=~".*"', 'a!~"x"'):
        assert parse_matcher(text).matches({})
    for text in ('a="x"', 'a!=""', 'a=~".+"'):
        assert not parse_matcher(text).matches({})


def test_patterns_are_anchored() -> None:
    assert not parse_matcher('a=~"b"').matches({"a": "abc"})


def test_a_pattern_that_would_hang_others_is_answered_at_once() -> None:
    assert not parse_matcher('a=~"(x+x+)+y"').matches({"a": "x" * 5_000})


names = st.text("abcdefgh_", min_size=1, max_size=8)
values = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


@given(name=names, operator=st.sampled_from(list(Operator)), value=values)
def test_written_and_read_again_a_matcher_is_the_same(name: str, operator: Operator, value: str) -> None:
    text = (
        value
        if operator in (Operator.EQUAL, Operator.NOT_EQUAL)
        else re.sub(r"[^\w]", "", value, flags=re.ASCII)
    )
    if "\\" in text or '"' in text or "\n" in text:
        text = text.replace("\\", "").replace('"', "").replace("\n", "")
    matcher = Matcher(name, operator, text)
    assert parse_matcher(str(matcher)) == matcher


@given(value=st.text("PgBouncer.x", max_size=12))
def test_the_prefix_and_the_literals_never_exclude_a_value_that_matches(value: str) -> None:
    for text in ("PgBouncer.+", "(PgB|Pg).*", "P|Pg|PgBouncer", ".*x", "[Pp]g.*", "(?i)pg.*"):
        matcher = parse_matcher(f'a=~"{text}"')
        if matcher.matches({"a": value}):
            assert value.startswith(matcher.prefix)
            assert matcher.literals is None or value in matcher.literals
