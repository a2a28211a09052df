"""A newer daemon reads what an older one wrote; an older one does not guess at what a newer one wrote."""

from __future__ import annotations

import json

import msgspec
import pytest
from stage import Play

from responder.incident.state import SCHEMA_VERSION
from responder.store.loaded import NewerSchemaError, decode_incident


def test_a_snapshot_without_the_fields_of_today_is_read_with_their_defaults() -> None:
    old = json.loads(msgspec.json.encode(Play().incident))
    for field in (
        "broken",
        "joined_untold",
        "joined_told_at",
        "first_paged_at",
        "assignee",
        "service_label",
        "schema",
    ):
        old.pop(field, None)
    old["a_field_that_is_gone"] = 1
    assert decode_incident(json.dumps(old).encode()).state_name == "triggered"


def test_a_snapshot_of_a_newer_version_is_refused_by_name() -> None:
    newer = json.loads(msgspec.json.encode(Play().incident)) | {"schema": SCHEMA_VERSION + 1}
    with pytest.raises(NewerSchemaError, match="upgrade this replica"):
        decode_incident(json.dumps(newer).encode())
