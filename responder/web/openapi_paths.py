"""Every path and method of the daemon, and how it answers. A test walks the routes and holds this list to them."""

from __future__ import annotations

from responder.web.bodies import COMMANDS
from responder.web.openapi_calls import KEY, Access, Call, at_time, query

_FORM = "application/x-www-form-urlencoded"
_HTML = "text/html"
_TEXT = "text/plain"
_INCIDENT = "/api/v1/incidents/{id}"
_SCHEDULE = "/api/v1/schedules/{name}"
_LIMIT = query("limit", type="integer", minimum=1, maximum=500)
_FILTERS = tuple(
    {**query(name), "description": "one or several, by commas"} for name in ("state", "service", "severity")
)
#: A person's fact: taken, or recorded where the decision takes longer or the store is away.
_SAID = {"200": "IncidentView", "202": "IncidentView|RecordedView"}
_MADE = {"200", "201"}

_FOR_PROGRAMS: dict[tuple[str, str], Call] = {
    ("post", "/webhooks/alertmanager"): Call(
        summary="Take alerts; 200 once they are on disk", good={"200": "Summary"}, access=Access.SIGNED,
        takes="application/json", errors="415",
    ),
    ("get", "/api/v1/incidents"): Call(
        summary="List incidents, newest first", good={"200": "ListView"}, errors="400",
        parameters=(*_FILTERS, query("cursor"), _LIMIT),
    ),
    ("get", _INCIDENT): Call(summary="One incident", good={"200": "DetailView"}, errors="404"),
    ("get", f"{_INCIDENT}/digest"): Call(
        summary="What is told with the incident's page", good={"200": "DigestView"}, errors="404"
    ),
    ("post", f"{_INCIDENT}/silence"): Call(
        summary="Silence in Alertmanager what fires in the incident", good=_SAID, takes="SilenceBody",
        parameters=(KEY,), errors="404 409 422 502",
    ),
    ("delete", f"{_INCIDENT}/silence"): Call(
        summary="Withdraw the silences that were made from the incident", good=_SAID, takes="UnsilenceBody",
        parameters=(KEY,), errors="404 409 422 502",
    ),
    ("post", f"{_INCIDENT}/actions/{{name}}"): Call(
        summary="Have an action performed, rehearsed or taken back; a refusal names its gate",
        good={"202": "IncidentView|RecordedView"}, takes="ActionBody", parameters=(KEY,), errors="404 409 422",
    ),
    ("post", f"{_INCIDENT}/updates"): Call(
        summary="Not in this version", good={}, errors="501", stored=False
    ),
    ("post", f"{_INCIDENT}/checklist/{{item}}"): Call(
        summary="Not in this version", good={}, errors="501", stored=False
    ),
    ("get", "/api/v1/rules"): Call(summary="The rules in force", good={"200": "RulesView"}, stored=False),
    ("post", "/api/v1/explain"): Call(
        summary="What happens to an alert with these labels", good={"200": "Explanation"}, takes="ExplainBody",
    ),
    ("get", "/api/v1/alerts/{fingerprint}/explain"): Call(
        summary="What became of an alert", good={"200": "AccountView"}, errors="404"
    ),
    ("get", "/api/v1/actions"): Call(summary="The actions of the rules in force", good={"200": "ActionsView"}),
    ("get", "/api/v1/actions/kill-switch"): Call(
        summary="Whether actions are switched off", good={"200": "KillSwitchView"}
    ),
    ("post", "/api/v1/actions/kill-switch"): Call(
        summary="Switch every action off, or on again", good={"200": "KillSwitchView"}, takes="KillSwitchBody",
        errors="409 422",
    ),
    ("get", "/api/v1/audit"): Call(
        summary="What was done to targets, oldest first", good={"200": "AuditPage"}, errors="400",
        parameters=(query("after", type="integer", minimum=0),),
    ),
    ("get", "/api/v1/quarantine"): Call(
        summary="Bodies that could not be read", good={"200": "QuarantineView"}, errors="400", parameters=(_LIMIT,)
    ),
    ("get", "/api/v1/quarantine/{digest}"): Call(
        summary="One of them, as it came", good={"200": "application/octet-stream"}, errors="404"
    ),
    ("delete", "/api/v1/quarantine/{digest}"): Call(summary="Forget one", good={"204": ""}, errors="404"),
    ("get", "/api/v1/contacts"): Call(
        summary="Who can be reached over which channel", good={"200": "ContactsView"}
    ),
    ("post", "/api/v1/contacts/{name}/verify"): Call(
        summary="Send a link to confirm an address with", good={"200": "VerifyView"}, takes="VerifyBody",
        errors="404 409 502",
    ),
    ("get", "/api/v1/oncall"): Call(
        summary="Who is on call, by service and level", good={"200": "OnCallView"}, errors="400", stored=False,
        parameters=(at_time("at"),),
    ),
    ("get", "/api/v1/schedules"): Call(
        summary="Every schedule, its calendar and its changes", good={"200": "ScheduleListView"}, errors="400",
        stored=False, parameters=(at_time("at"),),
    ),
    ("get", _SCHEDULE): Call(
        summary="A schedule over the coming four weeks, or another stretch of at most a year",
        good={"200": "ScheduleWeeksView"}, errors="400 404", stored=False,
        parameters=(at_time("from"), at_time("to")),
    ),
    ("get", f"{_SCHEDULE}/overrides"): Call(
        summary="What people changed", good={"200": "ChangeListView"}, errors="404"
    ),
    ("post", f"{_SCHEDULE}/overrides"): Call(
        summary="Put somebody else on call for a while; 200 where that was done before",
        good=dict.fromkeys(sorted(_MADE), "ChangeView"), takes="OverrideBody", errors="404 409 422",
    ),
    ("post", f"{_SCHEDULE}/swaps"): Call(
        summary="Let two people exchange their turns for a while; 200 where that was done before",
        good=dict.fromkeys(sorted(_MADE), "ChangeView"), takes="SwapBody", errors="404 409 422",
    ),
    ("delete", f"{_SCHEDULE}/overrides/{{id}}"): Call(
        summary="Take back an override or a swap", good={"204": ""}, errors="404"
    ),
    ("get", "/api/v1/maintenance"): Call(
        summary="Every maintenance window, those of the rule files too", good={"200": "MaintenanceListView"}
    ),
    ("post", "/api/v1/maintenance"): Call(
        summary="Suppress paging for what matches; 200 where such a window was there before, which may go on longer now",
        good=dict.fromkeys(sorted(_MADE), "MadeWindowView"), takes="MaintenanceBody", parameters=(KEY,),
        errors="409 422",
    ),
    ("delete", "/api/v1/maintenance/{id}"): Call(
        summary="End a window now, or take it back", good={"204": ""}, errors="404"
    ),
    ("get", "/api/openapi.json"): Call(
        summary="This description", good={"200": "application/json"}, access=Access.OPEN, stored=False
    ),
    ("get", "/-/healthy"): Call(
        summary="The process lives", good={"200": _TEXT}, access=Access.OPEN, stored=False
    ),
    ("get", "/-/ready"): Call(summary="It takes alerts", good={"200": _TEXT}, access=Access.OPEN),
    ("post", "/-/reload"): Call(
        summary="Read the rule files anew; says where the configuration on disk is not what runs",
        good={"200": _TEXT}, errors="400", stored=False,
    ),
    ("get", "/metrics"): Call(
        summary="Prometheus or OpenMetrics text", good={"200": _TEXT}, access=Access.OPEN, stored=False
    ),
    ("get", "/charts/{digest}.png"): Call(
        summary="A picture of a finding", good={"200": "image/png"}, errors="404"
    ),
    **{
        (method, "/heartbeats/{name}"): Call(
            summary="A sign of life; 200 once it is on disk", good={"200": "BeatView"}, errors="404"
        )
        for method in ("get", "post")
    },
    **{
        ("post", f"{_INCIDENT}/{name}"): Call(
            summary=f"Record: {name}", good=_SAID, takes=body.__name__, parameters=(KEY,), errors="404 409 422"
        )
        for name, (body, _) in COMMANDS.items()
    },
}  # fmt: skip

