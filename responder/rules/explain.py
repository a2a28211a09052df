"""Why: which rule takes an alert and why the earlier ones did not; who is paged when, over what, with which probes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from responder.durations import format_duration
from responder.incident.hold import Hold, until_words
from responder.incident.impact import reached
from responder.incident.policy import Policy
from responder.incident.severity import LEVELS, Level, Severity
from responder.rules.compile import Compiled, CompiledRule
from responder.rules.files import SeverityFromLabel
from responder.rules.model import Verdict

PASSED_LIMIT = 50


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that did not match, and its first matcher that failed."""

    rule: str
    because: str


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody behind a name of the matrix, and over which channels (``phone after 2m``)."""

    name: str
    channels: tuple[str, ...]


class Paged(msgspec.Struct, frozen=True, kw_only=True):
    """A level of the row: who, after how long, over which channels (``phone after 2m``), whether each has to answer.

    ``people`` are those on call at the time that was asked for, none in a gap; ``None`` where the name stands for itself.
    """

    level: Level
    contact: str
    after: str
    channels: tuple[str, ...]
    everybody: bool = False
    people: tuple[Person, ...] | None = None


class HeldBack(msgspec.Struct, frozen=True, kw_only=True):
    """What would hold the pages back now, by whose configuration, and until when (RFC 3339) where that is known."""

    kind: str
    by: str
    text: str
    until: datetime | None = None


class SignOfLife(msgspec.Struct, frozen=True, kw_only=True):
    """A heartbeat that an alert is a sign of; times are RFC 3339. ``looked``: they were asked for, so that none is none yet."""

    heartbeat: str
    seen_at: datetime | None = None
    due_by: datetime | None = None
    looked: bool = True


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer; ready to be written as JSON.

    ``held`` is what would hold the pages back, of what is known; ``not_known`` says of what that is not known, and why.
    ``heartbeats``: where there are any, the alert is a sign of life of these. It opens no incident, and nobody is paged;
    rule, severity, service and key are what the rules would make of it if it were none.
    """

    rule: str
    severity: Severity
    severity_why: str
    service: str
    row: str
    key: str
    group: dict[str, str]
    paged: tuple[Paged, ...]
    respond_within: str
    held: tuple[HeldBack, ...] = ()
    not_known: tuple[str, ...] = ()
    stands_on: tuple[str, ...] = ()
    runbook: str | None = None
    probes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    passed: tuple[Passed, ...] = ()
    passed_in_all: int = 0
    heartbeats: tuple[SignOfLife, ...] = ()


#: Names of the matrix -> the people on call behind each; a name that is left out stands for itself.
Who = Callable[[Collection[str]], Mapping[str, Sequence[str]]]
#: What would hold an alert's pages back: its verdict and its labels -> the reasons.
Holding = Callable[[Verdict, Mapping[str, str]], Sequence[Hold]]


def explain(
    rules: Compiled,
    labels: Mapping[str, str],
    who: Who = lambda _: {},
    holding: Holding = lambda _verdict, _labels: (),
) -> Explanation:
    """Explain what happens to an alert with these labels."""
    verdict, taken = rules.match(labels), rules.rule_for(labels)
    policy = rules.policy(verdict.service)
    promise = policy.severities[verdict.severity]
    runbook = rules.runbooks.get(verdict.runbook or "")
    earlier = _earlier(rules, taken)
    return Explanation(
        rule=verdict.rule,
        severity=verdict.severity,
        severity_why=_severity_why(taken, labels, defaulted=verdict.severity_defaulted),
        service=verdict.service,
        row=policy.row,
        key=verdict.key,
        group=dict(verdict.group),
        paged=_paged(rules, verdict, policy, who),
        respond_within=format_duration(promise.respond_within),
        held=tuple(
            HeldBack(kind=one.kind, by=one.by, text=one.text, until=one.until)
            for one in holding(verdict, labels)
        ),
        # A drill is attached to nothing, whatever its service stands on.
        stands_on=() if verdict.drill else tuple(reached(verdict.service, rules.dependencies)),
        runbook=verdict.runbook,
        probes=runbook.diagnose if runbook else (),
        left_out=runbook.left_out if runbook else (),
        offers=runbook.offer if runbook else (),
        passed=tuple(Passed(rule=r.name, because=_because(r, labels)) for r in earlier[:PASSED_LIMIT]),
        passed_in_all=len(earlier),
    )


def as_sign_of_life(explanation: Explanation, signs: tuple[SignOfLife, ...]) -> Explanation:
    """The explanation of an alert that is a sign of life of these, if there are any: nothing follows from the rules."""
    if not signs:
        return explanation
    return msgspec.structs.replace(
        explanation, heartbeats=signs, paged=(), held=(), not_known=(), stands_on=(), runbook=None,
        probes=(), left_out=(), offers=(),
    )  # fmt: skip


