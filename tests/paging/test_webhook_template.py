"""Bodies by a template: checked at load with hostile texts, bounded, and a sender's text only ever a value."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from conftest import body
from pages import message, tools
from providers import serving

from responder.catalogue import catalogue
from responder.config_load import ConfigError, load_config
from responder.incident.message import Contact, MessageKind, Receipt
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.webhook import WebhookChannel, WebhookSettings
from responder.paging.webhook_template import BodyTemplate
from responder.secrets import Secret

__all__ = ["tools"]
DB = Contact(name="dbteam")
CHAT = """{
  "text": {{ (kind ~ ": " ~ incident.severity ~ " " ~ incident.title) | truncate(300) | tojson }},
  "to": {{ to | tojson }},
  "found": [{% for finding in findings %}{{ finding.headline | tojson }}{% if not loop.last %},{% endif %}{% endfor %}]
  {%- if ack_url %},
  "button": {{ ack_url | tojson }}{% endif %}
}"""


def settings(template: str, **more: Any) -> WebhookSettings:
    return WebhookSettings(url=Secret("http://127.0.0.1:9/"), template=Secret(template), **more)


async def test_the_body_is_what_the_template_says_and_is_signed_as_it_is_sent(tools: ChannelTools) -> None:
    seen: list[tuple[dict[str, str], bytes]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append((dict(request.headers), await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    async with serving(app) as url:
        made = WebhookSettings(url=Secret(url), secret=Secret("s"), template=Secret(CHAT))
        await WebhookChannel("hook", made, tools).send(message(), DB, Receipt())
        plain = WebhookSettings(
            url=Secret(url),
            template=Secret("{{ kind | upper }} {{ incident.id }}"),
            content_type="text/plain; charset=utf-8",
        )
        await WebhookChannel("hook", plain, tools).send(message(), DB, Receipt())
    (headers, raw), (other, text) = seen
    assert json.loads(raw) == {
        "text": "page: P1 PostgresTooManyConnections: 97 of 100 connections used",
        "to": "dbteam",
        "found": [
            "97 of 100 connections used",
            "may not see other sessions",
            "no replica",
            "PostgreSQL 18.6",
        ],
        "button": "https://responder.example/ack/token",
    }
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Responder-Signature"].startswith("t=")
    assert text == b"PAGE " + b"1f" * 8
    assert other["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("kind", MessageKind)
def test_what_a_sender_wrote_is_a_value_and_nothing_else(kind: MessageKind, tools: ChannelTools) -> None:
    nasty = " ".join(json.loads(body("hostile"))["alerts"][0]["labels"].values())
    title = f'{nasty} {{{{ 7 * 7 }}}} {{% for x in y %}} ", "to": "eve"'
    incident = msgspec.structs.replace(message().incident, title=title)
    channel = WebhookChannel("hook", settings(CHAT.replace(" | truncate(300)", "")), tools)
    made = json.loads(channel._body(message(kind, incident=incident)))
    assert made["text"] == f"{kind}: P1 {title}"
    assert made["to"] == "dbteam"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ('{"text": "{{ incident.title }}"}', "not JSON for every message"),
        ('{"by": "{{ by }}"}', "not JSON for every message"),
        ("{{ nothing | tojson }}", "no value 'nothing'"),
        ("{{ incident.nothing | tojson }}", "has no attribute 'nothing'"),
        ("{{ findings[0].headline | tojson }}", "cannot be rendered"),  # none was found
        ("{% for x in %}", "line 1"),
        ("{{ kind | nosuch }}", "no filter 'nosuch'"),
        ("{{ kind | center(1000000000) }}", "center"),
        ("{{ 'x' * 1000000000 }}", "Mul is not allowed"),
        ("{{ 9 ** 9 ** 9 }}", "Pow is not allowed"),
        ("{{ '%1000000000d' % 1 }}", "Mod is not allowed"),
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
            "Call is not allowed",
        ),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "not allowed"),
        ("{% set a = 'xx' %}{% set a = a ~ a %}", "Assign is not allowed"),
        ("{% include '/etc/passwd' %}", "Include is not allowed"),
        ("{% extends 'x' %}", "Extends is not allowed"),
        ("{{ ''.__class__.__mro__ }}", "cannot be rendered"),
        ("{{ kind.ljust(1000000000) }}", "Call is not allowed"),
        ("{{ [kind] | map('center', 1000000000) | list | tojson }}", "center"),
        (
            "{% for a in actions %}{% for b in actions %}{% for c in actions %}x{% endfor %}{% endfor %}{% endfor %}",
            "more than 2 loops",
        ),
        ("{{ [" + "1," * 60 + "] | tojson }}", "a list of more than 50"),
        ("x" * 20_000, "longer than"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"), "not JSON"),
    ],
)
def test_a_template_that_could_break_run_or_grow_is_refused_at_load(template: str, says: str) -> None:
    begun = time.thread_time()
    with pytest.raises(ValueError, match=r"^template: ") as caught:
        settings(template)
    assert says in str(caught.value)
    assert time.thread_time() - begun < 5


def test_a_body_that_grows_too_large_is_a_failure_for_good(tools: ChannelTools) -> None:
    loops = (
        "[{% for a in findings %}{% for b in findings %}{{ a.detail | tojson }},{% endfor %}{% endfor %}1]"
    )
    channel = WebhookChannel("hook", settings(loops), tools)
    finding = msgspec.structs.replace(message().findings[0], detail="x" * 2_000)
    with pytest.raises(ChannelError, match="renders more than") as caught:
        channel._body(message(findings=(finding,) * 20))
    assert caught.value.permanent


def test_a_rendering_of_the_largest_message_is_quick() -> None:
    loops = "{% for a in findings %}{% for b in findings %}{{ a.detail | upper | length }}{% endfor %}{% endfor %}"
    template = BodyTemplate(loops, "text/plain", ("findings",))
    finding = {"detail": "x" * 2_000}
    begun = time.thread_time()
    template.render({"findings": [finding] * 20})
    assert time.thread_time() - begun < 2


@pytest.mark.parametrize("content_type", ["", "json", "text/html\r\nX-Evil: 1", "text/plain; x"])
def test_an_odd_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(ValueError, match="content_type"):
        WebhookSettings(url=Secret("http://x/"), content_type=content_type)


def test_a_template_comes_from_a_file_and_its_mistakes_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "body.j2").write_text(CHAT)
    file = tmp_path / "responder.yaml"
    file.write_text("channels:\n  hook: {type: webhook, url: 'http://h/', template_file: body.j2}\n")
    load_config(file, {}, catalogue())
    (tmp_path / "body.j2").write_text('{"text": "{{ incident.title }}"}')
    with pytest.raises(ConfigError) as caught:
        load_config(file, {}, catalogue())
    (problem,) = caught.value.problems
    assert str(problem).startswith(
        f"{file}:2:9: error: channels.hook: template: is not JSON for every message"
    )
    assert "tojson" in str(problem)
