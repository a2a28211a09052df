"""What an alert of our own goes through, as those who send one on its way see it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from responder.rules.compile import Compiled
from responder.store.group_commit import GroupCommit
from responder.store.reading import Reader
from responder.store.signs import Signs
from responder.store.store import Store


class Road(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the road. ``look_at`` has an incident decided at once."""

    commits: GroupCommit
    store: Store
    reader: Reader
    signs: Signs
    rules: Callable[[], Compiled]
    look_at: Callable[[str], None]
