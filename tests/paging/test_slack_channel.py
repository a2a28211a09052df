"""Slack: one message for an incident in each conversation, kept true; over its real HTTP protocol and the real store."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import block_kit
import msgspec
import pytest
from aiohttp import web
from conftest import body
from fake_slack import TOKEN, FakeSlack, fake_slack
from pages import AT, LINK, charted, message, tools
from providers import serving

from responder.clock import SystemClock
from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import Contact, IncidentBrief, Message, MessageKind, Receipt
from responder.incident.severity import Level
from responder.paging.base import ChannelError, ChannelTools, NotYetError
from responder.paging.slack import SlackChannel, SlackSettings
from responder.paging.slack_blocks import Look, blocks
from responder.secrets import Secret
from responder.store.conversations import Conversations
from responder.store.store import Store

__all__ = ["tools"]
DB = Contact(name="dbteam", addresses={"slack": "C0123456"})
ANA = Contact(name="ana", addresses={"slack": "U0ANA01"})
BEN = Contact(name="ben", addresses={"slack": "@ben"})
PLATFORM = Contact(name="platform", addresses={"slack": "@platform"})
CTO = Contact(name="cto")


def channel(
    slack: FakeSlack, tools: ChannelTools, default: str | None = "C999", **more: object
) -> SlackChannel:
    settings = SlackSettings(token=Secret(TOKEN), channel=default, api_url=slack.url)
    return SlackChannel("chat", settings, msgspec.structs.replace(tools, **{"clock": Clock(), **more}))


@pytest.fixture
def memory(store: Store) -> Conversations:
    return Conversations(store)


def page(number: int = 1, to: str = "dbteam", level: Level = Level.PRIMARY, **more: Any) -> Message:
    return message(id=f"{number:016x}", page_id=f"{number:016x}", to=to, level=level, **more)


class Clock(SystemClock):
    """Turned by hand."""

    def __init__(self) -> None:
        self.at = AT

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        """A short wait moves the time; a long one lets others do so."""
        until = self.at + timedelta(seconds=seconds)
        while seconds > 15 and self.at < until:
            await asyncio.sleep(0.002)
        self.at = max(self.at, until)
        await asyncio.sleep(0)


async def sends(one: SlackChannel, message: Message, contact: Contact, receipt: Receipt) -> Receipt:
    """As the engine does: what has to wait for its turn comes again."""
    while True:
        try:
            return await one.send(message, contact, receipt)
        except NotYetError as error:
            one._tools.clock.at += error.wait  # type: ignore[attr-defined]


def later(seconds: float, kind: MessageKind = MessageKind.UPDATE, **more: Any) -> Message:
    """What follows a page; the state of its incident goes with the kind."""
    incident = message().incident
    changes = more.pop("incident", {})
    states = {MessageKind.ACKNOWLEDGED: "acknowledged", MessageKind.RESOLVED: "resolved"}
    changes = {"firing": 6 + int(seconds) % 50, **changes}
    changed = msgspec.structs.replace(incident, state=states.get(kind, "triggered"), **changes)
    at = AT + timedelta(seconds=seconds)
    more = {"id": f"{int(seconds * 1000) + 1:016x}", "asked_at": at, "sent_at": at, **more}
    return message(kind, incident=changed, **more)


def shows(one: dict[str, Any]) -> str:
    return json.dumps(one["blocks"], ensure_ascii=False)


async def test_a_page_is_posted_with_buttons_and_updates_keep_the_one_message_true(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(findings=()), DB, Receipt())
        [posted] = slack.tops()
        assert posted["unfurl_links"] is False
        assert [button["action_id"] for button in posted["blocks"][-1]["elements"]] == [
            "acknowledge", "escalate", "command", "open",
        ]  # fmt: skip
        assert await sends(one, later(2), DB, receipt) == receipt
        [kept] = slack.tops()
        assert "97 of 100 connections used" in shows(kept)
        assert kept["edited"]


async def test_an_acknowledgement_takes_the_button_away_and_is_told_in_the_thread(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(findings=()), DB, Receipt())
        done = later(60, MessageKind.ACKNOWLEDGED, by="ben", findings=(), incident={"acknowledged_by": "ben"})
        await sends(one, done, DB, receipt)
        [kept] = slack.tops()
        assert '"acknowledge"' not in shows(kept)
        assert "ben has it" in shows(kept)
        assert slack.thread(receipt.reference["ts"]) == ["Acknowledged by ben."]


async def test_later_levels_to_the_same_channel_are_mentioned_in_the_thread_of_the_one_message(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory, user_ids={"ben": "U0BEN01"})
        first = await one.send(
            page(1, "ana", findings=()), msgspec.structs.replace(ANA, addresses={}), Receipt()
        )
        for number, who in enumerate((BEN, PLATFORM), 2):
            told = page(
                number, who.name, Level.SECONDARY, findings=(), sent_at=AT + timedelta(minutes=number)
            )
            assert (await one.send(told, who, Receipt())).reference["ts"] == first.reference["ts"]
        assert len(slack.tops()) == 1
        replies = slack.thread(first.reference["ts"])
        assert [one.split(":")[0] for one in replies] == ["<@U0BEN01> ben", "<!subteam^S0PLATF> platform"]
        rung = [who for who, _ in slack.rings]
        assert rung == ["@U0BEN01", "!subteam^S0PLATF"]


async def test_whoever_slack_does_not_know_is_named_where_the_channel_sees_it(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        await one.send(page(1), DB, Receipt())
        slack.calls.clear()
        cto = msgspec.structs.replace(CTO, addresses={"slack": "C0123456"})
        await one.send(page(2, "cto", Level.EXECUTIVE), cto, Receipt())
        [reply] = [given for method, given in slack.calls if method == "chat.postMessage"]
        assert reply["reply_broadcast"] is True
        assert reply["text"].startswith("cto: Paged as executive")


async def test_the_first_page_rings_too_and_by_what_can_be_looked_up(
    tools: ChannelTools, memory: Conversations
) -> None:
    ana = Contact(name="ana", addresses={"email": "ana@example.com"})
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(1, "ana"), ana, Receipt())
        assert slack.rings == [("@U0ANA01", receipt.reference["ts"])]
        await sends(one, later(5, findings=()), ana, receipt)
        assert "<@U0ANA01>" in shows(slack.tops()[0])  # an update does not take it away, nor rings again
        assert len(slack.rings) == 1


async def test_without_the_right_to_look_people_up_the_page_goes_out_by_name(tools: ChannelTools) -> None:
    ana = Contact(name="ana", addresses={"email": "ana@example.com", "slack": "@ana"})
    async with fake_slack() as slack:
        slack.denied = {"users.lookupByEmail", "usergroups.list"}
        one = channel(slack, tools)
        for number in (1, 2):
            await one.send(page(number, "ana"), ana, Receipt())
        assert len(slack.tops()) == 2  # there is no memory here: two incidents' worth of messages
        assert slack.methods().count("users.lookupByEmail") == 1


async def test_a_persons_direct_messages_are_a_conversation_of_their_own(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        await one.send(page(1), DB, Receipt())
        direct = await one.send(page(2, "ana"), ANA, Receipt())
        assert direct.reference["channel"] == "D0ANA01"
        assert len(slack.tops()) == 2
        again = page(3, "ana", kind=MessageKind.REMINDER)
        assert (await one.send(again, ANA, direct)).reference["ts"] == direct.reference["ts"]
        assert slack.rings[-1][0] == "@U0ANA01"
        assert "Still nobody has it. Press Acknowledge above by " in slack.thread(direct.reference["ts"])[-1]
        late = msgspec.structs.replace(again, id="late", sent_at=again.respond_by + timedelta(minutes=15))
        await one.send(late, ANA, direct)
        assert "Press Acknowledge above; it was due at " in slack.thread(direct.reference["ts"])[-1]


async def test_two_pages_at_the_same_moment_make_one_message(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        replicas = [channel(slack, tools, memory=memory) for _ in range(2)]
        found = await asyncio.gather(
            replicas[0].send(page(1), DB, Receipt()),
            replicas[1].send(page(2, "cto"), msgspec.structs.replace(DB, name="cto"), Receipt()),
        )
        [only] = slack.tops()
        assert {one.reference["ts"] for one in found} == {next(iter(slack.messages))}
        assert len(slack.thread(found[0].reference["ts"])) >= 1
        assert only["channel"] == "C0123456"


async def test_what_concerns_one_conversation_is_said_there_once(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        first = await one.send(page(1, findings=()), DB, Receipt())
        cto = msgspec.structs.replace(DB, name="cto")
        second = await one.send(page(2, "cto", findings=()), cto, Receipt())
        slack.calls.clear()
        for to, receipt in ((DB, first), (cto, second)):
            said = later(60, MessageKind.RESOLVED, by="ana", to=to.name, id=f"{to.name:0>16}", findings=())
            await sends(one, said, to, receipt)
        assert slack.methods() == ["chat.update", "chat.postMessage"]
        assert slack.thread(first.reference["ts"])[-1] == "Resolved by ana."


async def test_an_update_that_is_older_than_what_is_shown_changes_nothing(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(1), DB, Receipt())
        await sends(one, later(60, MessageKind.RESOLVED), DB, receipt)
        await sends(one, later(30, MessageKind.UPDATE), DB, receipt)
        assert "Resolved" in shows(slack.tops()[0])


async def test_findings_stand_in_one_reply_that_is_kept_true(
    tools: ChannelTools, memory: Conversations
) -> None:
    found = message().findings
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(1, findings=found[:1]), DB, Receipt())
        for seconds, count in ((1, 2), (2, 3), (3, 4)):
            await sends(one, later(seconds, findings=found[:count]), DB, receipt)
        [reply] = slack.thread(receipt.reference["ts"])
        assert "PostgreSQL 18.6" in reply
        assert "may not see other sessions" in reply


async def test_a_message_that_was_deleted_is_posted_anew(tools: ChannelTools, memory: Conversations) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(1), DB, Receipt())
        slack.gone(receipt.reference["ts"])
        anew = await sends(one, later(60), DB, receipt)
        assert list(slack.tops()) == [slack.messages[anew.reference["ts"]]]
        slack.gone(anew.reference["ts"])
        rung = await one.send(page(2, "cto"), msgspec.structs.replace(DB, name="cto"), Receipt())
        assert [slack.messages[rung.reference["ts"]]] == slack.tops()


async def test_an_archived_channel_falls_back_to_the_default_one(
    tools: ChannelTools, memory: Conversations
) -> None:
    old = Contact(name="dbteam", addresses={"slack": "C0OLD01"})
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(1), old, Receipt())
        assert receipt.reference["channel"] == "C999"
        slack.calls.clear()
        await sends(one, later(60, MessageKind.RESOLVED, findings=()), old, receipt)
        assert "C0OLD01" not in {given.get("channel") for _, given in slack.calls}
        assert "Resolved" in shows(slack.tops("C999")[0])

        await one.send(page(2, incident=other_incident()), DB, Receipt())
        slack.channels["C0123456"]["archived"] = True  # while its message stands there
        moved = await sends(one, later(90, incident={"id": "2f" * 8}), DB, Receipt())
        assert moved.reference["channel"] == "C999"
        with pytest.raises(ChannelError, match="is_archived") as caught:
            await channel(slack, tools, None).send(page(3), old, Receipt())
        assert caught.value.permanent


def other_incident(**more: Any) -> IncidentBrief:
    return msgspec.structs.replace(message().incident, **{"id": "2f" * 8, **more})


async def test_d5_after_an_unclear_answer_the_page_is_looked_for_before_it_is_posted_again(
    tools: ChannelTools, memory: Conversations
) -> None:
    """Slack has taken it, and the answer is lost, or the daemon dies before it has noted it: no double, no loss."""
    for contact in (DB, ANA):
        for kept in (memory, None):
            async with fake_slack() as slack:
                slack.loses = ["chat.postMessage"]
                incident = other_incident(id=f"{len(contact.name):08x}{bool(kept):08x}")
                made = page(1, incident=incident, findings=())
                with pytest.raises(ChannelError, match="not reachable"):
                    await channel(slack, tools, memory=kept).send(made, contact, Receipt())
                again = msgspec.structs.replace(made, attempt=2)
                receipt = await channel(slack, tools, memory=kept).send(again, contact, Receipt())
                assert [receipt.reference["ts"]] == list(slack.messages)


async def test_d5_a_crash_before_slacks_answer_loses_no_page_and_one_after_it_doubles_none(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        slack.hangs = {"chat.postMessage"}  # it never got through
        dying = asyncio.create_task(
            channel(slack, tools, memory=memory).send(page(1, findings=()), DB, Receipt())
        )
        await until(lambda: slack.calls)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        slack.hangs = set()
        # Another replica, whose first attempt at it this is.
        receipt = await channel(slack, tools, memory=memory).send(page(1, findings=()), DB, Receipt())
        assert list(slack.messages) == [receipt.reference["ts"]]
        assert "conversations.history" in slack.methods()
        # It was noted, and the outbox did not hear of it.
        again = await channel(slack, tools, memory=memory).send(
            page(1, attempt=2, findings=()), DB, Receipt()
        )
        assert again == receipt
        assert list(slack.messages) == [receipt.reference["ts"]]


async def test_d5_a_mention_whose_answer_was_lost_does_not_ring_twice(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        first = await one.send(page(1, findings=()), DB, Receipt())
        cto = msgspec.structs.replace(DB, name="cto")
        slack.loses = ["chat.postMessage"]
        with pytest.raises(ChannelError):
            await one.send(page(2, "cto", findings=()), cto, Receipt())
        await one.send(page(2, "cto", attempt=2, findings=()), cto, Receipt())
        assert len(slack.thread(first.reference["ts"])) == 1


async def test_where_history_may_not_be_read_a_page_is_rather_posted_twice_than_not(
    tools: ChannelTools,
) -> None:
    async with fake_slack() as slack:
        slack.denied = {"conversations.history"}
        one = channel(slack, tools)
        await one.send(page(1), DB, Receipt())
        await one.send(page(1, attempt=2), DB, Receipt())
        assert len(slack.tops()) == 2


async def test_without_the_store_pages_go_out_and_updates_follow_their_receipts(tools: ChannelTools) -> None:
    """Two cases: outside of the daemon there is no memory; within it the store may be away."""
    from responder.store.connection import connect

    client = connect("redis://127.0.0.1:1/0")
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=Conversations(Store(client, "away")))
        receipt = await one.send(page(1, findings=()), DB, Receipt())
        await sends(one, later(60, MessageKind.RESOLVED, findings=()), DB, receipt)
        [kept] = slack.tops()
        assert "Resolved" in shows(kept)
    await client.aclose()


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        ("invalid_auth", True),
        ("channel_not_found", True),
        ("is_archived", True),
        ("fatal_error", False),
        ("ratelimited", False),
    ],
)
async def test_slacks_errors_come_with_status_200_and_are_told_apart(
    error: str, permanent: bool, tools: ChannelTools
) -> None:
    async with fake_slack() as slack:
        slack.only = "chat.postMessage"
        slack.answers.append(web.json_response({"ok": False, "error": error}))
        with pytest.raises(ChannelError, match=error) as caught:
            await channel(slack, tools, None).send(page(), DB, Receipt())
        assert caught.value.permanent is permanent
        assert slack.methods() == ["chat.postMessage"]  # nobody repeats but the outbox


async def test_l13_a_rate_limit_is_told_with_its_wait_and_a_server_error_is_temporary(
    tools: ChannelTools,
) -> None:
    async with fake_slack() as slack:
        slack.limits = lambda method, _: 7 if method == "chat.postMessage" else 0
        with pytest.raises(ChannelError, match="asks to wait 7 s") as caught:
            await channel(slack, tools).send(page(), DB, Receipt())
        assert caught.value.retry_after == timedelta(seconds=7)
        slack.limits = lambda *_: 0
        slack.only, slack.answers = "chat.postMessage", [web.Response(status=502, text="bad gateway")]
        with pytest.raises(ChannelError) as caught:
            await channel(slack, tools).send(page(), DB, Receipt())
        assert not caught.value.permanent


async def test_l13_updates_that_slack_limits_do_not_delay_a_page_and_come_again(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(1, findings=()), DB, Receipt())
        slack.limits = lambda method, _: 30 if method == "chat.update" else 0
        with pytest.raises(NotYetError) as caught:
            await one.send(later(60, findings=()), DB, receipt)
        assert caught.value.wait == timedelta(seconds=30)
        asked = len(slack.calls)
        with pytest.raises(NotYetError):  # and Slack is not asked meanwhile
            await one.send(later(61, findings=()), DB, receipt)
        assert len(slack.calls) == asked
        for number in range(2, 12):
            urgent = page(number, incident=other_incident(id=f"{number:016x}"), findings=())
            await one.send(urgent, DB, Receipt())
        cto = msgspec.structs.replace(DB, name="cto")
        await one.send(page(20, "cto", findings=()), cto, Receipt())
        assert "cto" in slack.thread(receipt.reference["ts"])[0]


async def test_l13_a_hanging_update_does_not_hold_the_page_of_the_next_level(
    tools: ChannelTools, memory: Conversations
) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(1, findings=()), DB, Receipt())
        slack.hangs = {"chat.update"}
        update = asyncio.create_task(one.send(later(60, findings=()), DB, receipt))
        await until(lambda: "chat.update" in slack.methods())
        paging = asyncio.create_task(
            one.send(page(2, "cto", findings=()), msgspec.structs.replace(DB, name="cto"), Receipt())
        )
        await until(lambda: slack.thread(receipt.reference["ts"]))
        assert not update.done()  # it still hangs
        for task in (update, paging):
            task.cancel()
        await asyncio.gather(update, paging, return_exceptions=True)


class Limits:
    """Slack's rates, held against a clock: 50 updates a minute in all, and a post a second for each channel."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.made: dict[tuple[str, str], list[datetime]] = {}
        self.refused = 0

    def __call__(self, method: str, channel: str) -> int:
        if method not in ("chat.update", "chat.postMessage"):
            return 0
        rate, window = (50, 60) if method == "chat.update" else (10, 10)
        key = (method, channel if method == "chat.postMessage" else "")
        recent = [at for at in self.made.get(key, []) if self.clock.at - at < timedelta(seconds=window)]
        self.made[key] = [*recent, self.clock.at]
        if len(recent) >= rate:
            self.refused += 1
            return 10
        return 0


