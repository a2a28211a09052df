"""Rules that can never match, because an earlier one takes all that they would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from responder.documents import Problem
from responder.matchers import Matcher
from responder.rules.raw import RuleEntry


def unreachable_rules(rules: Sequence[RuleEntry]) -> Iterator[Problem]:
    """Warn of a rule that can never match, because an earlier one takes all that it would.

    Told only where it is certain: each matcher of the earlier rule stands in the later one too, or takes every value
    that the later one's equality takes.
    """
    earlier_rules = _Earlier()
    for later in rules:
        for earlier in earlier_rules.that_may_cover(later):
            if all(_implied(matcher, later.matchers) for matcher in earlier.matchers):
                where = f"{earlier.place.file}:{earlier.place.line}"
                text = f"rule {later.shape.name} can never match: {earlier.shape.name} ({where}) takes all it would"
                yield later.place.problem(text, "warning")
                break
        earlier_rules.add(later)


class _Earlier:
    """Earlier rules by one of their matchers, so that a thousand rules are not compared with a thousand."""

    _PATTERNS_COMPARED = 500

    def __init__(self) -> None:
        self._without: list[RuleEntry] = []
        self._by_value: dict[tuple[str, str], list[RuleEntry]] = {}
        self._by_matcher: dict[Matcher, list[RuleEntry]] = {}
        self._patterns: list[RuleEntry] = []

    def add(self, rule: RuleEntry) -> None:
        if not rule.matchers:
            self._without.append(rule)
            return
        literal = next((m for m in rule.matchers if m.literals is not None), None)
        if literal is None:
            self._by_matcher.setdefault(rule.matchers[0], []).append(rule)
            self._patterns.append(rule)
            return
        for value in literal.literals or ():
            self._by_value.setdefault((literal.name, value), []).append(rule)

    def that_may_cover(self, rule: RuleEntry) -> Iterator[RuleEntry]:
        yield from self._without
        for matcher in rule.matchers:
            values = sorted(matcher.literals or ())[:1]  # whoever takes all of them takes the first
            for value in values:
                yield from self._by_value.get((matcher.name, value), ())
            yield from self._by_matcher.get(matcher, ())
        yield from self._patterns[: self._PATTERNS_COMPARED]


def _implied(wanted: Matcher, given: Sequence[Matcher]) -> bool:
    for matcher in given:
        if matcher == wanted:
            return True
        values = matcher.literals if matcher.name == wanted.name else None
        if values is not None and all(wanted.matches({wanted.name: value}) for value in values):
            return True
    return False
