"""Type ``http``: one request to a configured target, with values from labels only where they cannot widen it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from responder.actions.base import (
    ACTIONS,
    ActionError,
    ActionSettings,
    Performed,
    Plan,
    Progress,
    Settling,
    Wish,
)
from responder.config import HttpTarget
from responder.config_load import configured_secrets
from responder.parameters import (
    FromLabel,
    Parameter,
    bound_text,
    check_known,
    path_segment,
    resolve,
)
from responder.secrets import Redactor
from responder.targets.base import Toolbox, configured
from responder.targets.http import (
    Answer,
    RefusedError,
    UnclearError,
    answered,
    joined,
    json_problem,
    private_session,
    sent_below,
)
from responder.targets.paths import path_objection
from responder.targets.requests import check_headers, check_parameters, check_statuses
from responder.text import one_line

_DONE = (200, 201, 202, 204)
_MOVED = frozenset({301, 307, 308})  # the request is to be made elsewhere: here nothing was done


class Method(StrEnum):
    """Methods that a request may have."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


#: What changes nothing needs no permission.
_READS = frozenset({Method.GET})


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request.

    ``path`` is a text, or a list of segments of which each may come from a label: ``[services, {label: service},
    restart]``. In ``json``, at any depth, ``{label: service}`` or ``{label: service, default: api}`` stands for the
    label's value.
    """

    method: Method = Method.POST
    path: str | tuple[Parameter, ...]
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    json: Any = None
    expect_status: tuple[int, ...] = _DONE

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for what can never be sent, or is not what was meant."""
        _check_path(self.path)
        check_headers("headers", self.headers)
        check_parameters(self.json, "json")
        check_statuses(self.expect_status)


class Settled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GET that shows whether the effect is there: it answers 200 with these values at these dotted paths."""

    path: str | tuple[Parameter, ...]
    expect_json: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a path that leaves the target."""
        _check_path(self.path)


