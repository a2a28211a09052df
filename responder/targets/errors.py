"""A target that cannot be used, and the look-up of one by its name."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from typing import TypeVar

from responder.incident.finding import FindingStatus

T = TypeVar("T")


class TargetError(Exception):
    """A target cannot be used, or refused; the text is for people and holds no secret.

    ``status`` is what it means for a probe.
    """

    status: FindingStatus = FindingStatus.ERROR


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