async def test_s2_after_a_restart_500_updates_are_paced_grouped_and_never_in_the_way_of_a_page(
    tools: ChannelTools, memory: Conversations
) -> None:
    clock = Clock()
    async with fake_slack() as slack:
        before = channel(slack, tools, memory=memory, clock=clock)
        incidents = [other_incident(id=f"{number:016x}", title=f"Alert{number}") for number in range(500)]
        receipts = []
        for number, incident in enumerate(incidents):
            receipts.append(await before.send(page(number, incident=incident, findings=()), DB, Receipt()))
        slack.rings.clear()

        limits = Limits(clock)
        slack.limits = limits
        restarted = channel(slack, tools, memory=memory, clock=clock)
        waiting = [
            (clock.at, later(60, MessageKind.RESOLVED, by="ana", id=f"{n + 1000:016x}", findings=(),
                             incident={"id": one.id, "title": one.title}), receipt)
            for n, (one, receipt) in enumerate(zip(incidents, receipts, strict=True))
        ]  # fmt: skip
        began, tries, paged = clock.at, 0, 0
        while waiting:
            waiting.sort(key=lambda one: one[0])
            due, told, receipt = waiting.pop(0)
            clock.at = max(clock.at, due)
            tries += 1
            try:
                await restarted.send(told, DB, receipt)
            except NotYetError as error:
                waiting.append((clock.at + error.wait, told, receipt))
            if tries % 200 == 0:  # a page now and then: it is out at once, whatever waits
                paged += 1
                fresh = other_incident(id=f"{paged + 9000:016x}")
                await restarted.send(page(paged + 5000, incident=fresh, findings=()), DB, Receipt())
        assert all("Resolved" in shows(slack.messages[one.reference["ts"]]) for one in receipts)
        assert paged > 2
        assert limits.refused == 0
        assert clock.at - began < timedelta(minutes=20)
        clock.at += timedelta(minutes=1)
        replies = sum("thread_ts" in one for one in slack.messages.values())
        await until(lambda: [one for one in slack.tops() if "notices at once" in one["text"]])
        assert replies < 250  # the others are told together, and by the messages themselves
        await restarted.close()


