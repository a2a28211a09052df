"""An action that a test can steer: a plug-in like any other, on a lever that remembers how often it was pulled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from responder.actions.base import (
    ACTIONS,
    ActionError,
    ActionSettings,
    Performed,
    Plan,
    Progress,
    Settling,
    Wish,
)
from responder.parameters import Parameter, kubernetes_name, resolve
from responder.targets.base import Toolbox


class LeverSettings(ActionSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    TARGET_KIND: ClassVar[str] = "http"

    lever: Parameter = "brake"


class Lever:
    """What stands in the world: shared by every action object that is made for it."""

    def __init__(self) -> None:
        self.pulls: list[str] = []
        self.rehearsals = 0
        self.refuses = self.refuses_rehearsal = ""
        self.busy: str | None = None
        self.breaks: Exception | None = None
        self.hangs = False
        self.settling = Settling(progress=Progress.DONE, text="the lever is down")
        self.undone = 0


LEVER = Lever()


@ACTIONS.register("lever")
class PullLever:
    Settings: ClassVar[type[ActionSettings]] = LeverSettings

    def __init__(self, settings: LeverSettings, tools: Toolbox) -> None:
        self._settings = settings

    def plan(self, labels: Mapping[str, str]) -> Plan:
        name = resolve(self._settings.lever, labels, "lever", kubernetes_name)
        return Plan(object=f"lever/{name}", text=f"Pull the lever {name}")

    async def rehearse(self, wish: Wish) -> str:
        LEVER.rehearsals += 1
        if LEVER.refuses_rehearsal:
            raise ActionError(LEVER.refuses_rehearsal)
        return "it would go down"

    async def busy(self, wish: Wish) -> str | None:
        return LEVER.busy

    async def perform(self, wish: Wish) -> Performed:
        if LEVER.refuses:
            raise ActionError(LEVER.refuses)
        LEVER.pulls.append(wish.run)
        if LEVER.hangs:
            await asyncio.Event().wait()
        if LEVER.breaks is not None:
            raise LEVER.breaks
        return Performed(text="pulled it down", undo={"was": "up"}, mark={"seen": wish.run})

    async def settled(self, wish: Wish, mark: Mapping[str, str]) -> Settling:
        return LEVER.settling

    async def undo(self, wish: Wish, undo: Mapping[str, str]) -> Performed:
        LEVER.undone += 1
        return Performed(text=f"put it {undo['was']} again")
