"""Twilio, as far as our channels meet it: strict about what its description says.

Facts from twilio/twilio-oai, twilio_api_v2010 (April 2026): parameters, patterns, lengths, states; from
twilio/twilio-python, request_validator: what is signed; error codes from twilio.com/docs/api/errors.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

from aiohttp import web

SID = "AC" + "a1" * 16
TOKEN = "12345678901234567890123456789012"
MESSAGE = {
    "To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod",
}  # fmt: skip
CALL = {
    "To", "From", "Twiml", "Timeout", "StatusCallback", "MachineDetection", "AsyncAmd", "AsyncAmdStatusCallback",
}  # fmt: skip
E164 = re.compile(r"\+[1-9]\d{1,14}")


def refused(code: int, message: str, status: int = 400) -> web.Response:
    said = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return web.json_response(said, status=status)


class FakeTwilio:
    """Messages and calls; answers that a test sets come first."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.calls: list[dict[str, str]] = []
        self.stopped: set[str] = set()
        self.answers: list[web.Response] = []
        self.answers_after: list[web.Response] = []  # given after the request was taken: an unclear outcome
        self.lists = 0
        self.may_list = True
        self.user = (SID, TOKEN)
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        base = "/2010-04-01/Accounts/{sid}"
        for resource, make in (("Messages", self.message), ("Calls", self.call)):
            app.router.add_post(f"{base}/{resource}.json", make)
            app.router.add_get(f"{base}/{resource}.json", self.listing)
        return app

    async def _form(self, request: web.Request, known: set[str]) -> dict[str, str] | web.Response:
        raw = await request.text()
        if self.answers:
            return self.answers.pop(0)
        if (
            request.headers["Authorization"]
            != f"Basic {base64.b64encode(':'.join(self.user).encode()).decode()}"
        ):
            return refused(20003, "Authenticate", 401)
        assert request.match_info["sid"] == SID
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        pairs = parse_qsl(raw, keep_blank_values=True, strict_parsing=True)
        assert not {name for name, _ in pairs} - known, pairs
        form = dict(pairs)
        if not E164.fullmatch(form.get("To", "")):
            return refused(21211, "Invalid 'To' Phone Number")
        for name in ("StatusCallback", "AsyncAmdStatusCallback"):
            if name in form and not _callable(form[name]):
                return refused(21609, f"Invalid {name}")
        return form

    async def message(self, request: web.Request) -> web.Response:
        form = await self._form(request, MESSAGE)
        if isinstance(form, web.Response):
            return form
        if form["To"] in self.stopped:
            return refused(21610, "Attempt to send to unsubscribed recipient")
        if not form.get("Body"):
            return refused(21602, "Message body is required")
        if len(form["Body"]) > 1_600:
            return refused(21617, "The concatenated message body exceeds the 1600 character limit")
        if ("From" in form) is ("MessagingServiceSid" in form):
            return refused(21603, "A 'From' phone number is required")
        assert 1 <= int(form.get("ValidityPeriod", "36000")) <= 36_000
        return self._made(self.messages, form, "SM")

    async def call(self, request: web.Request) -> web.Response:
        form = await self._form(request, CALL)
        if isinstance(form, web.Response):
            return form
        assert len(form["Twiml"]) <= 4_000
        check_twiml(form["Twiml"])
        assert E164.fullmatch(form["From"])
        assert 1 <= int(form["Timeout"]) <= 600
        assert form.get("MachineDetection", "Enable") in ("Enable", "DetectMessageEnd")
        assert form.get("AsyncAmd", "true") in ("true", "false")
        return self._made(self.calls, form, "CA")

    def _made(self, kept: list[dict[str, str]], form: dict[str, str], kind: str) -> web.Response:
        sid = f"{kind}{len(kept) + 1:032x}"
        kept.append({**form, "sid": sid, "status": "queued", "made": _rfc2822()})
        if self.answers_after:
            return self.answers_after.pop(0)
        return web.json_response({"sid": sid, "status": "queued", "error_code": None}, status=201)

    async def listing(self, request: web.Request) -> web.Response:
        self.lists += 1
        if not self.may_list:
            return refused(20403, "Forbidden", 403)
        texts = request.path.endswith("Messages.json")
        query = request.query
        assert not set(query) - {"To", "From", "Status", "DateSent>", "PageSize"}, query
        found = [
            {
                "sid": one["sid"], "to": one["To"], "status": one["status"], "body": one.get("Body"),
                "date_created": one["made"],
            }
            for one in reversed(self.messages if texts else self.calls)
            if one["To"] == query["To"] and query.get("Status", one["status"]) == one["status"]
        ]  # fmt: skip
        return web.json_response({"messages" if texts else "calls": found, "page": 0, "page_size": 50})


def _callable(url: str) -> bool:
    """ "URL must contain a valid hostname and underscores are not allowed"; nothing that only this machine reaches."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return (
        parts.scheme in ("http", "https") and "." in host and "_" not in host and not host.startswith("127.")
    )


def _rfc2822() -> str:
    return f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S +0000}"  # noqa: TID251


def check_twiml(text: str) -> ET.Element:
    """The document, which must be well formed and of verbs that we use."""
    root = ET.fromstring(text)  # noqa: S314 - our own, and that it parses is the test
    assert root.tag == "Response"
    for verb in root.iter():
        assert verb.tag in {"Response", "Say", "Gather", "Hangup", "Message"}, verb.tag
        if verb.tag == "Say":
            assert len("".join(verb.itertext())) <= 4_096
    return root


def signature(url: str, fields: dict[str, str], token: str = TOKEN) -> dict[str, str]:
    """What Twilio adds to a request to this address."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    made = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    return {"X-Twilio-Signature": made, "Content-Type": "application/x-www-form-urlencoded"}


def said(text: str) -> str:
    """Everything that a document says or sends."""
    return " ".join(
        "".join(one.itertext()) for one in check_twiml(text).iter() if one.tag in ("Say", "Message")
    )


def gather(text: str) -> Any:
    """The document's Gather."""
    return next(check_twiml(text).iter("Gather"))
