"""Mail to a real SMTP server: threads, headers, encryption, and what each reply means."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
import trustme
from conftest import body
from mail import Mailbox, mail_server
from pages import message, tools

from responder.incident.message import Contact, MessageKind, Receipt
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.email import EmailChannel, EmailSettings

__all__ = ["tools"]
ANA = Contact(name="dbteam", addresses={"email": "db@example.com"})


def channel(box: Mailbox, tools: ChannelTools, **more: object) -> EmailChannel:
    options = {
        "host": "127.0.0.1",
        "port": box.port,
        "sender": "responder@example.com",
        "starttls": False,
        **more,
    }
    return EmailChannel("mail", EmailSettings(**options), tools)  # type: ignore[arg-type]


async def test_a_page_is_readable_on_a_lock_screen_and_has_both_parts(tools: ChannelTools) -> None:
    async with mail_server() as box:
        await channel(box, tools).send(message(), ANA, Receipt())
    mail = box.mails[0]
    assert mail["Subject"] == "[P1] database: PostgresTooManyConnections: 97 of 100 connections used"
    assert mail["To"] == "dbteam <db@example.com>"
    assert mail["Message-ID"] == f"<{'ab' * 8}@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Priority"] == "1"
    text = mail.get_body(("plain",))
    html = mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content()[:80].startswith("P1 database: PostgresTooManyConnections")
    assert "https://responder.example/ack/token" in text.get_content()
    assert "97 of 100 connections used" in html.get_content()
    assert "http://" not in html.get_content()  # nothing remote is loaded


async def test_later_mails_of_an_incident_stay_in_its_thread_under_one_subject(tools: ChannelTools) -> None:
    async with mail_server() as box:
        page = await channel(box, tools).send(message(), ANA, Receipt())
        later = message(MessageKind.RESOLVED, id="cd" * 8)
        await channel(box, tools).send(later, ANA, page)
    first, second = box.mails
    assert second["In-Reply-To"] == first["Message-ID"]
    assert first["Message-ID"] in second["References"]
    assert second["Subject"] == first["Subject"]
    assert second["Message-ID"] != first["Message-ID"]


async def test_a_retry_carries_the_same_message_id(tools: ChannelTools) -> None:
    async with mail_server() as box:
        for attempt in (1, 2):
            await channel(box, tools).send(message(attempt=attempt), ANA, Receipt())
    assert box.mails[0]["Message-ID"] == box.mails[1]["Message-ID"]


async def test_hostile_labels_neither_inject_a_header_nor_kill_the_page(tools: ChannelTools) -> None:
    labels = json.loads(body("hostile"))["alerts"][0]
    nasty = "x\r\nBcc: eve@example.com\x0b\x85\u2028" + json.dumps(labels)
    incident = message().incident
    import msgspec

    hostile = message(incident=msgspec.structs.replace(incident, title=nasty), summary=nasty)
    async with mail_server() as box:
        await channel(box, tools).send(hostile, ANA, Receipt())
    mail = box.mails[0]
    assert mail["Bcc"] is None
    assert box.recipients == [["db@example.com"]]
    html = mail.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        ("451 try later", False),
        ("421 closing", False),
        ("452 full", False),
        ("550 no", True),
        ("554 spam", True),
        ("535 auth", True),
    ],
)
async def test_a_reply_says_whether_trying_again_is_of_use(
    answer: str, permanent: bool, tools: ChannelTools
) -> None:
    async with mail_server() as box:
        box.answers.append(answer)
        with pytest.raises(ChannelError) as caught:
            await channel(box, tools).send(message(), ANA, Receipt())
    assert caught.value.permanent is permanent


@pytest.mark.parametrize(
    ("address", "permanent"), [("nobody@example.com", True), ("later@example.com", False)]
)
async def test_a_refused_recipient_is_told_apart_from_a_greylisted_one(
    address: str, permanent: bool, tools: ChannelTools
) -> None:
    async with mail_server() as box:
        with pytest.raises(ChannelError) as caught:
            await channel(box, tools).send(
                message(), Contact(name="x", addresses={"email": address}), Receipt()
            )
    assert caught.value.permanent is permanent


async def test_starttls_is_required_where_it_is_configured(tools: ChannelTools, tmp_path: Path) -> None:
    async with mail_server() as box:  # offers none: a stripping attacker
        with pytest.raises(ChannelError):
            await channel(box, tools, starttls=True).send(message(), ANA, Receipt())
    assert box.mails == []


async def test_mail_goes_over_starttls_with_a_verified_certificate(
    tools: ChannelTools, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with mail_server(tls_context=context, require_starttls=True) as box:
        settings = {"starttls": True, "ca_file": str(tmp_path / "ca.pem")}
        await channel(box, tools, **settings).send(message(), ANA, Receipt())
        with pytest.raises(ChannelError):
            await channel(box, tools, starttls=True).send(message(), ANA, Receipt())
    assert len(box.mails) == 1


async def test_nobody_there_is_temporary(tools: ChannelTools) -> None:
    box = Mailbox()
    with pytest.raises(ChannelError) as caught:
        await channel(box, tools).send(message(), ANA, Receipt())
    assert not caught.value.permanent


def test_only_a_usable_address_is_reached(tools: ChannelTools) -> None:
    one = channel(Mailbox(), tools)
    assert one.reaches(ANA)
    for address in ("", "no-at", "a@b@c", "x y@example.com", "a@b\r\nRCPT TO:<x@y>"):
        assert not one.reaches(Contact(name="x", addresses={"email": address}))
