"""Type ``pagerduty``: each page opens an alert through the Events API v2; what follows keeps it true.

Sources: PagerDuty/developer-docs, events-API-v2 and webhooks (August 2026); REST ``GET /incidents`` and
``GET /incidents/{id}/alerts`` of PagerDuty/api-schema.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec
import structlog

from responder.addresses import base_objection
from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.paging.base import CHANNELS, ChannelError, ChannelTools
from responder.paging.http import Answer, check, exchange
from responder.paging.pagerduty_events import PageKey, dedup_key, encode, follow_up, read_key, trigger
from responder.paging.pagerduty_requests import verify
from responder.secrets import Secret
from responder.text import one_line

log = structlog.get_logger(__name__)

#: PagerDuty names no time for a 429, but advises half a minute and more.
_LIMITED = timedelta(seconds=30)
#: After "accepted" the incident is there within a second or two; the page is looked for so often.
LOOKS = 4
LOOK_PAUSE = 0.7  # seconds
CONFIRM_LIMIT = 4.0  # seconds for all looks; the event was taken, so the page must not be cut short by them
_FORMER_KEPT = 5
_ALERTS_READ = 25
_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})
_OPEN = frozenset({"triggered", "acknowledged"})
_THEIR_ID = re.compile(r"[A-Za-z0-9]{1,40}")


class PagerDutySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Integration keys of the Events API v2: ``routing_key`` for all, ``routing_keys`` by the name that contacts give.

    ``webhook_secret`` (and ``webhook_secrets``, where there are several subscriptions) verifies what PagerDuty posts
    to ``/pagerduty/webhook``. With ``api_key`` a page counts as delivered only when its incident is there.
    """

    routing_key: Secret | None = None
    routing_keys: dict[str, Secret] = {}
    url: str = "https://events.pagerduty.com"
    webhook_secret: Secret | None = None
    webhook_secrets: dict[str, Secret] = {}
    api_key: Secret | None = None
    api_url: str = "https://api.pagerduty.com"

    def __post_init__(self) -> None:
        """Refuse what could page nobody."""
        if self.routing_key is None and not self.routing_keys:
            raise ValueError("give routing_key, or routing_keys by name")
        for name in ("url", "api_url"):
            if objection := base_objection(getattr(self, name)):
                raise ValueError(f"{name}: {objection}")


