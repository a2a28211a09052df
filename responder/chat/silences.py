"""The chat's way to silences: the desk's answers as sentences."""

from __future__ import annotations

from datetime import timedelta

from responder.chat.parts import SilenceError
from responder.engine.desk import Outcome
from responder.intake.silence_desk import Asker, SilenceDesk


class ChatSilences:
    """Implements :class:`responder.chat.parts.Silences`."""

    def __init__(self, desk: SilenceDesk) -> None:
        self._desk = desk

    async def silence(self, incident_id: str, span: timedelta, *, by: str, comment: str) -> str:
        """Silence what fires in the incident for so long; what was made, in a sentence.

        Raises:
            SilenceError: where it was not made.
        """
        silenced = await self._desk.silence(incident_id, span, Asker(by=by, via="slack", comment=comment))
        if silenced.refusal is not None:
            raise SilenceError(silenced.refusal[1])
        answer = silenced.answer
        if answer is None or answer.outcome is Outcome.UNKNOWN:
            raise SilenceError("there is no such incident any more")
        if answer.outcome is Outcome.REFUSED:
            raise SilenceError("the incident is over")
        incident = answer.incident
        until = max((one.until for one in incident.silences), default=None) if incident is not None else None
        return f"silenced until {until:%Y-%m-%d %H:%M} UTC" if until else "silenced"
