"""The only way in which an incident changes: claim, decide, commit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from responder.alerts import Alert, AlertStatus
from responder.engine.fallback import fallback
from responder.engine.outside import Elsewhere
from responder.incident import canary
from responder.incident.advance import advance
from responder.incident.decision import Decision
from responder.incident.draft import Outside
from responder.incident.effects import Effect
from responder.incident.opening import Plan, open_incident
from responder.incident.state import Incident
from responder.rules.model import RuleSet
from responder.store.errors import StoreError
from responder.store.loaded import Loaded, NewerSchemaError
from responder.store.store import Store

log = structlog.get_logger(__name__)

_ALERT = msgspec.json.Decoder(Alert)


class Decider:
    """Makes decisions durable and tells of them: to metrics, to the log, to the outbox."""

    def __init__(
        self,
        store: Store,
        rules: Callable[[], RuleSet],
        *,
        on_decision: Callable[[Decision], None],
        on_effect: Callable[[Effect], None],
        on_lag: Callable[[float], None] = lambda _: None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """``elsewhere`` is asked at each decision who is on call and what holds pages back."""
        self._store = store
        self._rules = rules
        self._elsewhere = elsewhere or Elsewhere()
        self._on_decision = on_decision
        self._on_effect = on_effect
        self._on_lag = on_lag

    async def decide(self, incident_id: str) -> bool:
        """One decision; whether there is more to decide at once."""
        try:
            loaded = await self._store.claim(incident_id, self._store.token())
        except StoreError as error:
            log.warning("cannot decide; it stays due", incident=incident_id, error=str(error))
            return False
        except NewerSchemaError as error:
            log.error("cannot decide", incident=incident_id, error=str(error))  # noqa: TRY400 - the text says it all
            return False
        if loaded is None:
            return False
        if loaded.due is not None:
            self._on_lag(max((loaded.now - loaded.due) / timedelta(seconds=1), 0.0))
        return await self._decide(loaded)

    async def _decide(self, loaded: Loaded) -> bool:
        decision, facts_taken = self.decision(loaded)
        if not facts_taken:
            loaded = msgspec.structs.replace(loaded, facts=(), unread=0)
        try:
            outcome = await self._store.commit(loaded, decision, hold=not facts_taken)
        except StoreError as error:
            log.warning("decision not written; it stays due", incident=loaded.id, error=str(error))
            return False
        if outcome == "lost":
            return True
        self._on_decision(decision)
        _log(decision)
        for effect in decision.effects:
            self._on_effect(effect)
        return outcome == "again"

    def decision(self, loaded: Loaded) -> tuple[Decision, bool]:
        """The decision, and whether its facts are taken out of the inbox; nothing is written."""
        outside = Outside()
        try:
            incident = loaded.snapshot or self._opened(loaded)
            if not incident.canary:  # nothing holds it back, and nobody is on call for it
                outside = self._elsewhere.at(self._rules(), incident, loaded)
            if loaded.unread or loaded.damage:
                log.error("unreadable parts", incident=loaded.id, facts=loaded.unread, damage=loaded.damage)
            opened = loaded.snapshot is None
            return advance(
                incident, loaded.totals, loaded.facts, loaded.now, opened=opened, outside=outside
            ), True
        except Exception as error:
            log.exception("decision failed; the fallback pages", incident=loaded.id)
            return fallback(loaded, self._opened(loaded), error, outside.on_call)

    def _opened(self, loaded: Loaded) -> Incident:
        opening, rules = loaded.opening, self._rules()
        runbook = rules.runbooks.get(opening.runbook or "")
        plan = Plan(
            policy=canary.POLICY if opening.canary else rules.policy(opening.service),
            summary=runbook.summary if runbook else "",
            probes=runbook.diagnose if runbook else (),
            offers=runbook.offer if runbook else (),
            # An exercise changes nothing by itself: whatever starts is started by a person.
            automatic=tuple(name for name in runbook.offer if name in rules.automatic)
            if runbook and not opening.drill
            else (),
            raises=rules.raises.get(opening.rule, ()),
        )
        alert = _first_alert(loaded, loaded.opened_at)
        return open_incident(loaded.id, loaded.key, opening, alert, plan, loaded.opened_at)


def _first_alert(loaded: Loaded, at: datetime) -> Alert:
    if loaded.first_alert:
        try:
            return _ALERT.decode(loaded.first_alert)
        except msgspec.DecodeError as error:
            log.error("first alert unreadable", incident=loaded.id, error=str(error))  # noqa: TRY400 - said in full
    labels = {"alertname": loaded.opening.rule, **dict(loaded.opening.group)}
    return Alert(status=AlertStatus.FIRING, labels=labels, starts_at=at)


def _log(decision: Decision) -> None:
    incident = decision.incident
    (log.debug if incident.canary else log.info)(
        "decided",
        incident=incident.id,
        state=str(incident.state_name),
        severity=str(incident.severity),
        service=incident.service,
        why=[reason.name.lower() for reason in decision.why],
        effects=len(decision.effects),
        firing=incident.totals.firing_now,
        wake_at=incident.wake_at.isoformat() if incident.wake_at else None,
    )
