"""What probes and actions are given to reach the configured targets, and the error where they cannot."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import aiohttp
import msgspec

from responder.clock import Clock
from responder.config import Targets
from responder.targets.errors import TargetError, configured
from responder.targets.kubernetes import Clusters


class TargetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every section of ``probes`` and ``actions`` has.

    ``TARGET_KIND`` is the section of ``targets`` that a ``target`` setting names, so that ``check`` can tell.
    """

    TARGET_KIND: ClassVar[str] = ""

    timeout: timedelta = timedelta(seconds=5)


class Toolbox(msgspec.Struct, frozen=True, kw_only=True):
    """The configured targets, one HTTP session and the clusters' clients (closed by their owner), and the clock."""

    targets: Targets
    session: aiohttp.ClientSession
    clusters: Clusters = msgspec.field(default_factory=lambda: Clusters({}))
    clock: Clock


__all__ = ["TargetError", "TargetSettings", "Toolbox", "configured"]
