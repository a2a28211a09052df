"""HTML: templates that escape everything, and what they show of times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import jinja2
from aiohttp import web

from responder.durations import format_duration

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("responder.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, status: int = 200, **values: Any) -> web.Response:
    """A page."""
    text = _ENVIRONMENT.get_template(template).render(ago=ago, clock=clock, **values)
    return web.Response(text=text, status=status, content_type="text/html")


def ago(at: datetime, now: datetime) -> str:
    """How long ago, in words for people; a coming time reads "in …"."""
    seconds = round((now - at).total_seconds())
    span = abs(seconds)
    if span < 1:
        return "now"
    step = 1 if span < 60 else 60 if span < 3600 else 3600 if span < 172_800 else 86_400
    text = format_duration(timedelta(seconds=span // step * step))
    if 3600 <= span < 172_800:
        text = format_duration(timedelta(minutes=span // 60))
    return f"{text} ago" if seconds > 0 else f"in {text}"


def clock(at: datetime) -> str:
    """A time of day in UTC, with its date."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
