"""Plug-ins by type: one file each, registered by a decorator, found by importing the folder."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """The plug-in classes of one kind, by the ``type`` that configuration and rule files name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._types: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """A class decorator; a name registered twice is our own mistake and raises ``RuntimeError``."""

        def add(cls: type[T]) -> type[T]:
            if name in self._types:
                raise RuntimeError(f"{self.kind} {name!r} is registered twice")
            self._types[name] = cls
            return cls

        return add

    def discover(self, package: str) -> Registry[T]:
        """Import every module of the package, so that each registers itself."""
        found = importlib.import_module(package)
        for module in pkgutil.iter_modules(found.__path__):
            importlib.import_module(f"{package}.{module.name}")
        return self

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._types))

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __getitem__(self, name: str) -> type[T]:
        """The class of a type; ``KeyError`` with the known ones where there is none."""
        try:
            return self._types[name]
        except KeyError:
            raise KeyError(f"unknown {self.kind} type {name!r}{did_you_mean(name, self._types)}") from None


def did_you_mean(name: str, known: Iterable[object]) -> str:
    """`` (did you mean "x"?)``, or the list of what is known where nothing is close."""
    options = sorted(str(option) for option in known)
    return closest(name, options) or (f" (known: {', '.join(options)})" if options else "")


def closest(name: str, known: Iterable[object], alike: float = 0.6) -> str:
    """`` (did you mean "x"?)``, or nothing where none is so much ``alike`` (1 is the same)."""
    found = nearest(name, known, alike)
    return f' (did you mean "{found}"?)' if found is not None else ""


def nearest(name: str, known: Iterable[object], alike: float = 0.6) -> str | None:
    """The closest one that is so much ``alike`` (1 is the same)."""
    close = difflib.get_close_matches(name, [str(option) for option in known], n=1, cutoff=alike)
    return close[0] if close else None
