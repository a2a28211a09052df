"""``/api/openapi.json``: made from the same structs that the handlers read and answer with."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from responder.incident.audit import AuditPage
from responder.intake.intake import Summary
from responder.rules.explain import Explanation
from responder.web.actions import ActionBody, ActionsView, KillSwitchBody, KillSwitchView
from responder.web.alerts import AccountView
from responder.web.api import RecordedView
from responder.web.bodies import COMMANDS, ExplainBody
from responder.web.contacts import ContactsView, VerifyBody, VerifyView
from responder.web.digests import DigestView
from responder.web.heartbeats import BeatView
from responder.web.listings import QuarantineView, RulesView
from responder.web.maintenance import MadeWindowView, MaintenanceBody, MaintenanceListView
from responder.web.oncall import OnCallView, ScheduleListView, ScheduleWeeksView
from responder.web.openapi_paths import CALLS
from responder.web.overrides import ChangeListView, OverrideBody, SwapBody
from responder.web.problems import answer
from responder.web.silences import SilenceBody, UnsilenceBody
from responder.web.views import DetailView, IncidentView, ListView


def routes() -> list[web.RouteDef]:
    """The description itself."""
    return [web.get("/api/openapi.json", show)]


async def show(_request: web.Request) -> web.Response:
    """The description of the HTTP interface."""
    return answer(description())


def description() -> dict[str, Any]:
    """OpenAPI 3.1 of every route."""
    kinds = [
        Summary,
        ListView,
        DetailView,
        DigestView,
        IncidentView,
        Explanation,
        AccountView,
        ExplainBody,
        ActionBody,
        KillSwitchBody,
        KillSwitchView,
        AuditPage,
        SilenceBody,
        UnsilenceBody,
        ContactsView,
        VerifyBody,
        VerifyView,
        OnCallView,
        ScheduleListView,
        ScheduleWeeksView,
        OverrideBody,
        SwapBody,
        ChangeListView,
        MaintenanceBody,
        MaintenanceListView,
        MadeWindowView,
        BeatView,
        RulesView,
        QuarantineView,
        ActionsView,
        RecordedView,
        *(k for k, _ in COMMANDS.values()),
    ]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    components["Problem"] = {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    }
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "responder", "version": "1"},
        "paths": _paths(),
        "components": {"schemas": components, "securitySchemes": {"token": bearer}},
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), call in CALLS.items():
        paths.setdefault(path, {})[method] = call.described(path)
    return paths
