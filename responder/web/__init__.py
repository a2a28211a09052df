"""The web: API, console, acknowledge pages, health and metrics. The webhook has a handler of its own."""

from responder.web.application import application
from responder.web.parts import WebParts

__all__ = ["WebParts", "application"]
