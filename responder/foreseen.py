"""What can be known of probes and actions before any incident: whom the configuration will refuse, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import msgspec

from responder.actions.base import ACTIONS, Action, ActionSettings, Plan
from responder.actions.book import Known, listed, not_listed
from responder.clock import SystemClock
from responder.parameters import ParameterError, labels_used
from responder.rules.raw import PluginEntry
from responder.targets.base import TargetError, Toolbox
from responder.targets.kubernetes import Clusters

if TYPE_CHECKING:
    import aiohttp

    from responder.config import Targets

#: What names an action's object, by the first of them that is given.
_NAMING = ("path", "deployment", "statefulset", "daemonset")


class Foreseen:
    """Holds what the rule files say against the targets; of a target that is not configured nothing is said here."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._clusters = Clusters(targets.kubernetes)

    def __call__(self, name: str, entry: PluginEntry) -> Iterator[tuple[str, str]]:
        """The settings of a probe or an action that can only be refused, and why."""
        settings: Any = entry.settings
        kind, target = getattr(settings, "TARGET_KIND", ""), getattr(settings, "target", None)
        if target is None or target not in getattr(self._targets, kind, ()):
            return
        namespace = getattr(settings, "namespace", None)
        if isinstance(namespace, str) and (why := self._unreached(target, namespace)):
            yield "namespace", why
        elif isinstance(settings, ActionSettings) and (why := self._unlisted(name, entry.type, settings)):
            yield next((key for key in _NAMING if getattr(settings, key, None)), "target"), why

    def _unreached(self, target: str, namespace: str) -> str:
        try:
            self._clusters.place(target, namespace, {})
        except TargetError as error:
            return str(error)
        return ""

    def _unlisted(self, name: str, kind: str, settings: ActionSettings) -> str:
        """Why the allow-list will refuse the action's one object; one that lists nothing at all is spoken of elsewhere."""
        allow = getattr(self._targets, settings.TARGET_KIND)[settings.target].allow
        if not allow or labels_used(settings):
            return ""
        if getattr(settings, "json", None) is not None:  # what is sent there names no object
            settings = msgspec.structs.replace(settings, json=None)
        # A plan asks nobody: it needs no session.
        tools = Toolbox(
            targets=self._targets,
            session=cast("aiohttp.ClientSession", None),
            clusters=self._clusters,
            clock=SystemClock(),
        )
        action: Action = ACTIONS[kind](settings, tools)
        plan = _planned(action)
        if plan is None or all(listed(one, allow) for one in (plan.object, *plan.also)):
            return ""
        return f"{not_listed(Known(name=name, settings=settings, action=action), plan)}, so the action will be refused"


def _planned(action: Action) -> Plan | None:
    """What it would do; nothing where that cannot be told yet, or for a reason that is told by itself."""
    try:
        return action.plan({})
    except (TargetError, ParameterError):
        return None