async def until(look: Any) -> None:
    async with asyncio.timeout(30):
        while not look():
            await asyncio.sleep(0.01)


async def test_an_at_name_goes_to_the_default_channel_and_without_one_is_not_reached(
    tools: ChannelTools,
) -> None:
    named = Contact(name="dbteam", addresses={"slack": "@dbteam"})
    async with fake_slack() as slack:
        assert not channel(slack, tools, None).reaches(named)
        one = channel(slack, tools)
        assert one.reaches(named)
        assert (await one.send(page(), named, Receipt())).reference["channel"] == "C999"


async def test_a_channel_may_be_given_by_name(tools: ChannelTools, memory: Conversations) -> None:
    by_name = Contact(name="dbteam", addresses={"slack": "#database"})
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(), by_name, Receipt())
        await sends(one, later(9, MessageKind.RESOLVED), by_name, receipt)
        assert receipt.reference["channel"] == "C0123456"  # updates need the id


def test_the_message_says_in_three_lines_what_is_broken_since_when_and_what_to_press() -> None:
    incident = msgspec.structs.replace(
        message().incident, paged=("dbteam (primary)",), next_up="platform (secondary)",
        next_at=AT + timedelta(minutes=5), about="Too many connections",
    )  # fmt: skip
    header, standing, more, buttons, findings = blocks(message(incident=incident), Look(silences=True))
    assert header["text"]["text"] == "P1 database: PostgresTooManyConnections: 97 of 100 connections used"
    said = "".join(one.get("text") or one["fallback"] for one in standing["elements"][0]["elements"])
    assert said == (
        "5 alerts firing since 2026-11-24 03:00 UTC\n"
        "Nobody has it. Press Acknowledge by 2026-11-24 03:00 UTC; then paged: platform (secondary) at 2026-11-24 03:05 UTC"
    )
    assert [one["text"] for one in more["elements"]] == [
        "Paged: dbteam (primary)", "Runbook database-connection-errors: Too many connections",
    ]  # fmt: skip
    assert [one["text"]["text"] for one in buttons["elements"]] == [
        "Acknowledge", "Escalate", "Take command", "Silence…", "Open incident",
    ]  # fmt: skip
    assert "97 of 100 connections used" in json.dumps(findings)