class HttpActionSettings(ActionSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request, as :class:`Request` has it, and those that rehearse it, take it back and look for its effect."""

    TARGET_KIND: ClassVar[str] = "http"

    method: Method = Method.POST
    path: str | tuple[Parameter, ...]
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    json: Any = None
    expect_status: tuple[int, ...] = _DONE
    dry_run: Request | None = None
    undo: Request | None = None
    settled: Settled | None = None

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for what can never be sent, or is not what was meant."""
        self.request()

    def request(self) -> Request:
        """The one that changes something."""
        return Request(
            method=self.method,
            path=self.path,
            headers=self.headers,
            json=self.json,
            expect_status=self.expect_status,
        )


@ACTIONS.register("http")
class HttpAction:
    """A request that changes something. It carries the run's id as ``Idempotency-Key``, and follows no redirect."""

    Settings: ClassVar[type[ActionSettings]] = HttpActionSettings

    def __init__(self, settings: HttpActionSettings, tools: Toolbox) -> None:
        self._settings = settings
        self._tools = tools
        self._request = settings.request()

    def plan(self, labels: Mapping[str, str]) -> Plan:
        """What would be sent, by the address that it is sent to.

        Raises:
            ParameterError: for labels that do not fit.
            TargetError: where the target is not configured, or a path would leave it.
        """
        what = self._named(self._request, labels)
        _body(self._request.json, labels)
        others = (self._settings.dry_run, self._settings.undo)
        also = tuple(
            self._named(one, labels) for one in others if one is not None and one.method not in _READS
        )
        return Plan(object=what, text=f"Send {what} (target {self._settings.target})", also=also)

    async def rehearse(self, wish: Wish) -> str:
        """Send the ``dry_run`` request, where there is one."""
        plan = self.plan(wish.labels)
        dry_run = self._settings.dry_run
        if dry_run is None:
            return f"{plan.text}; the target cannot be asked beforehand: no dry_run is configured"
        try:
            done = await self._sent(dry_run, wish, key=None)
        except UnclearError as error:
            # A rehearsal changes nothing, so there is nothing to be in the dark about.
            raise ActionError(str(error)) from None
        return f"{plan.text}; rehearsed: {done}"

    async def busy(self, wish: Wish) -> str | None:
        """Nothing that could be known."""
        return None

    async def perform(self, wish: Wish) -> Performed:
        """Send the request, once."""
        done = await self._sent(self._request, wish, key=wish.run)
        undo: dict[str, str] | None = None if self._settings.undo is None else {}
        return Performed(text=done, undo=undo, mark={"answered": "yes"})

    async def settled(self, wish: Wish, mark: Mapping[str, str]) -> Settling:
        """As the ``settled`` request shows it; at once where there is none."""
        looked = self._settings.settled
        if looked is None and not mark:
            text = "it cannot be told whether it was done: no settled is configured"
            return Settling(progress=Progress.PENDING, text=text)
        if looked is None:
            return Settling(progress=Progress.DONE, text="done when it was answered")
        path = _path(looked.path, wish.labels)
        try:
            answer = await self._asked(Request(method=Method.GET, path=path), wish.labels, {})
        except UnclearError as error:
            return Settling(progress=Progress.PENDING, text=str(error))
        if answer.status != 200:
            return Settling(progress=Progress.PENDING, text=f"{path} answers {answer.status}")
        problem = json_problem(answer.body, looked.expect_json, self._clean)
        if problem is not None:
            return Settling(progress=Progress.PENDING, text=f"{path}: {problem}")
        return Settling(progress=Progress.DONE, text=f"{path} shows it")

    async def undo(self, wish: Wish, undo: Mapping[str, str]) -> Performed:
        """Send the ``undo`` request."""
        request = self._settings.undo
        if request is None:
            raise ActionError("no undo is configured for it")
        done = await self._sent(request, wish, key=f"{wish.run}-undo")
        return Performed(text=done, mark={"answered": "yes"})

    async def _sent(self, request: Request, wish: Wish, *, key: str | None) -> str:
        """Send it, and say what came of it. ``key`` names what is wanted to a target that knows ``Idempotency-Key``.

        Raises:
            TargetError: where it is certain that nothing was changed.
            UnclearError: where that is open.
        """
        answer = await self._asked(request, wish.labels, {} if key is None else {"Idempotency-Key": key})
        text = f"{self._named(request, wish.labels)} of {self._settings.target} answers {answer.status}"
        if answer.status in request.expect_status:
            return text
        if location := answer.headers.get("Location", "").partition("?")[0]:
            text += f" and points to {one_line(self._clean(location), 100)}"
        if said := one_line(self._clean(answer.body.decode(errors="replace")), 150):
            text += f": {said}"
        if answer.status in _MOVED or 400 <= answer.status < 500:
            raise RefusedError(text, answer.status)
        raise UnclearError(text)

    async def _asked(self, request: Request, labels: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        target = self._target()
        url = joined(target.url, _path(request.path, labels))
        body = _body(request.json, labels)
        async with private_session() as session:
            asking = session.request(
                request.method,
                url,
                headers=_headers(target, request, headers),
                data=None if body is None else msgspec.json.encode(body),
                allow_redirects=False,
            )
            return await answered(self._settings.target, asking)

    def _named(self, request: Request, labels: Mapping[str, str]) -> str:
        """A request as the allow-list names it: by what is sent, not by what the rule file says."""
        return f"{request.method} {sent_below(self._target().url, _path(request.path, labels))}"

    def _target(self) -> HttpTarget:
        return configured(self._tools.targets.http, "http", self._settings.target)

    def _clean(self, text: str) -> str:
        """What the target says, without the secrets that it was sent as they are now: it is cut afterwards."""
        return Redactor(configured_secrets(self._target()))(text)


def _headers(target: HttpTarget, request: Request, more: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request; its own go before the target's."""
    headers = {} if request.json is None else {"Content-Type": "application/json"}
    headers |= {name: value.reveal() for name, value in target.headers.items()} | request.headers | dict(more)
    for name, value in headers.items():
        if any(char in value for char in "\r\n\0"):
            raise ActionError(f"the header {name} holds a line break; nothing was sent")
    return headers


def _check_path(path: str | tuple[Parameter, ...]) -> None:
    """Raises ``ValueError`` where the path leaves the target, whatever labels may hold."""
    if not isinstance(path, str):
        for part in path:
            if isinstance(part, FromLabel):
                check_known(part, f"path: {part.label}", path_segment)
        path = tuple("label" if isinstance(part, FromLabel) else part for part in path)
    if objection := path_objection(_path(path, {})):
        raise ValueError(objection)


def _path(path: str | tuple[Parameter, ...], labels: Mapping[str, str]) -> str:
    """The path, with one leading slash; a value from a label is one segment and nothing else."""
    if isinstance(path, str):
        return f"/{path.lstrip('/')}"
    parts = [
        resolve(part, labels, "path", path_segment) if isinstance(part, FromLabel) else part.strip("/")
        for part in path
    ]
    return f"/{'/'.join(parts)}"


def _body(value: Any, labels: Mapping[str, str]) -> Any:
    """The body, with labels' values in the places of their parameters: they stay texts, whatever they hold."""
    if isinstance(value, FromLabel):
        return resolve(value, labels, "json", bound_text)
    if isinstance(value, dict):
        if "label" in value and value.keys() <= {"label", "default"} and _all_texts(value):
            return resolve(FromLabel(**value), labels, "json", bound_text)
        return {name: _body(one, labels) for name, one in value.items()}
    if isinstance(value, list):
        return [_body(one, labels) for one in value]
    return value


def _all_texts(value: Mapping[str, Any]) -> bool:
    return all(isinstance(one, str) for one in value.values())