def sign_words(sign: SignOfLife) -> str:
    """What an alert is that is a sign of life, for people."""
    seen = ", of which none has been seen yet" if sign.looked else ""
    if sign.seen_at is not None and sign.due_by is not None:
        seen = f", last seen {sign.seen_at:%F %T} UTC, the next one due by {sign.due_by:%F %T} UTC"
    return f"a sign of life of heartbeat {sign.heartbeat}{seen}; it opens no incident and pages nobody"


def _paged(rules: Compiled, verdict: Verdict, policy: Policy, who: Who) -> tuple[Paged, ...]:
    escalate = policy.severities[verdict.severity].escalate
    behind = who(tuple(policy.contacts.values()))

    def channels(name: str, stands_for: str = "") -> tuple[str, ...]:
        return tuple(str(step) for step in rules.channels_of(name, verdict.severity, stands_for))

    def people(contact: str) -> tuple[Person, ...] | None:
        if tuple(behind.get(contact, (contact,))) == (contact,):
            return None
        return tuple(Person(name=name, channels=channels(name, contact)) for name in behind[contact])

    return tuple(
        Paged(
            level=level,
            contact=policy.contacts[level],
            after=format_duration(escalate[level]) if level in escalate else "0s",
            channels=channels(policy.contacts[level]),
            everybody=level in policy.everybody,
            people=people(policy.contacts[level]),
        )
        for level in LEVELS
        if level in policy.contacts
    )


def _earlier(rules: Compiled, taken: CompiledRule) -> list[CompiledRule]:
    if taken is rules.default:
        return list(rules.rules)
    return list(rules.rules[: rules.rules.index(taken)])


def _because(rule: CompiledRule, labels: Mapping[str, str]) -> str:
    failed = next(matcher for matcher in rule.matchers if not matcher.matches(labels))
    value = labels.get(failed.name)
    return f"{failed} does not hold: {failed.name} is " + (repr(value) if value is not None else "missing")


def _severity_why(taken: CompiledRule, labels: Mapping[str, str], *, defaulted: bool) -> str:
    wanted = taken.shape.severity
    if not isinstance(wanted, SeverityFromLabel):
        return "fixed by the rule"
    value = labels.get(wanted.label)
    shown = f"{wanted.label}={value!r}" if value is not None else f"{wanted.label} is missing"
    return (
        f"{shown}, which the map does not know: the stated default"
        if defaulted
        else f"{shown} by the rule's map"
    )


def as_text(explanation: Explanation) -> str:
    """The explanation for a terminal."""
    if explanation.heartbeats:
        return "\n".join(f"heartbeat {sign_words(one)}" for one in explanation.heartbeats)
    lines = [
        f"rule      {explanation.rule}",
        f"severity  {explanation.severity} ({explanation.severity_why})",
        f"service   {explanation.service} (row {explanation.row})",
        f"incident  one for {_group(explanation)}",
        f"respond   within {explanation.respond_within}",
    ]
    for paged in explanation.paged:
        each = ", each has to acknowledge" if paged.everybody else ""
        lines.append(f"  {paged.level:<10}{paged.contact} after {paged.after}{_reached(paged)}{each}")
    lines += [f"held      {_until(one)}" for one in explanation.held] or [
        "held      back by nothing that is known"
    ]
    lines += [f"not known {one}" for one in explanation.not_known]
    if explanation.stands_on:
        lines.append(f"stands on {', '.join(explanation.stands_on)}: attached to what is paged there")
    if explanation.runbook:
        lines.append(f"runbook   {explanation.runbook}")
        lines.append(f"  probes  {', '.join(explanation.probes) or 'none'}")
        if explanation.left_out:
            lines.append(f"  without {', '.join(explanation.left_out)}: their targets are not configured")
        lines.append(f"  offers  {', '.join(explanation.offers) or 'none'}")
    if explanation.passed:
        lines.append(f"passed    {explanation.passed_in_all} earlier rule(s):")
        lines += [f"  {passed.rule}: {passed.because}" for passed in explanation.passed]
    return "\n".join(lines)


def _until(held: HeldBack) -> str:
    return f"back by {held.kind}: {held.text}{until_words(held.until)}"


def _reached(paged: Paged) -> str:
    if paged.people is None:
        return f", over {_over(paged.channels)}"
    return ": " + (
        ", ".join(f"{one.name} over {_over(one.channels)}" for one in paged.people) or "nobody is on call"
    )


def _over(channels: Sequence[str]) -> str:
    return ", ".join(channels) or "no channel: unreachable"


def _group(explanation: Explanation) -> str:
    pairs = ", ".join(f"{name}={value!r}" for name, value in explanation.group.items())
    return f"all alerts of the rule with {pairs}" if pairs else "all alerts of the rule"
