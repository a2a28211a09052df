"""Type ``slack``: one message for an incident in each conversation, kept true by updates; people are paged in its thread.

A conversation is a channel, or a person's direct messages. Sources: docs.slack.dev of ``chat.postMessage``,
``chat.update`` and Block Kit; limits from the SDK's models.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import msgspec
import structlog

from responder.addresses import base_objection
from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.paging.base import CHANNELS, ChannelError, ChannelTools, NotYetError
from responder.paging.slack_api import CALL_LIMIT, SlackApi, SlackRefusedError
from responder.paging.slack_blocks import Look, blocks, fallback_text
from responder.paging.slack_charts import SlackCharts
from responder.paging.slack_pace import POST, UPDATE, Pacer
from responder.paging.slack_people import SlackPeople, is_user
from responder.paging.slack_search import page_of, reply_of, topic
from responder.paging.slack_talk import Talk, digest, recalled
from responder.paging.slack_thread import SlackThread
from responder.secrets import Secret
from responder.store.conversations import Place

log = structlog.get_logger(__name__)

_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_NO_THREAD = frozenset(
    {"thread_not_found", "message_not_found", "cannot_reply_to_message", "invalid_thread_ts"}
)
#: Where nothing can be written: the channel of the settings takes its place.
_NO_PLACE = frozenset(
    {"is_archived", "channel_not_found", "not_in_channel", "user_not_found", "cannot_dm_bot"}
)
_ASKS = frozenset({MessageKind.PAGE, MessageKind.REMINDER})
_UPDATE_BESIDE_PAGE = 2.5  # seconds that a page may lose on the update of the message above it


class SlackSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Slack app. ``channel`` takes the pages of contacts whose ``slack`` is an ``@name``, a group or missing.

    ``app_token`` (``xapp-…``) opens Socket Mode. ``hooks_url`` is where Slack takes answers to people.
    """

    token: Secret
    signing_secret: Secret | None = None
    app_token: Secret | None = None
    channel: str | None = None
    api_url: str = "https://slack.com/api/"
    hooks_url: str = "https://hooks.slack.com/"

    def __post_init__(self) -> None:
        """Refuse addresses that nothing could be sent to."""
        for name in ("api_url", "hooks_url"):
            if objection := base_objection(getattr(self, name)):
                raise ValueError(f"{name}: {objection}")


class _Errand(msgspec.Struct, frozen=True):
    """A message on its way to an address; ``page`` is the receipt of the page that it follows."""

    message: Message
    contact: Contact
    page: Receipt
    address: str


