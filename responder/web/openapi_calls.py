"""How a call is described for OpenAPI: who may make it, what it takes, and every status that it answers with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

_NAMES = {"id": "[0-9a-f]{16}", "fingerprint": "[0-9a-f]{16}", "digest": "[0-9a-f]{32}"}
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_PROBLEM = {
    "description": "What is wrong (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
KEY = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}}
#: What a broken, slow, or large body is answered with.
_BODY_ERRORS = "400 408 413"
_PAGES = "text/html"


class Access(StrEnum):
    """Who may call."""

    OPEN = ""
    SIGNED = "401"
    """The caller signs, or has credentials of its own."""
    TOKEN = "401 403"  # noqa: S105 - statuses
    """A token (or, where none are configured, a caller on this machine)."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call.

    ``good`` are the answers that are none of an error: a status, and what it holds: the name of a schema, a media type,
    or nothing. ``takes`` is the name of the body's schema, or its media type. ``errors`` are statuses beside those that
    follow from the rest. ``shown``: errors are pages for people. ``stored``: it asks the store, so 503 while that is away.
    """

    summary: str
    good: Mapping[str, str]
    access: Access = Access.TOKEN
    takes: str = ""
    parameters: tuple[dict[str, Any], ...] = ()
    errors: str = ""
    shown: bool = False
    stored: bool = True

    def described(self, path: str) -> dict[str, Any]:
        """The operation, as OpenAPI has it."""
        found: dict[str, Any] = {"summary": self.summary, "responses": self._responses()}
        if self.access is Access.TOKEN:
            found["security"] = [{"token": []}, {}]
        if self.takes:
            found["requestBody"] = {"content": _content(self.takes)}
        if parameters := (*_in_path(path), *self.parameters):
            found["parameters"] = list(parameters)
        return found

    def _responses(self) -> dict[str, Any]:
        errors = {*self.errors.split(), *self.access.split(), "500"}
        errors |= set(_BODY_ERRORS.split()) if self.takes else set()
        errors |= {"503"} if self.stored else set()
        problem = {"description": "What is wrong", "content": {**_PROBLEM["content"], **_content(_PAGES)}}  # type: ignore[dict-item]
        found: dict[str, Any] = dict.fromkeys(sorted(errors), problem if self.shown else _PROBLEM)
        for status, holds in self.good.items():
            found[status] = {"description": _SAYS[status]}
            if holds:
                found[status]["content"] = _content(holds)
        return dict(sorted(found.items()))


_SAYS = {
    "200": "As asked",
    "201": "Made",
    "202": "Recorded; what comes of it is still to come",
    "204": "Done, and nothing to say",
    "303": "Look there",
}


def _content(holds: str) -> dict[str, Any]:
    """``holds``: a media type, or names of schemas of JSON (``A|B``: one of them)."""
    if "/" in holds:
        return {holds: {}}
    schemas = [{"$ref": f"#/components/schemas/{name}"} for name in holds.split("|")]
    return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}


def _in_path(path: str) -> list[dict[str, Any]]:
    found = []
    for name in _PATH_PARAMETER.findall(path):
        pattern = {"pattern": f"^{_NAMES[name]}$"} if name in _NAMES else {}
        schema = {"type": "string", **pattern}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def query(name: str, **schema: Any) -> dict[str, Any]:
    """A parameter of the query; a text where nothing else is said."""
    return {"name": name, "in": "query", "schema": {"type": "string", **schema}}


def at_time(name: str) -> dict[str, Any]:
    """A time in the query."""
    return query(name, format="date-time")
