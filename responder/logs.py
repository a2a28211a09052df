"""Logs: readable on a terminal, JSON elsewhere; one canonical line per decision."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from aiohttp.http_exceptions import HttpProcessingError

from responder.text import one_line

_VALUE_LIMIT = 2_000


def set_up(level: str, *, terminal: bool | None = None, redact: Callable[[str], str] = str) -> None:
    """Configure structlog, and the standard library's loggers with it.

    ``redact`` is applied to every text; ``terminal`` is found out from stderr where it is not given.
    """
    on_terminal = sys.stderr.isatty() if terminal is None else terminal
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _cleaner(redact, keep_lines=on_terminal),
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries speak at DEBUG of headers and bodies: only what is wrong is let through.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    logging.getLogger("aiohttp.server").addFilter(_unquoted)


def _unquoted(record: logging.LogRecord) -> bool:
    """Of a request that is no HTTP the library would quote what was sent: that may be long, and hold a credential."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args, record.exc_info = "a request that is no HTTP", (), None
    return True


def _cleaner(redact: Callable[[str], str], *, keep_lines: bool) -> Callable[..., MutableMapping[str, Any]]:
    def clean(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in event.items():
            if isinstance(value, str):
                text = redact(value)
                event[name] = text if name == "exception" and keep_lines else one_line(text, _VALUE_LIMIT)
        return event

    return clean
