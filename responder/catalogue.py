"""Every plug-in type there is, found by importing the folders: what configuration and rule files may name."""

from __future__ import annotations

from responder.actions.base import ACTIONS
from responder.config import TypeCatalogue
from responder.paging.base import CHANNELS
from responder.triage.base import PROBES


def catalogue() -> TypeCatalogue:
    """The settings of each channel, probe and action type."""
    channels = CHANNELS.discover("responder.paging")
    probes = PROBES.discover("responder.triage")
    actions = ACTIONS.discover("responder.actions")
    return TypeCatalogue(
        channels={name: channels[name].Settings for name in channels},
        probes={name: probes[name].Settings for name in probes},
        actions={name: actions[name].Settings for name in actions},
    )
