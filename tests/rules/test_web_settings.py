"""How the probes and actions on HTTP, Superset and Supabase are written in rule files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from responder.actions.http import HttpActionSettings, Method, Request
from responder.actions.superset_cache import SupersetCacheSettings
from responder.catalogue import catalogue
from responder.config_load import load_config
from responder.parameters import FromLabel, labels_used
from responder.rules.load import Surroundings, load
from responder.triage.http import HttpSettings
from responder.triage.supabase_health import Service, SupabaseHealthSettings
from responder.triage.supabase_logs import Level, SupabaseLogsSettings
from responder.triage.superset_health import SupersetHealthSettings

RULES = """
escalation: {platform: {primary: "@platform"}}
probes:
  health: {type: http, target: api, expect_headers: {Content-Type: application/json*}, expect_json: {a.0: true}}
  superset: {type: superset.health, target: main, deep: true}
  services: {type: supabase.health, target: main, services: [db, pg_bouncer]}
  calls: {type: supabase.logs, target: main, function: {label: function, default: health}, since: 15m, level: error}
actions:
  some: {type: superset.invalidate_cache, target: main, datasets: [1, 2]}
  board: {type: superset.invalidate_cache, target: main, dashboard: 7, warm_up: true, timeout: 30s}
  slug: {type: superset.invalidate_cache, target: main, dashboard: sales}
  label: {type: superset.invalidate_cache, target: main, dashboard: {label: dashboard}}
  restart:
    type: http
    target: ops
    method: PUT
    path: [services, {label: service}, restart]
    json: {service: {label: service}, force: true, wait: 30}
    expect_status: [202]
    dry_run: {path: /services, json: {dryRun: true}}
    settled: {path: [services, {label: service}], expect_json: {state: ready}}
"""


def settings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rules.yaml").write_text(RULES)
    found = load([str(tmp_path)], Surroundings(catalogue=catalogue()))
    assert found.raw is not None, [str(one) for one in found.problems]
    return {
        name: one.settings for kind in ("probes", "actions") for name, one in found.raw.named[kind].items()
    }


def test_every_form_is_read(tmp_path: Path) -> None:
    read = settings(tmp_path)
    assert read["health"] == HttpSettings(
        target="api", expect_headers={"Content-Type": "application/json*"}, expect_json={"a.0": True}
    )
    assert read["superset"] == SupersetHealthSettings(target="main", deep=True)
    assert read["services"] == SupabaseHealthSettings(
        target="main", services=(Service.DB, Service.PG_BOUNCER)
    )
    assert read["calls"] == SupabaseLogsSettings(
        target="main",
        function=FromLabel(label="function", default="health"),
        since=timedelta(minutes=15),
        level=Level.ERROR,
    )
    assert read["some"] == SupersetCacheSettings(target="main", datasets=(1, 2))
    assert [read[name].dashboard for name in ("board", "slug", "label")] == [
        7,
        "sales",
        FromLabel(label="dashboard"),
    ]
    restart = read["restart"]
    assert isinstance(restart, HttpActionSettings)
    assert restart.method is Method.PUT
    assert restart.path == ("services", FromLabel(label="service"), "restart")
    assert restart.json == {"service": {"label": "service"}, "force": True, "wait": 30}
    assert restart.dry_run == Request(path="/services", json={"dryRun": True})


def test_findings_are_shared_by_incidents_that_agree_on_the_labels_that_are_named(tmp_path: Path) -> None:
    read = settings(tmp_path)
    assert labels_used(read["calls"]) == {"function"}
    assert labels_used(read["label"]) == {"dashboard"}


def test_mistakes_are_told_with_what_would_be_right(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "probes:\n"
        "  a: {type: supabase.health, target: main, services: [db, psql]}\n"
        "  b: {type: supabase.logs, target: main}\n"
        "actions:\n"
        "  c: {type: http, target: ops, path: /x, method: FETCH}\n"
        "  d: {type: http, target: ops, path: /x, dry_run: {path: /y, expect_state: [200]}}\n"
    )
    found = load([str(tmp_path)], Surroundings(catalogue=catalogue()))
    told = "\n".join(str(one) for one in found.problems)
    assert "probes.a.services[1]: expected one of auth, db," in told
    assert "probes.b: missing function" in told
    assert "actions.c.method: expected one of GET, POST, PUT, PATCH, DELETE" in told
    assert "unknown key 'expect_state' (did you mean \"expect_status\"?)" in told


def test_a_project_that_cannot_be_asked_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "responder.yaml"
    file.write_text(
        "targets:\n"
        "  superset: {main: {url: 'http://superset:8088', username: robot, password: a-password, provider: ldap}}\n"
        "  supabase:\n"
        "    good: {project_ref: abcdefghijklmnopqrst, access_token: a-token-1}\n"
        "    own: {url: 'https://abcdefghijklmnopqrst.supabase.co', project_ref: abcdefghijklmnopqrst, access_token: a-token-1}\n"
        "    odd: {project_ref: '../x', access_token: a-token-1}\n"
    )
    loaded = load_config(file, {}, catalogue())
    assert loaded.config.targets.supabase["good"].url == "https://api.supabase.com"
    told = [one.text for one in loaded.warnings]
    assert len(told) == 2
    assert "targets.supabase.own.url: this is a project's own" in told[0]
    assert "targets.supabase.odd.project_ref: expected the project's reference" in told[1]
