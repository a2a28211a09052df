"""What is likely a slip in a window's matchers: they are no fault, and yet hold nothing back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from responder.incident.maintenance import MaintenanceWindow
from responder.matchers import Matcher
from responder.registry import closest
from responder.rules.compile import Compiled

#: Labels that alerts have whatever the rules say of them.
_COMMON = frozenset(
    {"alertname", "cluster", "container", "env", "instance", "job", "namespace", "node", "pod", "service", "severity"}
)  # fmt: skip


def contradiction(matchers: Sequence[Matcher]) -> tuple[Matcher, Matcher] | None:
    """Two matchers of which no alert satisfies both."""
    seen: dict[str, Matcher] = {}
    for one in matchers:
        values = one.literals
        if values is None:
            continue
        other = seen.setdefault(one.name, one)
        if not values & (other.literals or frozenset()):
            return other, one
    return None


def slips(window: MaintenanceWindow, rules: Compiled) -> tuple[str, ...]:
    """What to tell whoever makes the window, one sentence each."""
    return (*_services(window, rules), *_labels(window, rules))


def _services(window: MaintenanceWindow, rules: Compiled) -> Iterator[str]:
    wanted = [one for one in window.matchers if one.name == "service"]
    if not wanted or any(window.may_concern(service) for service in rules.services):
        return
    known = sorted(rules.services)
    hint = next((found for one in wanted if (found := closest(one.value, known))), "")
    yield f"no service that the rules name is matched by {', '.join(map(str, wanted))}{hint}"


def _labels(window: MaintenanceWindow, rules: Compiled) -> Iterator[str]:
    """Only what is close to a known name: an alert may have labels that no rule names."""
    known = _COMMON | {matcher.name for rule in rules.rules for matcher in rule.matchers}
    known |= {name for rule in (*rules.rules, rules.default) for name in rule.shape.group_by}
    for name in dict.fromkeys(one.name for one in window.matchers):
        if name not in known and (hint := closest(name, sorted(known))):
            yield f"no rule names the label {name}{hint}"
