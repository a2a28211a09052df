"""Secrets that never show themselves, and the redaction of text that may hold some."""

from __future__ import annotations

from pathlib import Path


class Secret:
    """A value that ``repr``, logs and dumps show as ``<secret>``; from a file it is read at each use (rotation)."""

    __slots__ = ("_file", "_value")

    def __init__(self, value: str = "", *, file: Path | None = None) -> None:
        self._value = value
        self._file = file

    def reveal(self) -> str:
        """The value itself.

        Raises:
            OSError: where the file cannot be read.
        """
        if self._file is None:
            return self._value
        return self._file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._value, self._file) == (other._value, other._file)

    def __hash__(self) -> int:
        return hash((self._value, self._file))