_FOR_PROVIDERS: dict[tuple[str, str], Call] = {
    ("post", "/slack/interactions"): Call(
        summary="A button was pressed in Slack", good={"200": ""}, access=Access.SIGNED, takes=_FORM, stored=False
    ),
    ("post", "/slack/commands"): Call(
        summary="A command was typed in Slack", good={"200": ""}, access=Access.SIGNED, takes=_FORM, stored=False
    ),
    ("post", "/pagerduty/webhook"): Call(
        summary="Something happened to an incident in PagerDuty", good={"200": "application/json"},
        access=Access.SIGNED, takes="application/json",
    ),
    ("post", "/twilio/sms"): Call(
        summary="Somebody answered a text message", good={"200": "text/xml"}, access=Access.SIGNED, takes=_FORM
    ),
    ("post", "/twilio/voice"): Call(
        summary="Somebody pressed a key in a call", good={"200": "text/xml"}, access=Access.SIGNED, takes=_FORM
    ),
    ("post", "/twilio/status"): Call(
        summary="What became of a message or a call", good={"204": ""}, access=Access.SIGNED, takes=_FORM
    ),
}  # fmt: skip

_PAGE = {"200": _HTML}
_TO_LOGIN = {"200": _HTML, "303": ""}
_DONE = {"303": ""}
_FOR_PEOPLE: dict[tuple[str, str], Call] = {
    ("get", "/ack/{token}"): Call(
        summary="The incident of a page, and a button", good=_PAGE, access=Access.OPEN, errors="404 410", shown=True
    ),
    ("post", "/ack/{token}"): Call(
        summary="Acknowledge", good={"200": _HTML, "202": _HTML}, access=Access.OPEN, errors="404 410", shown=True
    ),
    ("get", "/ack/{token}/charts/{digest}.png"): Call(
        summary="A picture of a finding, for who was paged", good={"200": "image/png"}, access=Access.OPEN,
        errors="404 410",
    ),
    ("get", "/verify/{token}"): Call(
        summary="Confirm an address: the button", good=_PAGE, access=Access.OPEN, errors="404 410", shown=True
    ),
    ("post", "/verify/{token}"): Call(
        summary="Confirm an address", good=_PAGE, access=Access.OPEN, errors="404 410", shown=True
    ),
    ("get", "/"): Call(summary="The console", good=_TO_LOGIN, access=Access.OPEN, errors="401 403"),
    ("get", "/incidents/{id}"): Call(
        summary="One incident on the console", good=_TO_LOGIN, access=Access.OPEN, errors="404", shown=True
    ),
    ("get", "/alerts/{fingerprint}"): Call(
        summary="What became of an alert, on the console", good=_TO_LOGIN, access=Access.OPEN, errors="404", shown=True
    ),
    ("post", "/incidents/{id}/{form}"): Call(
        summary="A form of the console", good=_DONE, takes=_FORM, errors="404 409 422 502", shown=True
    ),
    ("get", "/incidents/{id}/actions/{name}"): Call(
        summary="What an action would do, and the buttons", good=_TO_LOGIN, errors="404", shown=True
    ),
    ("post", "/incidents/{id}/actions/{name}"): Call(
        summary="Have it done, rehearsed or taken back", good=_DONE, takes=_FORM, errors="404 409 422", shown=True
    ),
    ("post", "/kill-switch/{to}"): Call(
        summary="Switch every action off, or on again", good=_DONE, takes=_FORM, errors="422"
    ),
    ("get", "/login"): Call(summary="Asks for a token", good=_PAGE, access=Access.OPEN, stored=False),
    ("post", "/login"): Call(
        summary="Exchange a token for a session", good=_DONE, access=Access.OPEN, takes=_FORM, errors="403", shown=True,
        stored=False,
    ),
    ("get", "/static/console.css"): Call(
        summary="How the console looks", good={"200": "text/css"}, access=Access.OPEN, stored=False
    ),
}  # fmt: skip

CALLS = {**_FOR_PROGRAMS, **_FOR_PROVIDERS, **_FOR_PEOPLE}
