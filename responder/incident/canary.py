"""The canary: an incident of our own that takes the whole road to nobody, to show that the road is open.

It is paged like any other, to a contact and over a channel that no configuration can name, and is seen in no list, no
count and no report.
"""

from __future__ import annotations

from datetime import timedelta

from responder.incident.policy import ChannelStep, Policy, SeverityPolicy
from responder.incident.severity import Level, Severity

#: The canary's rule, row and contact; names in files have no ``@`` in front, or lose it.
CANARY = "@canary"
#: The channel that delivers to nobody.
NULL_CHANNEL = "@null"

#: Promises that nobody keeps or breaks: the canary is over within seconds.
_PROMISE = SeverityPolicy(title="canary", respond_within=timedelta(minutes=15), escalate={})

POLICY = Policy(
    row=CANARY,
    contacts={Level.PRIMARY: CANARY},
    severities=dict.fromkeys(Severity, _PROMISE),
    channels={CANARY: dict.fromkeys(Severity, (ChannelStep(channel=NULL_CHANNEL),))},
    triage_wait=timedelta(0),
)
