"""What every fact has (``facts.py``)."""

from __future__ import annotations

from datetime import datetime

import msgspec


class FactBase(msgspec.Struct, frozen=True, kw_only=True, tag_field="fact"):
    """It happened ``at`` that time."""

    at: datetime


class HumanFact(FactBase, frozen=True, kw_only=True):
    """A person said or did it; ``via`` is the way it came."""

    by: str
    note: str = ""
    via: str = "api"