@CHANNELS.register("pagerduty")
class PagerDutyChannel:
    """Triggers, acknowledges and resolves; a contact's ``pagerduty`` names an entry of ``routing_keys``."""

    Settings: ClassVar[type[msgspec.Struct]] = PagerDutySettings
    concurrency: ClassVar[int] = 4
    address_kind: ClassVar[str] = "pagerduty"
    rings: ClassVar[bool] = True

    def __init__(self, name: str, settings: PagerDutySettings, tools: ChannelTools) -> None:
        self.name = name
        self._settings = settings
        self._session = tools.session

    def reaches(self, contact: Contact) -> bool:
        """Whether the contact's entry is there, or one for everybody."""
        return self._key(contact.addresses.get("pagerduty", "")) is not None

    def _key(self, entry: str) -> Secret | None:
        return self._settings.routing_keys.get(entry) if entry else self._settings.routing_key

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Send the event that a message stands for. "Accepted" is all that PagerDuty says of it."""
        entry = page.reference.get("entry", "")
        if message.kind in _PAGES or not page.reference:
            entry = contact.addresses.get("pagerduty", "")
        key = self._key(entry)
        if key is None:
            raise ChannelError(f"pagerduty: no routing key {entry or 'for all'}", permanent=True)
        routing_key = key.reveal()
        own = dedup_key(message)
        former = page.reference.get("former", "").split()
        match message.kind:
            case MessageKind.PAGE | MessageKind.REMINDER:
                former += [last for last in (page.reference.get("key"),) if last and last != own]
                return await self._page(message, routing_key, Receipt({"key": own, "entry": entry}), former)
            case MessageKind.UPDATE:
                if message.incident.state in _OPEN:
                    await self._enqueue(trigger(message, own), routing_key)
            case MessageKind.ACKNOWLEDGED:
                await self._enqueue(follow_up("acknowledge", own), routing_key)
            case MessageKind.RESOLVED:
                for one in (own, *former):
                    await self._enqueue(follow_up("resolve", one), routing_key)
        return page

    async def _page(self, message: Message, routing_key: str, made: Receipt, former: list[str]) -> Receipt:
        """Open an alert, then close those that it takes the place of: one that stays open is closed at the end."""
        await self._enqueue(trigger(message, made.reference["key"]), routing_key)
        try:
            async with asyncio.timeout(CONFIRM_LIMIT):
                await self._confirm(made.reference["key"])
        except TimeoutError:
            log.warning("cannot look for the incident", channel=self.name, reason="no answer in time")
        left = []
        for one in former:
            try:
                await self._enqueue(follow_up("resolve", one), routing_key)
            except ChannelError as error:  # the page is out: this must not send it again
                log.info("former alert not closed yet", channel=self.name, reason=str(error))
                left.append(one)
        return Receipt({**made.reference, "former": " ".join(left[-_FORMER_KEPT:])}) if left else made

    async def _enqueue(self, event: dict[str, Any], routing_key: str) -> None:
        url = f"{self._settings.url.rstrip('/')}/v2/enqueue"
        headers = {"Content-Type": "application/json", "User-Agent": "responder"}
        answer = await exchange(self._session, "POST", url, headers, encode(event, routing_key))
        said = answer.json()
        _check(answer, _reason(said).replace(routing_key, "<redacted>"))
        if answer.status != 202 or said.get("status") != "success":
            # A proxy that answers in its place has taken nothing.
            raise ChannelError(f"pagerduty: answered {answer.status}, but not that it accepted the event")

    async def _confirm(self, key: str) -> None:
        """Look for the incident, where we may: "accepted" is said too of an event that calls nobody."""
        if self._settings.api_key is None:
            return
        query = urlencode({"incident_key": key, "date_range": "all", "limit": 1})
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(LOOK_PAUSE)
            try:
                found = await self._get(f"/incidents?{query}")
            except (
                ChannelError
            ) as error:  # the event was taken: that it cannot be looked for is no failure of it
                log.warning("cannot look for the incident", channel=self.name, reason=str(error))
                return
            if found.get("incidents"):
                return
        raise ChannelError("pagerduty: the event was accepted, but no incident came of it yet")

    async def _get(self, path: str) -> dict[str, Any]:
        key = self._settings.api_key
        headers = {
            "Authorization": f"Token token={key.reveal() if key else ''}",
            "Accept": "application/vnd.pagerduty+json;version=2",
        }
        answer = await exchange(self._session, "GET", self._settings.api_url.rstrip("/") + path, headers)
        _check(answer, "the API key was not taken" if answer.status in {401, 403} else "")
        return answer.json()

    def signed(self, signatures: str, body: bytes) -> bool:
        """Whether one of our webhook subscriptions signed these bytes."""
        own = [self._settings.webhook_secret] if self._settings.webhook_secret else []
        secrets = [one.reveal() for one in (*own, *self._settings.webhook_secrets.values())]
        return verify(secrets, signatures, body)

    async def pages_of(self, incident_key: str, their_incident: str) -> tuple[PageKey, ...]:
        """Our pages behind an incident of theirs: by its key, else (grouped alerts have none) by its alerts' keys.

        Raises:
            ChannelError: where the alerts cannot be asked for now.
        """
        found = read_key(incident_key)
        if found is not None:
            return (found,)
        if self._settings.api_key is None or _THEIR_ID.fullmatch(their_incident) is None:
            return ()
        answer = await self._get(f"/incidents/{their_incident}/alerts?limit={_ALERTS_READ}")
        alerts = answer.get("alerts")
        keys = [str(one.get("alert_key", "")) for one in alerts if isinstance(one, dict)] if alerts else []
        return tuple(key for text in keys[:_ALERTS_READ] if (key := read_key(text)) is not None)

    async def close(self) -> None:
        """The session is its owner's."""


def _check(answer: Answer, said: str) -> None:
    try:
        check(answer, said)
    except ChannelError as error:
        wait = error.retry_after or (_LIMITED if answer.status == 429 else None)
        raise ChannelError(f"pagerduty: {error}", permanent=error.permanent, retry_after=wait) from None


def _reason(said: dict[str, Any]) -> str:
    """What PagerDuty says is wrong: its message and the errors under it."""
    errors = said.get("errors")
    parts = [said.get("message"), *(errors if isinstance(errors, list) else ())]
    return one_line("; ".join(str(part) for part in parts if part), 200)
