"""What an action is: one file, one class, registered under its ``type``, that changes one object of one target."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Protocol

import msgspec

from responder.incident.action import ActionRole, Approval
from responder.incident.finding import FindingStatus
from responder.registry import Registry
from responder.targets.base import TargetError, TargetSettings, Toolbox


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most ``count`` times in any span of ``per``."""

    count: int = 3
    per: timedelta = timedelta(hours=1)


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A probe of the rule files, and the states of its finding in which the action makes sense."""

    probe: str
    status: tuple[FindingStatus, ...] = (FindingStatus.WARNING, FindingStatus.CRITICAL)


class ActionSettings(TargetSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every action's section of the rule files may say (beside its ``type`` and its own keys).

    ``timeout`` bounds the change itself. ``limit`` and ``cooldown`` hold for the object, whichever rule asks.
    ``verify`` names a probe that is run before and after; ``verify_within`` is how long it may take until the effect
    shows. After ``give_up_after`` times without an effect the action is not performed again on that object.
    """

    target: str
    title: str = ""
    approval: Approval = Approval.REQUIRED
    role: ActionRole = ActionRole.RESPONDER
    precondition: Condition | None = None
    verify: str | None = None
    verify_within: timedelta = timedelta(minutes=5)
    limit: Limit = Limit()
    cooldown: timedelta = timedelta(minutes=5)
    give_up_after: int = 2
    timeout: timedelta = timedelta(seconds=20)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What exactly an action would do: the object, as the allow-list names it, and a sentence for the confirmation.

    ``object`` is unique within the target: ``deployment/pgbouncer``, or ``sessions``. ``text`` begins with a verb:
    "Restart deployment pgbouncer in namespace analytics (target prod)". ``also`` are other objects that rehearsing or
    taking back may touch: the allow-list must name them as well.
    """

    object: str
    text: str
    also: tuple[str, ...] = ()


class Performed(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. ``undo`` is what :meth:`Action.undo` needs to take it back; ``None`` where there is no way.

    ``mark`` is handed to :meth:`Action.settled`: what to look for to know that it has taken effect.
    """

    text: str
    undo: Mapping[str, str] | None = None
    mark: Mapping[str, str] = {}


class Progress(StrEnum):
    """Whether what was done has taken effect on the object itself."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class Settling(msgspec.Struct, frozen=True, kw_only=True):
    """How far an action's effect on its object has come."""

    progress: Progress
    text: str


class ActionError(TargetError):
    """The other side refused, or it is certain that nothing was changed; the text is for people, without secrets."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted: for which incident's labels, and the run's id, which names this one wish for ever."""

    run: str
    incident: str
    labels: Mapping[str, str]
    now: datetime


class Action(Protocol):
    """A way to change one object of a target.

    Every method may raise :class:`TargetError` or ``ParameterError``; anything else that :meth:`perform` or
    :meth:`undo` raises, and a time-out, means that the outcome is unknown. Each is cancelled at its time limit.
    """

    Settings: ClassVar[type[ActionSettings]]

    def __init__(self, settings: ActionSettings, tools: Toolbox) -> None: ...

    def plan(self, labels: Mapping[str, str]) -> Plan:
        """What it would do, without asking anybody. Raises ``ParameterError`` for labels that do not fit."""
        ...

    async def rehearse(self, wish: Wish) -> str:
        """Have the other side check it without doing it, where it can; what would happen, in a sentence.

        Raises:
            ActionError: where it would be refused.
        """
        ...

    async def busy(self, wish: Wish) -> str | None:
        """What is under way on the object just now (a rollout), in words; ``None`` where nothing is."""
        ...

    async def perform(self, wish: Wish) -> Performed:
        """Do it, once.

        Raises:
            ActionError: where it is certain that nothing was changed.
        """
        ...

    async def settled(self, wish: Wish, mark: Mapping[str, str]) -> Settling:
        """Whether what was done has taken effect on the object. Only looks."""
        ...

    async def undo(self, wish: Wish, undo: Mapping[str, str]) -> Performed:
        """Take back what was done, from :attr:`Performed.undo`."""
        ...


ACTIONS: Registry[Action] = Registry("action")