@CHANNELS.register("slack")
class SlackChannel:
    """Posts pages and keeps them true.

    A contact's ``slack`` is a channel (``C…``, ``#name``), a person (``U…``) or a user group (``S…``); what is none of
    these goes to the ``channel`` of the settings and names the contact.
    """

    Settings: ClassVar[type[msgspec.Struct]] = SlackSettings
    concurrency: ClassVar[int] = 8
    address_kind: ClassVar[str] = "slack"
    keeps_conversation: ClassVar[bool] = True

    def __init__(self, name: str, settings: SlackSettings, tools: ChannelTools) -> None:
        self.name = name
        self.settings = settings
        self._tools = tools
        self._pacer = Pacer()
        self.api = SlackApi(settings.token, settings.api_url, tools.session, self._limited)
        self._people = SlackPeople(self.api, tools.clock, tools.user_ids)
        self._charts = SlackCharts(self.api.form, tools, settings.api_url)
        self._thread = SlackThread(self.api, self._pacer, tools.clock, tools.spill)

    def _limited(self, method: str, channel: str, wait: timedelta) -> None:
        place = channel if method == POST else ""
        self._pacer.refused(method, place, self._tools.clock.now(), wait, page=False)

    def reaches(self, contact: Contact) -> bool:
        """Whether there is a conversation for the contact."""
        return bool(self._addresses(contact))

    def _addresses(self, contact: Contact) -> tuple[str, ...]:
        """Where to write, the best first."""
        own = contact.addresses.get("slack", "")
        found = [own] if own.startswith(("C", "G", "D", "#")) or is_user(own) else []
        return tuple(dict.fromkeys([*found, *([self.settings.channel] if self.settings.channel else [])]))

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Page somebody, or bring the message up to date."""
        addresses = self._addresses(contact)
        if not addresses:
            raise ChannelError(
                f"{contact.name} has no Slack channel: set contacts.{contact.name}.slack", permanent=True
            )
        if page.reference.get("to") in addresses[1:]:  # its page found the way there already
            addresses = addresses[addresses.index(page.reference["to"]) :]
        for address in addresses:
            try:
                return await self._sent(_Errand(message, contact, page, address))
            except SlackRefusedError as error:
                if error.limited and message.kind not in _ASKS:
                    raise NotYetError(str(error), error.retry_after or timedelta(seconds=5)) from None
                if error.code not in _NO_PLACE or address == addresses[-1]:
                    raise
                log.warning(
                    "cannot write there; using the default channel", address=address, error=error.code
                )
        raise ChannelError("slack: there is no place to write to", permanent=True)

    async def close(self) -> None:
        """Give up what is under way beside pages; the session is its owner's."""
        await self._charts.close()
        await self._thread.close()

    async def _sent(self, errand: _Errand) -> Receipt:
        message = errand.message
        place = Place(channel=self.name, address=errand.address, incident=topic(message))
        asks = message.kind in _ASKS
        on = await recalled(self._tools.memory, place)
        _adopt(errand, on)
        if asks and on.message is not None:
            await self._ring(errand, on)  # whoever writes there now is not waited for
        async with on.alone(self._tools.clock, patient=asks):
            _adopt(errand, on)
            patient = await (self._page(errand, on) if asks else self._follow(errand, on))
            await self._thread.found(message, on, patient=patient)
            return await self._receipt(errand, on)

    async def _receipt(self, errand: _Errand, on: Talk) -> Receipt:
        if on.message is None:
            return Receipt()
        charts = on.known.get("charts") or errand.page.reference.get("charts", "")
        reference = {**on.message, "to": errand.address, **({"charts": charts} if charts else {})}
        receipt = self._charts.begin(errand.message, Receipt(reference))
        if receipt.reference.get("charts", "") != charts:
            await on.note(charts=receipt.reference["charts"])
        return receipt

    async def _page(self, errand: _Errand, on: Talk) -> bool:
        """Post the message; where there is one, page in its thread and show it above. Nothing else makes it wait."""
        if on.message is not None:
            await self._ring(errand, on)
        if on.message is None:
            await self._post(errand, on)
        else:
            await self._show_beside(errand, on)
        return False

    async def _ring(self, errand: _Errand, on: Talk) -> None:
        """Mention who is paged in the thread, once; an edited message rings nowhere."""
        message, at, once = errand.message, on.message or {}, f"page:{errand.message.id}"
        if on.has(once):
            return None
        mention = await self._people.mention(errand.contact)
        anew = on.known.get("episode", "") not in ("", str(message.incident.episode))
        try:
            if message.attempt == 1 or not await reply_of(self.api, at, message):
                await self._thread.page(message, on, mention, broadcast=anew or not mention)
        except SlackRefusedError as error:
            if error.code not in _NO_THREAD:
                self._heed(error, at["channel"])
                raise
            return await on.gone()
        return await on.did(once, episode=str(message.incident.episode))

    async def _show_beside(self, errand: _Errand, on: Talk) -> None:
        """Bring the message above the page up to date; the page is out, and waits for it no longer than that."""
        try:
            if on.known.get("shown") != digest(self._blocks(errand.message, on)):
                self._pacer.spent(UPDATE, "", self._tools.clock.now())
                await self._show(errand, on, limit=_UPDATE_BESIDE_PAGE)
        except ChannelError as error:
            if isinstance(error, SlackRefusedError) and error.code in _GONE:
                await on.gone()
                return await self._post(errand, on)
            log.info("the message above is brought up to date later", reason=str(error))
        return None

    def _heed(self, error: SlackRefusedError, channel: str) -> None:
        """A page was refused for now: the others leave it the room."""
        if error.limited:
            wait = error.retry_after or timedelta(seconds=5)
            self._pacer.refused(POST, channel, self._tools.clock.now(), wait, page=True)

    async def _follow(self, errand: _Errand, on: Talk) -> bool:
        """Bring the message up to date, and say in its thread what has happened; whether it may come again for more."""
        message = errand.message
        if on.message is None:
            await self._post(errand, on)
            return False
        older = float(on.known.get("version", "0")) > message.sent_at.timestamp()
        if not older and on.known.get("shown") != digest(self._blocks(message, on)):
            self._thread.turn(message.id, UPDATE, "")
            try:
                await self._show(errand, on)
            except SlackRefusedError as error:
                if error.code not in _GONE:
                    raise
                await on.gone()
                await self._post(errand, on)
                return False
        await self._thread.say(message, on)
        return True

    async def _post(self, errand: _Errand, on: Talk) -> None:
        message = errand.message
        found = None
        if message.attempt > 1 or on.known.get("posting"):
            found = await page_of(self.api, errand.address, message)
        mention = on.known.get("mention", "")
        if message.kind in _ASKS:
            mention = "" if is_user(errand.address) else await self._people.mention(errand.contact)
        on.known["mention"] = mention
        made = self._blocks(message, on)
        if found is None:
            await on.note(posting=message.id)
            found = await self._posted(errand, mention, made)
        fields = {**found, "posting": "", "mention": mention, "episode": str(message.incident.episode)}
        await on.did(f"page:{message.id}", **fields, **_shown(message, made))

    async def _posted(self, errand: _Errand, mention: str, made: list[dict[str, Any]]) -> dict[str, str]:
        message = errand.message
        try:
            answer = await self.api.call(
                POST,
                channel=errand.address,
                text=fallback_text(message, mention),
                blocks=made,
                unfurl_links=False,
                unfurl_media=False,
                metadata={
                    "event_type": "responder_page",
                    "event_payload": {"id": message.id, "incident": topic(message)},
                },
            )
        except SlackRefusedError as error:
            self._heed(error, errand.address)
            raise
        found = {name: str(answer.get(name) or "") for name in ("channel", "ts")}
        if not all(found.values()):
            raise ChannelError("slack: the answer names no message")
        self._pacer.spent(POST, found["channel"], self._tools.clock.now())
        return found

    async def _show(self, errand: _Errand, on: Talk, *, limit: float = CALL_LIMIT) -> None:
        """Update the message. Raises :class:`SlackRefusedError` where it is gone."""
        message, at = errand.message, on.message or {}
        made = self._blocks(message, on)
        await self.api.call(
            UPDATE,
            channel=at["channel"],
            ts=at["ts"],
            text=fallback_text(message, on.known.get("mention", "")),
            blocks=made,
            limit=limit,
        )
        await on.note(**_shown(message, made))

    def _blocks(self, message: Message, on: Talk) -> list[dict[str, Any]]:
        return blocks(message, Look(mention=on.known.get("mention", ""), silences=self._tools.silences))


def _adopt(errand: _Errand, on: Talk) -> None:
    """Take the message of the page's receipt: it was posted before there was a memory, or while that was away."""
    reference = errand.page.reference
    if on.message is None and reference.get("to", errand.address) == errand.address:
        on.known |= {name: reference[name] for name in ("channel", "ts") if name in reference}


def _shown(message: Message, made: list[dict[str, Any]]) -> dict[str, str]:
    return {"version": str(message.sent_at.timestamp()), "shown": digest(made)}
