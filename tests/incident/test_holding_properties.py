"""Random windows, nights, dependencies and people: what fires is paged or it is recorded why not, and no reason outlives its cause."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import MINUTE, START, Play

from responder.incident import facts
from responder.incident.advance import advance
from responder.incident.around import Around, Outline
from responder.incident.decision import Decision, Reason
from responder.incident.dependency import ARRIVAL
from responder.incident.draft import Outside
from responder.incident.effects import SendMessage
from responder.incident.facts import Fact
from responder.incident.hold import Hold, HoldKind
from responder.incident.message import Wanted
from responder.incident.severity import LEVELS, Severity
from responder.incident.state import Incident, Triggered

NOT_URGENT = (Severity.P3, Severity.P4)
HOLD_DOWN = timedelta(seconds=30)
#: A hold is looked at again within this, and a decision that was missed comes then.
LOOK = timedelta(seconds=30)


class Span(msgspec.Struct, frozen=True):
    """From one minute to another something is so; ``what`` says of whom or how."""

    begin: int
    length: int
    what: str = ""

    def at(self, minute: float) -> bool:
        return self.begin <= minute < self.begin + self.length

    @property
    def end(self) -> datetime:
        return START + (self.begin + self.length) * MINUTE


class Sky(msgspec.Struct, frozen=True):
    """Everything outside of the incident, as a function of the time."""

    windows: tuple[Span, ...] = ()
    nights: tuple[Span, ...] = ()
    beneath: tuple[Span, ...] = ()
    graph: bool = True

    def holds(self, minute: float) -> tuple[Hold, ...]:
        return tuple(
            Hold(
                kind=HoldKind.MAINTENANCE, by=f"w{number}", text="w",
                until=one.end if one.what == "known" else None,
            )
            for number, one in enumerate(self.windows)
            if one.at(minute)
        )  # fmt: skip

    def around(self, minute: float) -> Around:
        asleep: dict[str, dict[Severity, datetime]] = {}
        for one in self.nights:
            if one.at(minute):
                until = max([one.end, *asleep.get(one.what, {}).values()])
                asleep[one.what] = dict.fromkeys(NOT_URGENT, until)
        beneath = tuple(
            Outline(
                id=f"{number:016x}", service="below", severity=Severity(one.what), title="t", opened_at=START,
                pages=True,
            )
            for number, one in enumerate(self.beneath)
            if one.at(minute)
        )  # fmt: skip
        return Around(
            as_of=START + minute * MINUTE + timedelta(microseconds=1),
            beneath=tuple(sorted(beneath, key=lambda one: one.order)) if self.graph else (),
            hold_down=HOLD_DOWN if self.graph else timedelta(0),
            asleep=asleep,
        )


class Watched(Play):
    """A play under a sky, that looks at each decision as it is made."""

    def __init__(self, sky: Sky, severity: Severity) -> None:
        self.sky = sky
        super().__init__(severity)

    def at(self, minute: float, *happened: Fact, opened: bool = False) -> Decision:
        self.holds, self.around = self.sky.holds(minute), self.sky.around(minute)
        decision = super().at(minute, *happened, opened=opened)
        check(decision, self.holds, self.around)
        again = advance(
            self.incident, self.totals, (), decision.incident.now,
            outside=Outside(on_call=self.on_call, holds=self.holds, around=self.around),
        )  # fmt: skip
        assert (again.effects, again.entries, again.incident) == ((), (), decision.incident)
        return decision

    def step(self, minute: float, *happened: Fact) -> None:
        """Let the clock ring up to this minute, and then something happens."""
        self.until(minute)
        self.at(minute, *happened)


def check(decision: Decision, windows: tuple[Hold, ...], around: Around) -> None:
    incident = decision.incident
    for hold in incident.holds:
        check_cause(hold, incident, windows, around)
    if not isinstance(incident.state, Triggered):
        assert incident.holds == ()
        return
    pages = [e for e in decision.effects if isinstance(e, SendMessage) and e.wanted is Wanted.UNACKNOWLEDGED]
    if incident.holds:
        assert not pages or Reason.LEVEL_ASKED in {entry.reason for entry in decision.entries}
        assert incident.wake_at is not None
        assert incident.wake_at <= incident.now + LOOK
        return
    assert incident.episode.reached, "it fires, nothing holds it back, and nobody was reached"
    for level in LEVELS:
        due = incident.due_at(level)
        assert due is not None
        if due <= incident.now and incident.episode.round == 1:
            assert level in {reach.level for reach in incident.episode.reached}, level
    for reach in incident.episode.reached:
        for person in reach.people:
            sleeps = incident.now < around.asleep.get(person.name, {}).get(incident.severity, START)
            if reach.round == incident.episode.round and not sleeps:
                assert person.tried or person.exhausted or person.acknowledged_at


def check_cause(hold: Hold, incident: Incident, windows: tuple[Hold, ...], around: Around) -> None:
    """No recorded reason outlives its cause, and none holds what it may not."""
    assert not hold.over(incident.now)
    match hold.kind:
        case HoldKind.MAINTENANCE:
            assert any(hold.same(one) for one in windows)
        case HoldKind.QUIET_HOURS:
            assert incident.severity in NOT_URGENT
            assert incident.now < around.asleep["dbteam"][incident.severity]
        case HoldKind.DEPENDENCY if hold.by == ARRIVAL:
            assert incident.severity is not Severity.P1
            assert hold.until is not None
            assert hold.until - incident.now <= HOLD_DOWN
        case HoldKind.DEPENDENCY:
            below = next(one for one in around.beneath if one.id == hold.by)
            assert not incident.severity.worse_than(below.severity)
        case _:
            raise AssertionError(hold)


def several(whats: list[str]) -> st.SearchStrategy[tuple[Span, ...]]:
    return st.lists(
        st.builds(Span, st.integers(0, 300), st.integers(1, 90), st.sampled_from(whats)), max_size=4
    ).map(tuple)


skies = st.builds(
    Sky,
    windows=several(["known", "open"]),
    nights=several(["dbteam", "dbteam", "platform", "cto"]),
    beneath=several([str(one) for one in Severity]),
    graph=st.booleans(),
)
events = st.lists(
    st.tuples(
        st.sampled_from(
            ["wait", "wait", "fire", "worse", "clear", "again", "ack", "escalate", "resolve", "reopen", "deliver"]
        ),
        st.sampled_from([0.1, 0.6, 2.0, 7.0, 25.0, 100.0]),
    ),
    max_size=20,
)  # fmt: skip


def go(play: Watched, what: str, minutes: float) -> None:
    minute, now = play.minute + minutes, START + (play.minute + minutes) * MINUTE
    people: dict[str, Fact] = {
        "ack": facts.AcknowledgedBy(at=now, by="ana"),
        "escalate": facts.EscalatedBy(at=now, by="ana"),
        "resolve": facts.ResolvedBy(at=now, by="ana"),
        "reopen": facts.ReopenedBy(at=now, by="ana"),
    }
    if what == "fire":
        play.fire(play.incident.severity)
    elif what == "worse":
        play.fire(Severity.P1)
    elif what == "clear":
        play.clear()
    elif what == "again":
        play.clear()
        play.step(minute - minutes / 2)
        play.fire(play.incident.severity)
    play.step(minute, *([people[what]] if what in people else []))
    if what == "deliver":
        play.delivered()


@settings(max_examples=300, deadline=None)
@given(sky=skies, severity=st.sampled_from(list(Severity)), todo=events)
def test_what_fires_is_paged_or_it_is_recorded_why_not_and_no_reason_outlives_its_cause(
    sky: Sky, severity: Severity, todo: list[tuple[str, float]]
) -> None:
    play = Watched(sky, severity)
    for what, minutes in todo:
        go(play, what, minutes)
    ids = [effect.id for _, effect in play.effects]
    assert len(ids) == len(set(ids)), "an id was used for two messages"
    # The sky clears: whatever still fires unanswered is paged within a look.
    play.sky = Sky(graph=False)
    play.until(play.minute + 1.1)
    play.at(play.minute + 0.01)
    if isinstance(play.incident.state, Triggered):
        assert play.incident.holds == ()
        assert play.incident.episode.reached


def test_the_properties_are_tried_on_every_kind_of_reason() -> None:
    sky = Sky(windows=(Span(0, 10, "known"),), nights=(Span(5, 30, "dbteam"),), beneath=(Span(60, 20, "P1"),))
    play = Watched(sky, Severity.P3)
    play.step(70)
    play.clear()
    play.step(71)
    play.step(90)
    play.fire(Severity.P3)
    play.step(100)
    play.step(101)
    kinds = {entry.text.split("(")[1].split(")")[0] for one in play.decisions for entry in one.entries
             if entry.reason is Reason.HELD}  # fmt: skip
    assert kinds == {"maintenance", "quiet hours", "dependency"}
