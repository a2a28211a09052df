"""Mail to a real SMTP server: threads, headers, encryption, and what each reply means."""

from __future__ import annotations

import json
import re
import ssl
from pathlib import Path

import msgspec
import pytest
import trustme
from conftest import body
from mail import Mailbox, mail_server
from pages import DIGEST, LINK, charted, drawn, message, tools

from responder.incident.message import Contact, MessageKind, OfferBrief, Receipt
from responder.incident.severity import Severity
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


async def test_a_sender_with_a_name_keeps_it_and_its_domain_makes_the_ids(tools: ChannelTools) -> None:
    async with mail_server() as box:
        await channel(box, tools, sender="Responder <r@mail.example>").send(message(), ANA, Receipt())
    assert box.mails[0]["From"] == "Responder <r@mail.example>"
    assert box.mails[0]["Message-ID"] == f"<{'ab' * 8}@mail.example>"


def with_pictures(tools: ChannelTools, **pictures: bytes) -> ChannelTools:
    async def chart(digest: str) -> bytes | None:
        return pictures.get(digest)

    return msgspec.structs.replace(tools, chart=chart)


async def test_a_picture_stands_in_the_mail_itself_beside_its_finding(tools: ChannelTools) -> None:
    png = drawn()
    async with mail_server() as box:
        one = channel(box, with_pictures(tools, **{DIGEST: png}))
        twice = charted(probe="again", chart_alt='"><script>alert(1)</script>')
        await one.send(message(findings=(charted(), twice, *message().findings)), ANA, Receipt())
    mail = box.mails[0]
    assert mail.get_content_type() == "multipart/alternative"
    text, related = mail.iter_parts()
    assert (text.get_content_type(), related.get_content_type()) == ("text/plain", "multipart/related")
    html, picture = related.iter_parts()  # once, although two findings show it
    assert html.get_content_type() == "text/html"
    assert picture.get_content_type() == "image/png"
    assert picture.get_content_disposition() == "inline"
    assert picture.get_payload(decode=True) == png
    cid = picture["Content-ID"].strip("<>")
    assert html.get_content().count(f'src="cid:{cid}"') == 2
    assert "<script>" not in html.get_content()
    assert f'href="{LINK.replace("&", "&amp;")}"' in html.get_content()
    assert "▁▁▂▃▅▇█ 0.12 s to 2.4 s in 2h" in text.get_content()
    assert f"Dashboard: {LINK}" in text.get_content()
    assert len(bytes(mail)) < 500_000


async def test_a_picture_that_is_not_there_any_more_leaves_a_mail_without_a_hole(tools: ChannelTools) -> None:
    async with mail_server() as box:
        await channel(box, tools).send(message(findings=(charted(),)), ANA, Receipt())
    html = box.mails[0].get_body(("html",))
    assert html is not None
    assert "cid:" not in html.get_content()
    assert [part.get_content_type() for part in box.mails[0].iter_parts()] == ["text/plain", "text/html"]


async def test_a_server_that_finds_the_mail_too_large_gets_it_without_pictures(tools: ChannelTools) -> None:
    async with mail_server() as box:
        box.largest = 12_000
        await channel(box, with_pictures(tools, **{DIGEST: b"x" * 20_000})).send(
            message(findings=(charted(),)), ANA, Receipt()
        )
        assert "image/png" not in [part.get_content_type() for part in box.mails[0].walk()]
        box.largest = 100
        with pytest.raises(ChannelError) as caught:
            await channel(box, tools).send(message(findings=(charted(),)), ANA, Receipt())
    assert caught.value.permanent
    assert len(box.mails) == 1


async def test_at_most_three_pictures_travel(tools: ChannelTools) -> None:
    digests = [f"{n:032x}" for n in range(6)]
    async with mail_server() as box:
        one = channel(box, with_pictures(tools, **dict.fromkeys(digests, b"png")))
        await one.send(message(findings=tuple(charted(probe=d, chart=d) for d in digests)), ANA, Receipt())
    assert [part.get_content_type() for part in box.mails[0].walk()].count("image/png") == 3


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


async def test_a_severity_that_rises_does_not_break_the_thread(tools: ChannelTools) -> None:
    risen = msgspec.structs.replace(message().incident, severity=Severity.P1)
    first = msgspec.structs.replace(risen, severity=Severity.P2)
    async with mail_server() as box:
        page = await channel(box, tools).send(message(incident=first), ANA, Receipt())
        await channel(box, tools).send(message(id="cd" * 8, incident=risen), ANA, page)
    assert {mail["Subject"] for mail in box.mails} == {
        "[P2] database: PostgresTooManyConnections: 97 of 100 connections used"
    }
    text = box.mails[1].get_body(("plain",))
    assert text is not None
    assert text.get_content().startswith("P1 database: ")


async def test_offered_actions_are_links_that_ask_first_and_nothing_is_fetched_from_elsewhere(
    tools: ChannelTools,
) -> None:
    offer = OfferBrief(
        name="restart-pgbouncer",
        title="Restart PgBouncer",
        text="Restart <deployment/pgbouncer>",
        url="https://responder.example/incidents/1/actions/restart-pgbouncer",
    )
    async with mail_server() as box:
        await channel(box, tools).send(
            message(offers=(offer,), actions=(offer.name, "other")), ANA, Receipt()
        )
    [mail] = box.mails
    html, text = mail.get_body(("html",)), mail.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert f'href="{offer.url}"' in html.get_content()
    assert "Restart &lt;deployment/pgbouncer&gt;" in html.get_content()
    plain = text.get_content().replace("\r\n", "\n")
    assert f"Restart PgBouncer: Restart <deployment/pgbouncer>\n    {offer.url}" in plain
    assert "Offered, but not now: other" in plain
    for remote in ("src=", "background", "url(", "@import", "<link"):
        assert f"{remote}http" not in html.get_content().replace('"', "").replace("'", "")
    preview = re.sub(r"<[^>]+>", " ", html.get_content().partition("<body")[2].partition(">")[2])
    shown = " ".join(preview.split())[:80]
    assert shown.startswith("P1 database: PostgresTooManyConnections: 97 of 100 connections used")


async def test_a_retry_carries_the_same_message_id(tools: ChannelTools) -> None:
    async with mail_server() as box:
        for attempt in (1, 2):
            await channel(box, tools).send(message(attempt=attempt), ANA, Receipt())
    assert box.mails[0]["Message-ID"] == box.mails[1]["Message-ID"]


async def test_hostile_labels_neither_inject_a_header_nor_kill_the_page(tools: ChannelTools) -> None:
    labels = json.loads(body("hostile"))["alerts"][0]
    nasty = "x\r\nBcc: eve@example.com\x0b\x85\u2028" + json.dumps(labels)
    incident = message().incident
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
        with pytest.raises(ChannelError, match="STARTTLS"):
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
