"""Whose webhooks arrive: the names of Alertmanager's receivers that post to us, and which Alertmanagers they are.

Both are learned. Of Alertmanager's list only what is routed to one of these receivers is ours; and what a listing lacks
is resolved only where the Alertmanager that sent it is one of those that can be asked: another cluster that posts here
as well is not in ``alertmanager.urls``, and its alerts are in no listing.
"""

from __future__ import annotations

import hashlib
import re

import structlog

from responder.config import AlertmanagerConfig
from responder.intake.webhook import Decoded
from responder.store.comparison import NAMES_KEPT, Comparison

log = structlog.get_logger(__name__)

#: The sender of what was found in the list itself.
LISTED = "0" * 16
#: What Go's ``regexp.QuoteMeta`` puts a backslash before; Alertmanager sends receivers so.
_QUOTED = re.compile(r"\\([\\.+*?()|\[\]{}^$])")


def plain(receiver: str) -> str:
    r"""The receiver's own name: ``team\.a`` is sent for ``team.a``."""
    return _QUOTED.sub(r"\1", receiver)


def signed(raw: str, sender: str) -> str:
    """An alert's JSON with its sender at the very end, where the store finds it without reading the rest."""
    return f'{raw[:-1]},"sender":"{sender}"}}' if sender else raw


class Senders:
    """What was learned, on this replica and on the others."""

    def __init__(self, config: AlertmanagerConfig, book: Comparison) -> None:
        self._configured = frozenset(config.receivers)
        # Who can be asked depends on the addresses: with others it is learned anew.
        addresses = " ".join(sorted(set(config.urls)))
        self._mark = hashlib.blake2b(addresses.encode(), digest_size=8).hexdigest()
        self._book = book
        self._receivers: set[str] = set()
        self._known: set[str] = {LISTED}
        self._new: dict[str, set[str]] = {"receivers": set(), "senders": set()}
        self._said = False

    def meet(self, body: Decoded) -> None:
        """A webhook came: remember its receiver."""
        name = plain(body.receiver)
        if body.sender and name not in self._receivers and len(self._receivers) < NAMES_KEPT:
            self._receivers.add(name)
            self._new["receivers"].add(name)

    @property
    def receivers(self) -> frozenset[str]:
        """The receivers that are ours; empty where none is known, and then all of them are."""
        return self._configured or frozenset(self._receivers)

    def confirm(self, sender: str) -> None:
        """An alert of this sender's is in the list: it is one of those that can be asked."""
        if sender and sender not in self._known and len(self._known) < NAMES_KEPT:
            self._known.add(sender)
            self._new["senders"].add(sender)

    def can_be_asked(self, sender: str) -> bool:
        """Whether what a sender sent would be in the list while it fires."""
        return sender in self._known

    async def exchange(self) -> None:
        """Tell the other replicas what was learned here, and learn what they did."""
        for kind, new in self._new.items():
            if new:
                await self._book.meet(kind, sorted(new), self._mark)
                new.clear()
        self._receivers |= await self._book.names("receivers", self._mark)
        self._known |= await self._book.names("senders", self._mark)
        if not self.receivers and not self._said:
            self._said = True
            log.warning(
                "no receiver is known yet: every alert of Alertmanager's is taken as ours; "
                "set alertmanager.receivers where it has others"
            )
