"""The pictures of a mail in ``docs/``, made by the code that makes mails: ``python tests/support/mail_pictures.py``.

A page, on a phone and on a desk, as Chromium shows its HTML part.
"""

from __future__ import annotations

import asyncio
import base64
import io
import math
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import aiohttp
from browser import chromium
from pages import AT, DIGEST, charted, message
from PIL import Image

from responder.clock import SystemClock
from responder.curves.draw import png
from responder.curves.picture import Line, Picture
from responder.curves.series import Series, Window
from responder.incident.message import Contact, OfferBrief, Receipt
from responder.paging.base import ChannelTools
from responder.paging.email import EmailChannel, EmailSettings

DOCS = Path(__file__).parents[2] / "docs"
#: File -> width in CSS pixels, and how many dots each has.
PICTURES = {"mail-on-a-phone.png": (390, 2.0), "mail-on-a-desk.png": (820, 1.0)}


def mail(channel: EmailChannel) -> EmailMessage:
    """The page of a database at three in the morning."""
    incident = message().incident
    offer = OfferBrief(
        name="restart-pgbouncer", title="Restart PgBouncer", text="Restart deployment/pgbouncer in production",
        url=f"{incident.url}/actions/restart-pgbouncer",
    )  # fmt: skip
    summary = "\n".join(
        [
            f"P1 database: {incident.title}",
            "5 alerts firing, since 2026-11-24 03:00:00 UTC, 2m ago",
            "Acknowledge by 03:15 UTC, as primary (ana for dbteam)",
            "Runbook database-connection-errors: Too many connections",
        ]
    )
    page = message(
        summary=summary, findings=(*message().findings[:1], charted(), *message().findings[3:]),
        offers=(offer,), sent_at=AT + timedelta(minutes=2),
    )  # fmt: skip
    contact = Contact(name="ana", addresses={"email": "ana@example.com"})
    return channel.mail(page, contact, Receipt(), {DIGEST: chart()})


def chart() -> bytes:
    """A latency that climbs over its threshold."""
    end, step = AT.timestamp(), 60.0
    times = [end - 7_200 + step * number for number in range(121)]
    values = [
        0.12 + 0.02 * math.sin(n / 3) + (0.0 if n < 80 else 2.3 * ((n - 80) / 40) ** 1.6) for n in range(121)
    ]
    window = Window(end - 7_200, end, step)
    line = Line("", Series(times=times, values=values))
    return png(Picture(title="HighAPILatency", subtitle="p99, seconds", window=window, lines=(line,)))


def shown(made: EmailMessage) -> str:
    """Its HTML part, with the pictures that came with it."""
    html = made.get_body(("html",))
    assert html is not None
    text = str(html.get_content())
    for part in made.walk():
        if part.get_content_type() == "image/png":
            name = part["Content-ID"].strip("<>")
            data = base64.b64encode(part.get_payload(decode=True)).decode()  # type: ignore[arg-type]
            text = text.replace(f"cid:{name}", f"data:image/png;base64,{data}")
    return text


async def pictures(folder: Path) -> None:
    """Write them."""
    async with aiohttp.ClientSession() as session, chromium() as browser:
        tools = ChannelTools(session=session, clock=SystemClock(), external_url="https://responder.example")
        settings = EmailSettings(host="127.0.0.1", sender="responder@example.com")
        html = shown(mail(EmailChannel("mail", settings, tools)))
        for name, (width, scale) in PICTURES.items():
            context = await browser.new_context(
                viewport={"width": width, "height": 600}, device_scale_factor=scale
            )
            page = await context.new_page()
            await page.set_content(html)
            raw = await page.screenshot(full_page=True)
            picture = Image.open(io.BytesIO(raw)).convert("P", palette=Image.Palette.ADAPTIVE, colors=160)
            picture.save(folder / name, optimize=True)
            await context.close()


if __name__ == "__main__":
    asyncio.run(pictures(DOCS))