def test_what_is_held_back_says_by_what_and_promises_no_further_page() -> None:
    incident = msgspec.structs.replace(
        message().incident, held="silence (deploying, by ben) until 2026-11-24 04:30 UTC", next_up="platform",
        next_at=AT,
    )  # fmt: skip
    said = json.dumps(blocks(message(incident=incident)))
    assert "silence (deploying, by ben) until 2026-11-24 04:30 UTC; nobody further is paged" in said
    assert "then paged" not in said


def test_a_dashboard_is_a_button() -> None:
    made = blocks(message(findings=(charted(),)))
    assert block_kit.complaints(made) == []
    assert {"dashboard"} <= {one["action_id"] for one in made[-2]["elements"]}
    assert LINK in json.dumps(made)


@pytest.mark.parametrize("state", ["triggered", "acknowledged", "monitoring", "resolved", "test"])
def test_blocks_stay_within_the_limits_whatever_they_have_to_say(state: str) -> None:
    huge = tuple(
        Finding(probe=f"p{n}", status=FindingStatus.CRITICAL, headline="x" * 200, detail="y" * 2_000)
        for n in range(20)
    )
    incident = msgspec.structs.replace(
        message().incident, state=state, title="t" * 3_000, about="a" * 9_000, cause="c" * 9_000,
        paged=("p" * 500,) * 12, next_up="n" * 900, next_at=AT, assignee="b" * 900, acknowledged_by="k" * 900,
    )  # fmt: skip
    made = message(findings=huge, summary="s" * 5_000, incident=incident, by="b" * 900)
    assert block_kit.complaints(blocks(made, Look(mention="<@U0ANA01>", silences=True))) == []


