"""What is remembered, by how much it matters: what is forgotten first where there is no room is found at once. Pure."""

from __future__ import annotations

from responder.engine.blind.item import Item
from responder.incident.state import Acknowledged, Monitoring, Triggered


class Ranks:
    """Items by their ids, in classes; class 0 matters the most."""

    def __init__(self) -> None:
        self._classes: dict[int, dict[str, None]] = {}

    def place(self, item: Item) -> None:
        """Put it where it belongs by now."""
        self.drop(item.id)
        self._classes.setdefault(_class_of(item), {})[item.id] = None

    def drop(self, item_id: str) -> None:
        """It is remembered no more."""
        for ids in self._classes.values():
            ids.pop(item_id, None)

    def less_than(self, item: Item) -> str | None:
        """The newest of those that matter least, where these matter less than this one."""
        least = max(number for number, ids in self._classes.items() if ids)
        return next(reversed(self._classes[least])) if least > _class_of(item) else None


def _class_of(item: Item) -> int:
    """Smaller for what matters more: what was acted on, then what waits for somebody, then the worse."""
    state = item.incident.state if item.incident is not None else Triggered()
    rests = isinstance(state, (Acknowledged, Monitoring))
    return 8 * (not item.touched) + 4 * rests + item.severity.rank - 1
