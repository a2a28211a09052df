"""What incidents that are told together hear of each other (``digest.py``); part of ``facts.py``."""

from __future__ import annotations

from responder.incident.fact_base import FactBase
from responder.incident.severity import Severity


class DigestBegan(FactBase, frozen=True, kw_only=True, tag="digest"):
    """The incident's page to a contact became a digest; ``why`` is for people."""

    contact: str
    why: str


class IncidentFolded(FactBase, frozen=True, kw_only=True, tag="folded"):
    """An incident was told to a contact with the digest of this one; ``count`` is how many were by then.

    ``over`` is how many had left, where this one had and is back. ``kind`` is its severity and the name of its alert, ``alike`` how many of
    them were of it by then, and ``mark`` tells it apart from these.
    """

    incident: str
    contact: str
    line: str
    service: str
    severity: Severity
    count: int
    over: int | None = None
    kind: str = ""
    alike: int = 0
    mark: str = ""


class FoldedEnded(FactBase, frozen=True, kw_only=True, tag="folded_ended"):
    """A folded incident has ended, was taken by itself, or is paged by itself; ``over`` is how many of them by then."""

    incident: str
    over: int


class CarrierGone(FactBase, frozen=True, kw_only=True, tag="carrier_gone"):
    """The incident into whose digest this one was folded tells nobody any more, and nobody took it."""

    carrier: str