def test_what_a_sender_wrote_is_never_markup() -> None:
    nasty = json.loads(body("hostile"))["alerts"][0]["labels"]
    title = " ".join(nasty.values()) + " <!channel> *bold* <@U0ANA01>"
    incident = msgspec.structs.replace(
        message().incident, title=title, service=title, about=title, cause=title, assignee=title,
        acknowledged_by=title, state="acknowledged",
    )  # fmt: skip
    made = blocks(message(incident=incident, summary=title, by=title), Look(mention="<@U0ANA01>"))
    assert block_kit.mrkdwn(made) == ""


async def test_a_note_of_a_person_is_never_markup_either(tools: ChannelTools, memory: Conversations) -> None:
    async with fake_slack() as slack:
        one = channel(slack, tools, memory=memory)
        receipt = await one.send(page(1, findings=()), DB, Receipt())
        await one.send(
            later(5, text="ana: <!channel> *look* <https://evil.example|here>", findings=()), DB, receipt
        )
        [reply] = [one for one in slack.messages.values() if "thread_ts" in one]
        assert reply["text"] == "ana: &lt;!channel&gt; *look* &lt;https://evil.example|here&gt;"
        assert block_kit.mrkdwn(reply["blocks"]) == ""


async def test_a_hanging_slack_ends_with_the_engines_patience(tools: ChannelTools) -> None:
    async with fake_slack() as slack, aiohttp.ClientSession() as session:
        slack.hangs = {"chat.postMessage"}
        one = channel(slack, tools, session=session)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await one.send(page(), DB, Receipt())


@pytest.mark.parametrize(
    "answer", [{"text": "hello"}, {"json": {"ok": True}}, {"json": {"ok": True, "channel": "D1"}}]
)
async def test_an_answer_that_names_no_message_is_no_delivery_and_is_tried_again(
    tools: Any, answer: dict[str, Any]
) -> None:
    async def odd(_request: web.Request) -> web.Response:
        return web.json_response(answer["json"]) if "json" in answer else web.Response(**answer)

    app = web.Application()
    app.router.add_post("/chat.postMessage", odd)
    async with serving(app) as url:
        settings = SlackSettings(token=Secret(TOKEN), channel="C0OPS", api_url=url)
        with pytest.raises(ChannelError) as caught:
            await SlackChannel("chat", settings, tools).send(message(), Contact(name="ana"), Receipt())
    assert not caught.value.permanent
