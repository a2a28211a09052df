"""What became of reading the rule files again."""

from __future__ import annotations

import msgspec

from responder.documents import Problem


class ReloadOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the new rules were taken, and every problem; ``warnings`` are about the configuration, which is not read anew."""

    taken: bool
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
