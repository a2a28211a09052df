"""A newer daemon reads what an older one wrote; an older one does not guess at what a newer one wrote."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from stage import MINUTE, START, Play, policy

from responder.incident.advance import advance
from responder.incident.effects import SendMessage
from responder.incident.message import Wanted
from responder.incident.policy import ChannelStep
from responder.incident.reach import Person
from responder.incident.severity import Level, Severity
from responder.incident.state import SCHEMA_VERSION, Acknowledged, Incident
from responder.store.loaded import NewerSchemaError, decode_incident

SNAPSHOTS = Path(__file__).parent / "snapshots"


def old(name: str) -> bytes:
    return (SNAPSHOTS / f"{name}.json").read_bytes()


def test_a_snapshot_without_the_fields_of_today_is_read_with_their_defaults() -> None:
    snapshot = json.loads(msgspec.json.encode(Play().incident))
    for field in ("broken", "joined_untold", "joined_told_at", "first_paged_at", "assignee", "service_label"):
        snapshot.pop(field, None)
    snapshot["a_field_that_is_gone"] = 1
    assert decode_incident(json.dumps(snapshot).encode()).state_name == "triggered"


def test_a_snapshot_of_a_newer_version_is_refused_by_name_whatever_else_is_in_it() -> None:
    for newer in (
        {"schema": SCHEMA_VERSION + 1},
        {"schema": SCHEMA_VERSION + 1, "policy": ["another shape"]},
    ):
        snapshot = json.loads(msgspec.json.encode(Play().incident)) | newer
        with pytest.raises(NewerSchemaError, match="upgrade this replica"):
            decode_incident(json.dumps(snapshot).encode())


def test_a_level_of_schema_1_becomes_one_person_with_a_plan_and_its_progress() -> None:
    incident = decode_incident(old("schema-1-triggered"))
    assert incident.schema == SCHEMA_VERSION
    plan = tuple(ChannelStep(channel=name) for name in ("phone", "chat", "mail"))
    assert [reach.people for reach in incident.episode.reached] == [
        (Person(name="dbteam", plan=plan, tried=(0, 1)),),
        (Person(name="platform", plan=plan, tried=(0, 1)),),
    ]
    assert [(reach.level, reach.contact, reach.round) for reach in incident.episode.reached] == [
        (Level.PRIMARY, "dbteam", 1), (Level.SECONDARY, "platform", 1),
    ]  # fmt: skip
    assert incident.policy.channels["cto"][Severity.P4] == plan
    assert [(page.contact, page.channel, page.step) for page in incident.pages] == [
        ("dbteam", "phone", 0), ("dbteam", "chat", 1), ("platform", "phone", 0), ("platform", "chat", 1),
    ]  # fmt: skip
    assert {page.wanted for page in incident.pages} == {Wanted.UNACKNOWLEDGED}


def test_an_escalation_of_schema_1_goes_on_where_it_was() -> None:
    incident = decode_incident(old("schema-1-triggered"))
    assert (
        advance(incident, incident.totals, (), START + 5.2 * MINUTE).effects == ()
    )  # chat has half a minute
    decision = advance(incident, incident.totals, (), START + 5.5 * MINUTE)
    asked = [(e.contact, e.channel) for e in decision.effects if isinstance(e, SendMessage)]
    assert asked == [("platform", "mail")]


def test_the_id_of_a_page_is_the_one_that_schema_1_would_have_given() -> None:
    incident = decode_incident(old("schema-1-triggered"))
    play = Play(rules=policy(channels=("phone", "chat", "mail")), probes=("connections",))
    play.until(1)
    assert [page.id for page in play.incident.pages[:2]] == [page.id for page in incident.pages[:2]]


def test_an_acknowledgement_of_schema_1_stands() -> None:
    incident = decode_incident(old("schema-1-acknowledged"))
    assert incident.state == Acknowledged(by="ana", at=START + 6 * MINUTE)
    later = advance(incident, incident.totals, (), START + timedelta(hours=3))
    assert (later.effects, later.incident.state_name) == ((), "acknowledged")


def test_what_an_upgrade_made_is_written_and_read_in_todays_schema() -> None:
    incident = decode_incident(old("schema-1-triggered"))
    assert decode_incident(msgspec.json.encode(incident)) == incident


@pytest.mark.parametrize(
    "damage", [b"{", b"[]", b'{"schema": "x"}', b'{"schema": 1, "policy": 3}', b'{"schema": 1, "policy": {}}']
)
def test_damage_is_damage_in_every_schema(damage: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_incident(damage)


class _OldReach(msgspec.Struct, frozen=True, kw_only=True):
    level: str
    contact: str
    channels: tuple[str, ...]
    at: str


class _OldEpisode(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    reached: tuple[_OldReach, ...] = ()


class _OldPolicy(msgspec.Struct, frozen=True, kw_only=True):
    channels: dict[str, dict[str, tuple[str, ...]]] = {}


class _OldIncident(msgspec.Struct, frozen=True, kw_only=True):
    """What schema 1 read before it looked at the number of the schema."""

    policy: _OldPolicy
    episode: _OldEpisode
    state: dict[str, Any]
    schema: int = 1


def test_a_replica_of_schema_1_sees_a_newer_schema_and_no_damage_while_replicas_are_upgraded() -> None:
    play = Play(rules=policy(channels=("chat", ChannelStep(channel="phone", after=MINUTE))))
    read = msgspec.json.decode(msgspec.json.encode(play.incident), type=_OldIncident)
    assert read.schema == 2


def test_todays_snapshot_is_read_as_it_was_written() -> None:
    play = Play(rules=policy(channels=("chat", ChannelStep(channel="phone", after=MINUTE))))
    play.delivered()
    raw = msgspec.json.encode(play.incident)
    assert decode_incident(raw) == play.incident == msgspec.json.decode(raw, type=Incident)
