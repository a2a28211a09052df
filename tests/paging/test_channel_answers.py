"""One table for every channel that speaks HTTP: what the server does, and what that means for the page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from fake_twilio import SID
from pages import message, tools
from providers import MISBEHAVIOURS, misbehaving

from responder.incident.message import Contact, Receipt
from responder.paging.base import Channel, ChannelError, ChannelTools
from responder.paging.ntfy import NtfyChannel, NtfySettings
from responder.paging.pagerduty import PagerDutyChannel, PagerDutySettings
from responder.paging.slack import SlackChannel, SlackSettings
from responder.paging.teams import TeamsChannel, TeamsSettings
from responder.paging.twilio_sms import TwilioSmsChannel, TwilioSmsSettings
from responder.paging.twilio_voice import TwilioVoiceChannel, TwilioVoiceSettings
from responder.paging.webhook import WebhookChannel, WebhookSettings
from responder.secrets import Secret

__all__ = ["tools"]
SECRET = Secret("a-secret-that-nobody-may-see-000")
ANA = Contact(name="ana", addresses={"phone": "+639171234567", "ntfy": "ana-pages"})
ACCOUNT = {"account_sid": SID, "auth_token": SECRET}

CHANNELS: dict[str, Callable[[str, ChannelTools], Channel]] = {
    "webhook": lambda url, tools: WebhookChannel("x", WebhookSettings(url=Secret(url), secret=SECRET), tools),
    "pagerduty": lambda url, tools: PagerDutyChannel("x", PagerDutySettings(routing_key=SECRET, url=url), tools),
    "twilio.sms": lambda url, tools: TwilioSmsChannel(
        "x", TwilioSmsSettings(**ACCOUNT, sender="+15005550006", url=url), tools  # type: ignore[arg-type]
    ),
    "twilio.voice": lambda url, tools: TwilioVoiceChannel(
        "x", TwilioVoiceSettings(**ACCOUNT, sender="+15005550006", url=url), tools  # type: ignore[arg-type]
    ),
    "teams": lambda url, tools: TeamsChannel("x", TeamsSettings(url=Secret(f"{url}/invoke?sig={SECRET.reveal()}")), tools),
    "slack": lambda url, tools: SlackChannel("x", SlackSettings(token=SECRET, channel="C1", api_url=url), tools),
    "ntfy": lambda url, tools: NtfyChannel("x", NtfySettings(url=url, token=SECRET), tools),
}  # fmt: skip

DELIVERED, PASSING, PERMANENT = "delivered", "passing", "permanent"
#: What each behaviour means, unless the channel is named below.
EXPECTED: dict[str, tuple[str, float | None]] = {
    "hangs": (PASSING, None),
    "cuts the connection": (PASSING, None),
    "speaks no HTTP": (PASSING, None),
    "breaks off after the status": (PASSING, None),
    "answers like a proxy": (PASSING, None),
    "redirects": (PERMANENT, None),
    "400": (PERMANENT, None),
    "401": (PERMANENT, None),
    "403": (PERMANENT, None),
    "404": (PERMANENT, None),
    "413": (PERMANENT, None),
    "408": (PASSING, None),
    "429": (PASSING, None),
    "429 with a wait": (PASSING, 17),
    "500": (PASSING, None),
    "503 with a wait": (PASSING, 9),
    "503 with a date": (PASSING, 7),
    "huge": (PASSING, None),
}
#: A 2xx is all that a webhook and a workflow promise. PagerDuty and ntfy say elsewhere how long to wait.
EXCEPTIONS: dict[tuple[str, str], tuple[str, float | None]] = {
    ("webhook", "breaks off after the status"): (DELIVERED, None),
    ("webhook", "answers like a proxy"): (DELIVERED, None),
    ("teams", "breaks off after the status"): (DELIVERED, None),
    ("teams", "answers like a proxy"): (PASSING, None),
    ("pagerduty", "429"): (PASSING, 30),
    ("ntfy", "429"): (PASSING, 5),
}


def test_the_table_has_every_behaviour() -> None:
    assert set(EXPECTED) == set(MISBEHAVIOURS)


@pytest.mark.parametrize("behaviour", MISBEHAVIOURS)
@pytest.mark.parametrize("kind", CHANNELS)
async def test_what_a_server_does_says_whether_trying_again_is_of_use(
    kind: str, behaviour: str, tools: ChannelTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responder.paging.http.SEND_LIMIT", 0.3 if behaviour == "hangs" else 8.0)
    expected, wait = EXCEPTIONS.get((kind, behaviour), EXPECTED[behaviour])
    async with misbehaving(behaviour) as url:
        one = CHANNELS[kind](url, tools)
        assert one.reaches(ANA)
        if expected == DELIVERED:
            await one.send(message(), ANA, Receipt())
            return
        with pytest.raises(ChannelError) as caught:
            await one.send(message(), ANA, Receipt())
    assert caught.value.permanent is (expected == PERMANENT)
    assert caught.value.retry_after == (timedelta(seconds=wait) if wait else None)
    for secret in (SECRET.reveal(), url, "html"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("kind", CHANNELS)
async def test_nobody_there_is_a_passing_failure(kind: str, tools: ChannelTools) -> None:
    with pytest.raises(ChannelError) as caught:
        await CHANNELS[kind]("http://127.0.0.1:9", tools).send(message(), ANA, Receipt())
    assert not caught.value.permanent


@pytest.mark.parametrize("kind", CHANNELS)
def test_settings_do_not_show_their_secrets(kind: str, tools: ChannelTools) -> None:
    one = CHANNELS[kind]("http://127.0.0.1:9", tools)
    assert SECRET.reveal() not in repr(vars(one))
    settings: Any = vars(one).get("settings") or vars(one)["_settings"]
    assert SECRET.reveal() not in repr([msgspec.structs.asdict(settings)])
