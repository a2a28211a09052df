"""``services.depends_on``: circles, and names that no service has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from responder.documents import Place, Problem
from responder.registry import did_you_mean
from responder.rules.files import ServiceShape


def dependency_problems(
    services: Mapping[str, ServiceShape], known: Collection[str], place: Callable[[str], Place]
) -> Iterator[Problem]:
    """An error for each circle, a warning for each name that is neither a service nor a row of the matrix.

    ``known`` are all of these, ``place`` is where a service stands in the files.
    """
    for name, shape in services.items():
        for below in shape.depends_on:
            if below not in known:
                text = (
                    f"services.{name}: depends_on names {below!r}, which is neither in services nor a row of "
                    f"escalation{did_you_mean(below, known)}"
                )
                yield place(name).problem(text, "warning")
    for circle in _circles(services):
        text = f"services.{circle[0]}: depends on itself: {' -> '.join(circle)}; take one of these out"
        yield place(circle[0]).problem(text)


def _circles(services: Mapping[str, ServiceShape]) -> Iterator[list[str]]:
    """A circle for each way back to a service that is still being walked; nothing is walked twice."""
    done: set[str] = set()
    for start in services:
        path: list[str] = []
        waiting = [iter((start,))]
        while waiting:
            here = next(waiting[-1], None)
            if here is None:
                waiting.pop()
                done.update(path[-1:])
                del path[-1:]
            elif here in path:
                yield [*path[path.index(here) :], here]
            elif here not in done and here in services:
                path.append(here)
                waiting.append(iter(services[here].depends_on))
