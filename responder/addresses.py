"""Addresses that people configure: split without raising, and what is wrong with one, said without showing it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from yarl import URL

_WEB = "expected http://host or https://host"
#: How an address is written that cannot be read; what was written is not shown, as a password may stand in it.
UNREADABLE = (
    "it cannot be read as an address: no line breaks or spaces, an IPv6 host in [ ], a port from 1 to 65535, and what is "
    "special in a password as % and two digits (@ as %40, / as %2F, # as %23, [ as %5B)"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_SENT = re.compile(r"[\s\\]")
_HOST = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?")


def parts_of(url: str) -> SplitResult | None:
    """The parts of an address, which may name several hosts; ``None`` where it cannot be read, or a port is none.

    It raises nothing: the library's own errors can show the password.
    """
    if _CONTROL.search(url):  # the library would leave line breaks out, without a word
        return None
    try:
        parts = urlsplit(url)
        ports = [urlsplit(f"//{one}").port for one in parts.netloc.rpartition("@")[2].split(",")]
    except ValueError:
        return None
    return None if 0 in ports else parts


def is_host(text: str) -> bool:
    """Whether it is the name of a host or an IP address, without brackets."""
    if _HOST.fullmatch(text):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def http_objection(url: str) -> str:
    """What is wrong with an address that is to be fetched, and how it is written; nothing where it is well."""
    parts = parts_of(url)
    if parts is None or _NOT_SENT.search(url):
        return f"{_WEB}; {UNREADABLE}"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return _WEB
    if not is_host(parts.hostname):
        return f"{_WEB}; the host is no name and no IP address"
    try:
        URL(url)  # what fetches it reads it in its own way
    except ValueError:
        return f"{_WEB}; {UNREADABLE}"
    return ""


def base_objection(url: str) -> str:
    """The same for an address that paths are put behind."""
    if objection := http_objection(url):
        return objection
    if not {"?", "#"}.isdisjoint(url):
        return "expected an address without ? and #: paths are put behind it"
    return ""
