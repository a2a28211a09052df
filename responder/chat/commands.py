"""The slash command: what was typed, decoded strictly, and what it answers. Only the person who typed it reads that."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from responder.chat.acts import Act, Acts
from responder.chat.members import Member
from responder.chat.parts import ChatParts
from responder.chat.words import Said, title
from responder.durations import rough_duration
from responder.engine.desk import IncidentFilter
from responder.incident.outlook import next_step
from responder.incident.severity import LEVELS, Level
from responder.incident.state import Incident, StateName
from responder.paging.compose import ordered
from responder.registry import closest
from responder.text import one_line

USAGE = """\
list: what is open
show ID: one incident
ack ID [NOTE]: take it
note ID TEXT: write something down
escalate ID: page the next level now
resolve ID [NOTE]: say that it is over
assign ID NAME: put a name on it
silence ID 2h COMMENT: silence what fires
oncall [SERVICE]: who is paged
An ID may be given by its first characters."""

_OPEN = frozenset({StateName.TRIGGERED, StateName.ACKNOWLEDGED, StateName.MONITORING})
_SHOWN = 20
_LOOKED_AT = 500
_ENTRIES = 8
_PREFIX = re.compile(r"[0-9a-f]{4,16}")
#: Command -> how many words it needs after the id, and what to type.
_ON_INCIDENTS = {
    "show": (0, "show ID"),
    "ack": (0, "ack ID [NOTE]"),
    "note": (1, "note ID TEXT"),
    "escalate": (0, "escalate ID"),
    "resolve": (0, "resolve ID [NOTE]"),
    "assign": (1, "assign ID NAME"),
    "silence": (2, "silence ID 2h COMMENT"),
}
_WITHOUT_MORE = frozenset({"show", "escalate"})
_ALONE = ("list", "oncall", "help")


class CommandError(ValueError):
    """What was typed is not understood; the text says what would be."""


class Commands:
    """Answers slash commands. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, parts: ChatParts, acts: Acts) -> None:
        self._parts = parts
        self._acts = acts

    async def answer(self, text: str, member: Member, event: str) -> Said:
        """Do what was typed. Raises :class:`CommandError` for what is not understood."""
        name, *rest = one_line(text, 3_000).split(" ") if text.strip() else ["help"]
        name = name.lower()
        if name in _ON_INCIDENTS:
            return await self._on_incident(name, rest, member, event)
        match name, rest:
            case "help", _:
                return Said(USAGE)
            case "list", []:
                return Said(await self._list())
            case "oncall", [] | [_]:
                return Said(self._on_call(rest))
            case (("list" | "oncall"), _):
                raise CommandError(f"{name} takes {'nothing' if name == 'list' else 'one service'} more")
            case _:
                known = closest(name, [*_ON_INCIDENTS, *_ALONE])
                raise CommandError(f"no command {one_line(name, 30)!r}{known}\n{USAGE}")

    async def _on_incident(self, name: str, rest: list[str], member: Member, event: str) -> Said:
        needed, form = _ON_INCIDENTS[name]
        if len(rest) < 1 + needed or (name in _WITHOUT_MORE and len(rest) > 1):
            raise CommandError(f"type: {form}")
        incident = await self._one(rest[0])
        if name == "show":
            return await self._show(incident)
        act = Act(member=member, incident=incident.id, event=event)
        said = await self._do(name, act, rest[1:])
        return Said(f"{title(incident)}\n{said}", self._url(incident))

    async def _do(self, name: str, act: Act, words: list[str]) -> str:
        text = " ".join(words)
        match name:
            case "ack":
                return await self._acts.acknowledge(act, text)
            case "note":
                return await self._acts.note(act, text)
            case "escalate":
                return await self._acts.escalate(act)
            case "resolve":
                return await self._acts.resolve(act, text)
            case "assign":
                return await self._acts.assign(act, text.removeprefix("@"))
            case _:
                return await self._acts.silence(act, words[0], " ".join(words[1:]))

    async def _one(self, prefix: str) -> Incident:
        """The incident that an id or its beginning means."""
        wanted = prefix.strip("`").lower()
        if _PREFIX.fullmatch(wanted) is None:
            raise CommandError(
                f"expected an incident's id or its first characters, got {one_line(prefix, 30)!r}"
            )
        if len(wanted) == 16:
            detail = await self._parts.desk.incident(wanted, alerts=1)
            found = [detail.incident] if detail is not None else []
        else:
            page = await self._parts.desk.incidents(IncidentFilter(), limit=_LOOKED_AT, cursor=None)
            found = [one for one in page.incidents if one.id.startswith(wanted)]
        if not found:
            raise CommandError(f"no incident {wanted}")
        if len(found) > 1:
            several = "\n".join(f"{one.id} {title(one)}" for one in found[:5])
            raise CommandError(f"{wanted} means {len(found)} incidents; give more of it\n{several}")
        return found[0]

    async def _list(self) -> str:
        wanted = IncidentFilter(states=_OPEN)
        page = await self._parts.desk.incidents(wanted, limit=_LOOKED_AT, cursor=None)
        if not page.incidents:
            return "Nothing is open."
        worst = sorted(page.incidents, key=lambda one: (one.severity.rank, one.opened_at))
        now = self._parts.clock.now()
        lines = [f"{one.id}  {title(one)}\n    {_standing(one, now)}" for one in worst[:_SHOWN]]
        beyond = len(worst) - _SHOWN
        more = [f"and {beyond}{' or more' if page.next_cursor else ''} further"] if beyond > 0 else []
        return "\n".join([*lines, *more])

    async def _show(self, incident: Incident) -> Said:
        detail = await self._parts.desk.incident(incident.id, alerts=1)
        if detail is None:
            raise CommandError(f"no incident {incident.id}")
        lines = [title(incident), _standing(incident, self._parts.clock.now())]
        if incident.assignee:
            lines.append(f"command: {one_line(incident.assignee, 100)}")
        lines += [
            f"[{one.status}] {one.probe}: {one_line(one.headline, 200)}"
            for one in ordered(incident.findings.values())[:_ENTRIES]
        ]
        lines += [
            f"{entry.at:%H:%M:%S} {one_line(entry.text, 200)}{f' ({entry.by})' if entry.by else ''}"
            for entry in detail.timeline[-_ENTRIES:]
        ]
        return Said("\n".join(lines), self._url(incident))

    def _on_call(self, services: list[str]) -> str:
        rows = self._parts.rules().rows
        wanted = services or sorted(rows)
        if services and services[0] not in rows:
            raise CommandError(
                f"no service {one_line(services[0], 50)!r} in the matrix{closest(services[0], rows)}"
            )
        names = {name for service in wanted for name in rows[service].values()}
        people = self._parts.who(names, self._parts.clock.now())
        return "\n".join(f"{service}: {_row(rows[service], people)}" for service in wanted) or "no rows"

    def _url(self, incident: Incident) -> str:
        return f"{self._parts.external_url.rstrip('/')}/incidents/{incident.id}"


def _row(row: Mapping[Level, str], people: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{level} {_behind(row[level], people)}" for level in LEVELS if level in row)


def _behind(name: str, people: Mapping[str, Sequence[str]]) -> str:
    """The name of the matrix, and who that is now where it is somebody else."""
    who = list(people.get(name, (name,)))
    return name if who == [name] else f"{name} ({', '.join(who) or 'nobody'})"


def _standing(incident: Incident, now: datetime) -> str:
    """Where it stands, in a line."""
    since = f"{incident.totals.firing_now} firing, since {incident.opened_at:%Y-%m-%d %H:%M} UTC ({rough_duration(now - incident.opened_at)})"
    who = f" by {one_line(incident.acknowledged_by, 60)}" if incident.acknowledged_by else ""
    step = next_step(incident)
    then = f", then {step.contact} ({step.level}) at {step.at:%H:%M} UTC" if step is not None else ""
    return f"{incident.state_name}{who}, {since}{then}"
