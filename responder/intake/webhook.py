"""Alertmanager's webhook, version 4: bytes become typed alerts once, here, each alert on its own.

Source: Alertmanager's documentation of ``webhook_config``, and its ``template.Data``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from responder.alerts import Alert, AlertStatus
from responder.intake.oversized import cut
from responder.text import one_line

_YEAR_ONE = 1970  # Alertmanager's zero time, and anything else before the epoch, is no time


class BodyError(ValueError):
    """The body as a whole could not be read: answered with 400 and kept in quarantine."""


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope. Unknown keys are ignored: newer Alertmanagers add some."""

    version: str
    alerts: tuple[msgspec.Raw, ...]
    receiver: str = ""
    group_key: str = msgspec.field(default="", name="groupKey")
    external_url: str = msgspec.field(default="", name="externalURL")
    truncated: int = msgspec.field(default=0, name="truncatedAlerts")


class BadAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that could not be read: where in the body, why, and its raw text."""

    path: str
    reason: str
    raw: bytes


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """A body, read: its good alerts (each with its own JSON), its bad ones, and how many Alertmanager left out.

    ``sender`` is a digest that names the Alertmanager, empty where none sent it (a replay, a script of somebody's).
    """

    good: Sequence[tuple[Alert, str]]
    bad: Sequence[BadAlert]
    truncated: int
    receiver: str
    sender: str = ""


_BODY = msgspec.json.Decoder(WebhookBody)
_ALERT = msgspec.json.Decoder(Alert)


def decode(raw: bytes) -> Decoded:
    """Read a webhook body.

    Raises:
        BodyError: where it is not JSON, of the wrong shape or of another version; the text names the field.
    """
    body = _envelope(raw)
    good: list[tuple[Alert, str]] = []
    bad: list[BadAlert] = []
    for index, one in enumerate(body.alerts):
        try:
            good.append(_read(one))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            path = f"alerts[{index}]"
            bad.append(BadAlert(path=path, reason=reason_of(path, error), raw=bytes(one)))
    return Decoded(
        good=good,
        bad=bad,
        truncated=max(body.truncated, 0),
        receiver=one_line(body.receiver, 200),
        sender=_sender(body),
    )


def _read(one: msgspec.Raw) -> tuple[Alert, str]:
    try:
        return _checked(_ALERT.decode(one)), str(one, "utf-8")
    except msgspec.ValidationError:
        smaller = cut(one)
        if smaller is None:
            raise
        return _checked(smaller[0]), smaller[1]


def _sender(body: WebhookBody) -> str:
    if not (body.external_url and body.group_key and body.receiver):
        return ""
    return hashlib.blake2b(body.external_url.encode(), digest_size=8).hexdigest()


def _envelope(raw: bytes) -> WebhookBody:
    try:
        body = _BODY.decode(raw)
    except RecursionError:
        raise BodyError("body: nested too deeply for an Alertmanager webhook") from None
    except UnicodeDecodeError:
        raise BodyError("body: not valid UTF-8") from None
    except msgspec.ValidationError as error:
        raise BodyError(reason_of("body", error)) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise BodyError(f"body: not JSON: {one_line(str(error), 200)}") from None
    if body.version != "4":
        raise BodyError(f'version: expected "4", got {one_line(body.version, 20)!r}')
    return body


def reason_of(where: str, error: Exception) -> str:
    """``alerts[3].startsAt: Expected `datetime`, got `int```: the field, and what is wrong with it."""
    if isinstance(error, RecursionError):
        return f"{where}: nested too deeply"
    text, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`")
    return one_line(f"{where}{field}: {text}", 300)


def _checked(alert: Alert) -> Alert:
    """What the type cannot say."""
    if alert.status is AlertStatus.RESOLVED and ends_ms(alert) == 0:
        raise ValueError("a resolved alert needs the time at which it ended - at `$.endsAt`")
    return alert


def starts_ms(alert: Alert) -> int:
    """When it began, in ms since the epoch."""
    return epoch_ms(alert.starts_at)


def ends_ms(alert: Alert) -> int:
    """When it ended, in ms since the epoch; 0 while it fires (Alertmanager sends the year 1)."""
    return 0 if alert.ends_at is None else epoch_ms(alert.ends_at)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms(at: datetime) -> int:
    """Milliseconds since the epoch; 0 for what is no time."""
    # Arithmetic near year 1 or 9999 overflows once an offset is taken off: such times are no times.
    if not _YEAR_ONE < at.year < 9999:
        return 0
    since = at - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
