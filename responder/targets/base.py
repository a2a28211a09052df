"""What probes and actions are given to reach the configured targets, and the error where they cannot."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, TypeVar

import aiohttp
import msgspec

from responder.clock import Clock
from responder.config import Targets

T = TypeVar("T")


class TargetError(Exception):
    """A target cannot be used, or refused; the text is for people and holds no secret."""


class TargetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every section of ``probes`` and ``actions`` has.

    ``TARGET_KIND`` is the section of ``targets`` that a ``target`` setting names, so that ``check`` can tell.
    """

    TARGET_KIND: ClassVar[str] = ""

    timeout: timedelta = timedelta(seconds=5)


class Toolbox(msgspec.Struct, frozen=True, kw_only=True):
    """The configured targets, one HTTP session (closed by its owner) and the clock."""

    targets: Targets
    session: aiohttp.ClientSession
    clock: Clock


def configured(section: Mapping[str, T], kind: str, name: str) -> T:
    """The target of that name.

    Raises:
        TargetError: where the configuration has none.
    """
    if name not in section:
        raise TargetError(f"target {name} is not configured under targets.{kind}")
    return section[name]


def os_reason(error: OSError) -> str:
    """Why the system refused, without the address that its own words may hold."""
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    return os.strerror(error.errno) if error.errno else type(error).__name__
