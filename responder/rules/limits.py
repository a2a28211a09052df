"""How long what looks and what changes may take: settings are checked against it, and whoever runs them keeps to it."""

from __future__ import annotations

from datetime import timedelta

#: All probes of an incident together, so that no single one may take longer.
LONGEST_LOOK = timedelta(seconds=20)
#: The change itself.
LONGEST_CHANGE = timedelta(seconds=30)
#: A rehearsal, and the question whether something is under way, each; none takes longer than the change may.
LONGEST_QUESTION = timedelta(seconds=10)
#: One attempt at an action with its gates: rehearsal, precondition, what is under way, the look before, the change. Whoever
#: dies in it is missed when it is over.
LONGEST_ATTEMPT = timedelta(seconds=65)
