"""Whatever happens in whatever order: nobody too early, nobody after an acknowledgement, nobody forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import MINUTE, START, Play, after, plan, policy

from responder.incident import facts
from responder.incident.advance import advance
from responder.incident.decision import Decision, Reason
from responder.incident.draft import Outside
from responder.incident.effects import SendMessage
from responder.incident.facts import Fact, MessageDelayed, MessageDelivered, MessageFailed
from responder.incident.message import Wanted
from responder.incident.policy import AcknowledgementPolicy
from responder.incident.reach import OnCall, Person, Reach
from responder.incident.severity import Level, Severity
from responder.incident.state import Acknowledged, Incident, Page, Triggered

PEOPLE = ("ana", "ben", "cas", "dan", "platform", "nobody's name")
TRANSITIONS = {Reason.LEVEL_FIRST, Reason.LEVEL_DUE, Reason.LEVEL_ASKED, Reason.LEVEL_UNREACHABLE}
BEFORE_ITS_TIME = {Reason.LEVEL_FIRST, Reason.LEVEL_ASKED, Reason.LEVEL_UNREACHABLE}

names = st.sampled_from(PEOPLE)
teams = st.lists(names, max_size=3).map(tuple)
on_calls = st.builds(
    lambda people, plans: OnCall(
        people=people, plans={name: dict.fromkeys(Severity, steps) for name, steps in plans.items()}
    ),
    st.dictionaries(st.sampled_from(["dbteam", "platform", "cto"]), teams),
    st.dictionaries(
        names,
        st.lists(
            st.sampled_from([*plan("chat", "mail"), after(1, "phone"), after(3, "chat")]), max_size=3
        ).map(tuple),
    ),
)
policies = st.builds(
    policy,
    channels=st.lists(st.sampled_from(["chat", "mail", after(2, "phone")]), max_size=3).map(tuple),
    everybody=st.sampled_from([(), (Level.PRIMARY,), (Level.PRIMARY, Level.SECONDARY)]),
    standing=st.sampled_from(
        [
            AcknowledgementPolicy(),
            AcknowledgementPolicy(remind_after=7 * MINUTE),
            AcknowledgementPolicy(remind_after=7 * MINUTE, lapse_after=11 * MINUTE),
        ]
    ),
)
Step = tuple[str, float, str]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["wait", "wait", "deliver", "fail", "delay", "ack", "snooze", "note", "escalate", "fire", "worse",
             "clear", "resolve", "reopen", "shift"]
        ),
        st.sampled_from([0.0, 0.1, 0.6, 2.0, 5.0, 16.0]),
        names,
    ),
    max_size=25,
)  # fmt: skip


class Watched(Play):
    """A play that looks at each decision as it is made."""

    def at(self, minute: float, *happened: Fact, opened: bool = False) -> Decision:
        before = getattr(self, "incident", None)
        decision = super().at(minute, *happened, opened=opened)
        assert before is not None
        check_times(before, decision)
        check_nobody_paged_unless_triggered(decision)
        check_nobody_forgotten(before, decision)
        check_lines(before, decision)
        check_awake(decision)
        again = advance(
            self.incident, self.totals, (), decision.incident.now, outside=Outside(on_call=self.on_call)
        )
        assert (again.effects, again.entries, again.incident) == ((), (), decision.incident)
        return decision


def pages(decision: Decision) -> list[SendMessage]:
    return [e for e in decision.effects if isinstance(e, SendMessage) and e.wanted is Wanted.UNACKNOWLEDGED]


def page_of(decision: Decision, effect: SendMessage) -> Page:
    return next(page for page in decision.incident.pages if page.id == effect.page)


def new_levels(before: Incident, decision: Decision) -> list[Reach]:
    """The levels that this decision reached."""
    episode = decision.incident.episode
    known = set()
    if before.episode.number == episode.number:
        known = {(reach.level, reach.round) for reach in before.episode.reached}
    return [reach for reach in episode.reached if reach.round > 0 and (reach.level, reach.round) not in known]


def check_times(before: Incident, decision: Decision) -> None:
    """E3: no level and no channel before its time."""
    incident = decision.incident
    hurried = BEFORE_ITS_TIME & {entry.reason for entry in decision.entries}
    for reach in new_levels(before, decision):
        due = incident.due_at(reach.level)
        assert due is not None
        if reach.round == 1 and not hurried:
            assert incident.now >= due
    for effect in pages(decision):
        reach = reach_of(incident.episode.reached, effect)
        person = next(p for p in reach.people if p.name == effect.contact)
        delay = person.plan[page_of(decision, effect).step].after
        assert delay is None or incident.now >= reach.at + delay


def reach_of(reached: tuple[Reach, ...], effect: SendMessage) -> Reach:
    return next(one for one in reached if one.level is effect.level and one.round == effect.round)


def check_nobody_paged_unless_triggered(decision: Decision) -> None:
    """No page after an acknowledgement in an episode: and so never in a decision that ends acknowledged."""
    if pages(decision):
        assert isinstance(decision.incident.state, Triggered)
        assert {effect.episode for effect in pages(decision)} == {decision.incident.episode.number}


def check_nobody_forgotten(before: Incident, decision: Decision) -> None:
    """Each person of a level of this round is paged, waits for a time of their plan, or it is said why not."""
    incident = decision.incident
    if not isinstance(incident.state, Triggered):
        return
    for reach in incident.episode.reached:
        if reach.round != incident.episode.round:
            continue
        for person in reach.people:
            assert (
                person.tried
                or person.exhausted
                or person.acknowledged_at
                or waits(incident.now, reach, person)
            )
    told = [e.text for e in decision.entries if e.reason is Reason.PERSON_UNREACHABLE]
    gone = [
        person.name for reach in new_levels(before, decision) for person in reach.people if person.exhausted
    ]
    assert all(any(text.startswith(f"{name} (") for text in told) for name in gone)


def waits(now: datetime, reach: Reach, person: Person) -> bool:
    first = person.plan[0].after if person.plan else None
    return first is not None and reach.at + first > now


def check_lines(before: Incident, decision: Decision) -> None:
    """D8: one line for each level that is reached, however many people it pages; a round is one line, too."""
    lines = [e for e in decision.entries if e.reason in TRANSITIONS and not e.by]  # a person's wish is signed
    new = new_levels(before, decision)
    again = sum(entry.reason is Reason.ROUND_AGAIN for entry in decision.entries)
    assert len(lines) <= len(new) <= len(lines) + again
    assert max(Counter(reach.level for reach in new).values(), default=0) <= 1


def check_awake(decision: Decision) -> None:
    incident = decision.incident
    assert (incident.wake_at is None) == (not incident.open)
    assert incident.wake_at is None or incident.wake_at > incident.now


def facts_of(play: Play, what: str, name: str) -> tuple[Fact, ...]:
    """What a step means as facts, now."""
    now = play.now
    pending = [page for page in play.incident.pages if page.status == "pending"]
    settled = [page for page in play.incident.pages if page.status != "dropped"]

    def each(found: list[Page], make: Callable[..., Fact], **more: object) -> tuple[Fact, ...]:
        kind = "page"
        return tuple(make(at=now, effect=p.id, page=p.id, kind=kind, **more) for p in found)

    made: dict[str, Callable[[], tuple[Fact, ...]]] = {
        "deliver": lambda: each(pending, MessageDelivered, attempt=1),
        "fail": lambda: each(settled[-2:], MessageFailed, reason="gone"),
        "delay": lambda: each(pending[:1], MessageDelayed, reason="503", failover=name == "ana"),
        "ack": lambda: (facts.AcknowledgedBy(at=now, by=name),),
        "snooze": lambda: (facts.SnoozedBy(at=now, by=name, until=now + 6 * MINUTE),),
        "note": lambda: (facts.NoteAdded(at=now, by=name, note="n"),),
        "escalate": lambda: (facts.EscalatedBy(at=now, by=name),),
        "resolve": lambda: (facts.ResolvedBy(at=now, by=name),),
        "reopen": lambda: (facts.ReopenedBy(at=now, by=name),),
    }
    return made[what]() if what in made else ()


def go(play: Play, step: Step, shifts: list[OnCall]) -> None:
    what, minutes, name = step
    play.until(play.minute + minutes)
    play.minute += minutes if play.minute * MINUTE + START < play.now + minutes * MINUTE else 0.0
    if what == "fire":
        play.fire(Severity.P3)
    elif what == "worse":
        play.fire(Severity.P1)
    elif what == "clear":
        play.clear()
    elif what == "shift" and shifts:
        play.on_call = shifts.pop()
    play.at(play.minute, *facts_of(play, what, name))


@settings(max_examples=300, deadline=None)
@given(rules=policies, first=on_calls, shifts=st.lists(on_calls, max_size=3), todo=steps)
def test_whatever_happens_nobody_is_too_early_nobody_is_paged_after_an_answer_nobody_is_forgotten(
    rules: object, first: OnCall, shifts: list[OnCall], todo: list[Step]
) -> None:
    """E3, L10, L12, D8 over every order of facts."""
    play = Watched(Severity.P2, rules=rules, on_call=first)  # type: ignore[arg-type]
    for step in todo:
        go(play, step, shifts)
    ids = [effect.id for _, effect in play.effects]
    assert len(ids) == len(set(ids)), "an id was used for two messages"
    assert len(msgspec.json.encode(play.incident)) < 60_000


def test_the_properties_are_tried_on_every_state() -> None:
    """The steps above do reach lapses, snoozes, rounds and levels that fall through."""
    play = Watched(
        Severity.P2,
        rules=policy(standing=AcknowledgementPolicy(remind_after=7 * MINUTE, lapse_after=11 * MINUTE)),
        on_call=OnCall(people={"dbteam": ("ana", "ben"), "platform": ()}),
    )
    todo: list[Step] = [
        ("deliver", 0, "ana"), ("ack", 1, "ana"), ("wait", 20, "ana"), ("fail", 0, "ana"),
        ("wait", 2, "ana"), ("snooze", 0, "ben"), ("wait", 7, "ana"), ("wait", 200, "ana"),
    ]  # fmt: skip
    for step in todo:
        go(play, step, [])
    reasons = set(play.reasons())
    assert reasons >= {
        Reason.ACKNOWLEDGEMENT_REMINDED, Reason.ACKNOWLEDGEMENT_LAPSED, Reason.SNOOZE_OVER,
        Reason.LEVEL_UNREACHABLE, Reason.NOBODY_ON_CALL, Reason.ROUND_AGAIN,
    }  # fmt: skip
    assert not isinstance(play.incident.state, Acknowledged)
