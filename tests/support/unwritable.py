"""What a library may hand over instead of a plain text."""

from __future__ import annotations


class Unwritable(str):
    """A text of some library's own kind, that cannot be written down."""

    __slots__ = ()
