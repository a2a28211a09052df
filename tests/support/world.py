"""A small world around the real engine and the real store: rules with one row, and people who may not answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from stage import plan, policy

from responder.engine.engine import Engine, EngineHooks
from responder.engine.on_call import WhoIsOnCall, names_only
from responder.engine.outbox import Done, Performer
from responder.engine.outside import Elsewhere
from responder.incident.action import Raise
from responder.incident.decision import Decision
from responder.incident.effects import Effect, RunTriage, SendMessage, SettleDoubts
from responder.incident.facts import MessageDelayed, MessageDelivered, MessageFailed, TriageEnded
from responder.incident.message import Contact
from responder.incident.opening import Opening
from responder.incident.policy import ChannelStep, Policy
from responder.incident.severity import Severity
from responder.intake.doubts import DoubtSettler
from responder.rules.model import ActionDefinition, ProbeDefinition, Runbook, Verdict
from responder.store.loaded import Attempt
from responder.store.store import AlertWrite, Store


class OneRow:
    """Rules that know one service with the runbook's matrix row."""

    digest = "one row"
    contacts: Mapping[str, Contact] = {}
    runbooks: Mapping[str, Runbook] = {}
    probes: Mapping[str, ProbeDefinition] = {}
    actions: Mapping[str, ActionDefinition] = {}
    dependencies: Mapping[str, tuple[str, ...]] = {}
    automatic: frozenset[str] = frozenset()
    raises: Mapping[str, tuple[Raise, ...]] = {}
    services = frozenset({"database"})

    def __init__(self, channels: tuple[str | ChannelStep, ...] = ("chat",), **more: Any) -> None:
        self._policy = policy(channels=channels, **more)
        self.plans: dict[str, tuple[ChannelStep, ...]] = {}
        self._plan = plan(*channels)

    def match(self, labels: Mapping[str, str]) -> Verdict:
        raise NotImplementedError

    def own(
        self, labels: Mapping[str, str], *, service: str | None = None, severity: Severity | None = None
    ) -> Verdict:
        raise NotImplementedError

    def policy(self, service: str) -> Policy:
        return self._policy

    def channels_of(self, name: str, severity: Severity, stands_for: str = "") -> tuple[ChannelStep, ...]:
        return self.plans.get(name, self._plan)


class Sent(msgspec.Struct, frozen=True):
    """A message that reached a person."""

    at: datetime
    effect: SendMessage


class World:
    """What the engine's effects meet: channels that fail now and then, and a record of what got through."""

    def __init__(self, chance: random.Random, *, trouble: float = 0.0) -> None:
        self.sent: list[Sent] = []
        self.decisions: list[Decision] = []
        self._chance = chance
        self._trouble = trouble
        self.down: set[str] = set()
        #: Contacts whom no channel reaches for now.
        self.away: set[str] = set()
        #: Channels whose provider is known to be down.
        self.known_down: set[str] = set()
        self.dropped: list[tuple[Effect, str]] = []
        self.attempts: list[tuple[int, SendMessage]] = []
        self.on_call: WhoIsOnCall = names_only

    async def send(self, attempt: Attempt) -> Done:
        effect = attempt.effect
        assert isinstance(effect, SendMessage)
        assert attempt.now is not None
        if effect.aside:  # this channel keeps no conversation
            return Done()
        self.attempts.append((attempt.number, effect))
        if effect.channel in self.down | self.known_down or effect.contact in self.away:
            return self.put_off(attempt, effect)
        dice = self._chance.random()
        if dice < self._trouble:
            return Done(retry_in=timedelta(seconds=1 + dice))
        if dice < self._trouble * 1.2:
            return Done(
                facts=(
                    MessageFailed(
                        at=attempt.now,
                        effect=effect.id,
                        page=effect.page,
                        kind=effect.kind,
                        reason="no such number",
                    ),
                )
            )
        self.sent.append(Sent(attempt.now, effect))
        return Done(
            facts=(
                MessageDelivered(
                    at=attempt.now,
                    effect=effect.id,
                    page=effect.page,
                    kind=effect.kind,
                    attempt=attempt.number,
                ),
            )
        )

    def who_is_on_call(self, names: Collection[str], now: datetime) -> Mapping[str, Sequence[str]]:
        """Whoever it is when it is asked: a test may change ``on_call`` at any time."""
        return self.on_call(names, now)

    def put_off(self, attempt: Attempt, effect: SendMessage) -> Done:
        """It fails for now, as the delivery of the daemon says so: in a fact of the first attempt."""
        assert attempt.now is not None
        delayed = MessageDelayed(
            at=attempt.now,
            effect=effect.id,
            page=effect.page,
            kind=effect.kind,
            reason="503",
            failover=effect.channel in self.known_down,
        )
        return Done(facts=(delayed,) if attempt.number == 1 else (), retry_in=timedelta(seconds=5))

    async def triage(self, attempt: Attempt) -> Done:
        assert attempt.now is not None
        return Done(facts=(TriageEnded(at=attempt.now, episode=attempt.effect.episode),))

    def performers(self, store: Store) -> dict[type[Effect], Performer]:
        # Nobody can be asked about doubtful firings here: they are taken as real.
        settler = DoubtSettler(store, None, lambda _: None)
        return {
            SendMessage: Performer(perform=self.send, limit=timedelta(seconds=10)),
            RunTriage: Performer(perform=self.triage, limit=timedelta(seconds=20)),
            SettleDoubts: Performer(perform=settler.perform, limit=timedelta(seconds=10)),
        }

    def replica(
        self, store: Store, rules: OneRow | None = None, channels: tuple[str, ...] = ("chat",)
    ) -> Engine:
        row = rules or OneRow(channels)
        queues = {**dict.fromkeys(channels, 4), RunTriage.QUEUE: 4, SettleDoubts.QUEUE: 2}
        return Engine(
            store,
            lambda: row,
            self.performers(store),
            queues=queues,
            hooks=EngineHooks(
                decision=self.decisions.append,
                dropped=lambda effect, why: self.dropped.append((effect, why)),
                elsewhere=Elsewhere(on_call=self.who_is_on_call),
            ),
            chance=self._chance,
        )


def firing(number: int, starts_ms: int, severity: Severity = Severity.P1, key: str = "") -> AlertWrite:
    """An alert of its own incident, unless a key is given."""
    opening = Opening(rule="r", service="database", service_label="database", severity=severity)
    labels = {"alertname": f"Alert{number}"}
    alert = {
        "fingerprint": f"{number:016x}", "status": "firing", "labels": labels, "annotations": {},
        "startsAt": "2026-11-24T03:00:00Z",
    }  # fmt: skip
    return (
        f"{number:016x}", "F", starts_ms, 0, severity.rank, key or f"{number:032x}",
        msgspec.json.encode(opening).decode(), msgspec.json.encode(alert).decode(),
    )  # fmt: skip


def resolving(number: int, starts_ms: int, ends_ms: int) -> AlertWrite:
    return (f"{number:016x}", "R", starts_ms, ends_ms, 4, "", "", "")


async def settle(*engines: Engine, rounds: int = 400) -> None:
    """Let the engines do all that is due now."""
    quiet = 0
    for _ in range(rounds):
        for engine in engines:
            await engine.poll()
        await asyncio.sleep(0)
        if all(engine.idle for engine in engines):
            quiet += 1
            if quiet == 2:
                return
        else:
            quiet = 0
            await asyncio.sleep(0.001)
