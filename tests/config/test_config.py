"""``responder.yaml``: every problem at once, each with its place and the way out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from responder.catalogue import catalogue
from responder.config import Config
from responder.config_load import ConfigError, configured_secrets, load_config
from responder.config_ranges import RANGES
from responder.secrets import Redactor


def loaded(tmp_path: Path, text: str, **environment: str) -> Config:
    file = tmp_path / "responder.yaml"
    file.write_text(text)
    return load_config(file, environment, catalogue()).config


def problems(tmp_path: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, **environment)
    return [str(one).removeprefix(f"{tmp_path}/") for one in caught.value.problems if one.level == "error"]


def test_without_a_file_the_defaults_page_to_the_log() -> None:
    config = load_config(None, {}, catalogue()).config
    assert config.listen == "127.0.0.1:8080"
    assert [section.type for section in config.channels.values()] == ["log"]


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").name == "main"


def test_the_interfaces_example_is_read(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    config = loaded(
        tmp_path,
        """
name: main
listen: 127.0.0.1:8080
external_url: http://localhost:8080
rules: [rules/]
data_dir: ./data
redis: {url: "redis://:pw@localhost:6379/0"}
alertmanager: {urls: [http://localhost:9093], reconcile_every: 1m}
auth:
  webhook: {bearer_token: wh-token, basic: {username: am, password: pw}}
  tokens: [{name: ci, token: ci-token, role: responder}]
channels:
  log: {type: log}
  hook: {type: webhook, url: "http://h/", secret: hook-secret}
  mail: {type: email, host: mx, port: 587, from: r@example.com, starttls: true}
  chat: {type: slack, token: xoxb-1, signing_secret: sig}
targets:
  postgres: {main: {url: "postgresql://u:dbpass@db/x"}}
  http: {api: {url: "https://api", headers: {apikey: key-value}}}
""",
    )
    assert config.alertmanager is not None
    assert config.alertmanager.reconcile_every == timedelta(minutes=1)
    assert list(config.channels) == ["log", "hook", "mail", "chat"]
    known = configured_secrets(config)
    for secret in ("wh-token", "ci-token", "hook-secret", "xoxb-1", "sig", "dbpass", "key-value"):
        assert secret in known
    assert "dbpass" not in repr(config)


@pytest.mark.parametrize(
    ("value", "also"),
    [
        ("Bearer sekret-anon-key-1234567", ["sekret-anon-key-1234567"]),
        ("bearer  sekret-anon-key-1234567 ", ["sekret-anon-key-1234567"]),
        ("Token sekret-anon-key-1234567", ["sekret-anon-key-1234567"]),
        ("ApiKey: sekret-anon-key-1234567", ["sekret-anon-key-1234567"]),
        ("Basic YW5hOmE6cGFzc3dvcmQ=", ["YW5hOmE6cGFzc3dvcmQ=", "ana:a:password", "a:password"]),
        ("Basic this-is-no-base64", ["this-is-no-base64"]),
        ("https://ana:p%40ssword@h/", ["p%40ssword", "p@ssword"]),
    ],
)
def test_what_of_a_secret_is_a_secret_by_itself_is_known_too(
    tmp_path: Path, value: str, also: list[str]
) -> None:
    config = loaded(
        tmp_path, f"targets: {{http: {{api: {{url: 'https://api', headers: {{A: '{value}'}}}}}}}}"
    )
    assert configured_secrets(config) == (value, *also)
    assert not [
        one for one in (value, *also) if one in Redactor(configured_secrets(config))(f"it was {one}.")
    ]


def test_a_password_in_an_address_that_is_no_secret_itself_is_known(tmp_path: Path) -> None:
    config = loaded(tmp_path, "targets: {http: {api: {url: 'https://ana:p%40ssword@api'}}}")
    assert configured_secrets(config) == ("p%40ssword", "p@ssword")


def test_every_problem_is_told_at_once_with_line_and_column(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """listen: nowhere
externl_url: http://x
triage_wait: 5
channels:
  a: {type: webhok, url: x}
  b: {type: webhook}
auth: {tokens: [{name: a, token: t, role: boss}]}
""",
    )
    assert found == [
        "responder.yaml:5:13: error: channels.a.type: unknown channel type 'webhok' (did you mean \"webhook\"?)",
        "responder.yaml:6:6: error: channels.b: missing url",
        "responder.yaml:2:1: error: configuration: unknown key 'externl_url' (did you mean \"external_url\"?)",
        "responder.yaml:3:14: error: configuration.triage_wait: expected a duration such as 90s, 15m or 1h30m, got '5'",
        "responder.yaml:1:9: error: listen: expected host:port such as 127.0.0.1:8080, got 'nowhere'",
        "responder.yaml:7:43: error: auth.tokens[0].role: a: expected role viewer, responder or admin, got 'boss'",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("listen: 0.0.0.0:8080", "auth.allow_anonymous_webhook: true"),
        ("external_url: ftp://x", "expected http://host"),
        ("redis: {url: http://x}", "redis://"),
        (
            "targets: {http: {api: {url: 'https://x/?token=1'}}}",
            "targets.http.api.url: expected an address without ? and #",
        ),
        ("name: 'two words'", "letters, digits"),
        ("flapping: {count: 1}", "flapping.count: expected 2 to 50, got 1"),
        ("bundling: {after: -1}", "bundling.after: expected 0 (never a digest), or 1 to 1000, got -1"),
        ("bundling: {within: 10s}", "bundling.within: expected 1m to 1d, got 10s"),
        ("bundling: {new_kinds: 1001}", "bundling.new_kinds: expected 0 to 1000, got 1001"),
        (
            "bundling: {digest_every: 10m}",
            "bundling.digest_every: expected no more than bundling.within (5m), got 10m",
        ),
        ("bundling: {afer: 1}", "bundling"),
        ("flapping: {within: 10s}", "flapping.within: expected 1m to 1d, got 10s"),
        ("hold_down: soon", "expected a duration"),
        ("name: yes", "quote it"),
        ("auth: {tokens: [{name: a, token: '', role: viewer}]}", "empty"),
        ("a: [", "not YAML"),
        ("- a", "expected a mapping"),
        ("listen: a:1\nlisten: b:2", "stands twice"),
        ("rules: []", "1:8: error: rules: expected at least one rule file or folder, such as rules/"),
        ("external_url: 'http://a/b?c#d'", "external_url: expected an address without ? and #"),
        (
            'external_url: "http://a/\\r\\nX: y"',
            "external_url: expected http://host or https://host; it cannot be",
        ),
        ("alertmanager: {urls: []}", "alertmanager.urls: expected at least one address"),
        (
            "targets: {http: {api: {url: 'https://x', headers: {\"X\\r\\nY\": secret-v}}}}",
            "1:51: error: targets.http.api.headers: 'X Y' is not the name of a header",
        ),
        (
            "targets: {prometheus: {p: {url: 'https://x', headers: {X: \"secret-v\\r\\nY: z\"}}}}",
            "1:59: error: targets.prometheus.p.headers.X: expected a value of one line",
        ),
        ("listen: 'a:²'", "listen: expected host:port"),
        ("retention: 0s", "retention: expected 1d to 3650d, got 0s"),
        ("heartbeats: [{name: a, every: 5m}, {name: a, every: 1m}]", "name 'a' stands twice"),
        ("retention: 1s", "retention: expected 1d to 3650d, got 1s"),
        ("hold_down: 99d", "hold_down: expected 0s to 5m, got 99d"),
        ("stale_after: 1s", "stale_after: expected 10m to 30d, got 1s"),
        ("stale_after: 25d\nretention: 20d", "stale_after: expected no more than retention (20d), got 25d"),
        ("blind_after: 1ms", "blind_after: expected 1s to 10m, got 1ms"),
        ("blind_after: 100d", "blind_after: expected 1s to 10m, got 100d"),
        ("shutdown_grace: 100d", "shutdown_grace: expected 1s to 10m"),
        ("triage_wait: 1h", "triage_wait: expected 0s to 1m, got 1h"),
        ("monitor_for: 100d", "monitor_for: expected 1s to 7d"),
        ("max_body_bytes: 9000000000", "max_body_bytes: expected 1024 to 1073741824"),
        ("alertmanager: {urls: ['http://a'], grace: 0s}", "alertmanager.grace: expected 1s to 1d, got 0s"),
        (
            "alertmanager: {urls: ['http://a'], grace: 100d}",
            "alertmanager.grace: expected 1s to 1d, got 100d",
        ),
        (
            "alertmanager: {urls: ['http://a'], timeout: 1h}",
            "alertmanager.timeout: expected 1s to 1m, got 1h",
        ),
        ("alertmanager: {urls: ['http://a'], reconcile_every: 100d}", "reconcile_every: expected 1s to 1h"),
        (
            "alertmanager: {urls: ['http://a'], reconcile_every: 20m}\nstale_after: 15m",
            "alertmanager.reconcile_every: expected no more than stale_after (15m), got 20m",
        ),
        ("heartbeats: [{name: a, every: 1y}]", "heartbeats[0].every: expected 1s to 31d, got 365d"),
        ("heartbeats: [{name: a, every: 1m, grace: 1y}]", "heartbeats[0].grace: expected 0s to 31d"),
        ("canary: {every: 2h}", "canary.every: expected 0s (never), or 1s to 1h, got 2h"),
        ("heartbeats: [{name: a b, every: 5m}]", "heartbeats[0]: name: expected 1 to 64 letters"),
        ("heartbeats: [{name: a, every: 10ms}]", "heartbeats[0].every: expected 1s to 31d, got 10ms"),
        ("heartbeats: [{name: a, every: 5m, match: ['a b']}]", "heartbeats[0]: match[0]"),
        ("heartbeats: [{name: a, every: 5m, match: ['a!=\"b\"']}]", "would take every alert"),
        ("heartbeats: [{name: a, every: 5m, match: ['a=~\".*\"']}]", "would take every alert"),
        ("heartbeats: [{name: a, every: 5m, service: ['x']}]", "expected a text"),
        ("heartbeat_out: {url: ftp://x}", "heartbeat_out.url: expected http://host"),
        (
            "heartbeat_out: {url: http://x, every: 2s}",
            "heartbeat_out.timeout: expected no more than heartbeat_out.every (2s), got 5s; lower it, or raise heartbeat_out.every",
        ),
        ("heartbeat_out: {url: http://x}\ncanary: {every: 0s}", "canary.every: 0s switches off"),
        ("canary: {every: 5s}", "canary.timeout: expected no more than canary.every (5s), got 30s"),
        ("redis: {url: '${NOT_SET}'}", "environment variable NOT_SET is not set"),
        ("auth: {webhook: {bearer_token_file: gone}}", "cannot read gone"),
        ("data_dir: &a [*a]", "expected a text"),
    ],
)
def test_a_mistake_says_what_would_be_right(tmp_path: Path, text: str, says: str) -> None:
    assert any(says in one for one in problems(tmp_path, text)), problems(tmp_path, text)


def test_a_value_outside_its_range_is_told_where_it_stands(tmp_path: Path) -> None:
    text = "alertmanager:\n  urls: [http://am:9093]\n  grace: 1ms\nflapping: {within: 2d}\n"
    assert sorted(problems(tmp_path, text)) == [
        "responder.yaml:3:10: error: alertmanager.grace: expected 1s to 1d, got 1ms",
        "responder.yaml:4:20: error: flapping.within: expected 1m to 1d, got 2d",
    ]


def test_what_depends_on_a_value_that_cannot_be_read_is_not_judged_by_its_default(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "retention: long\nmonitor_for: 7d\nstale_after: 30d\n")
    assert "retention: expected a duration" in problem


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("heartbeats: [{name: a, every: 1s}]", "1:31: warning: heartbeats[0].every: pages where a sign comes 1s after the one before"),
        ("stale_after: 1h", "1:14: warning: stale_after: 1h is shorter than Alertmanager's default repeat_interval (4h)"),
    ],
)  # fmt: skip
def test_what_is_hardly_ever_meant_is_warned_of(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "responder.yaml"
    file.write_text(text)
    (warning,) = load_config(file, {}, catalogue()).warnings
    assert says in str(warning)


def test_a_short_wait_before_closing_is_no_worry_where_alertmanager_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "responder.yaml"
    file.write_text("stale_after: 1h\nalertmanager: {urls: [http://am:9093]}\n")
    assert load_config(file, {}, catalogue()).warnings == ()


def test_the_docs_list_every_range() -> None:
    rows = {
        cells[1].strip().strip("`"): cells[2].strip()
        for line in Path("docs/configuration.md").read_text().partition("## Ranges")[2].splitlines()
        if line.startswith("| `") and len(cells := line.split("|")) > 3
    }
    assert {key: str(allowed) for key, allowed in RANGES.items()}.items() <= rows.items()


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    config = loaded(
        tmp_path,
        "redis: {url: 'redis://:${PW}@h'}\nauth: {webhook: {bearer_token_file: token}}\ndata_dir: '$${x}'",
        PW="from-env",
    )
    assert config.redis is not None
    assert config.redis.url.reveal() == "redis://:from-env@h"
    assert config.auth.webhook.bearer_token is not None
    assert config.auth.webhook.bearer_token.reveal() == "from-a-file"
    assert config.data_dir.endswith("${x}")
    (tmp_path / "token").write_text("rotated\n")
    assert config.auth.webhook.bearer_token.reveal() == "rotated"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, "rules: [rules/]\ndata_dir: data")
    assert config.rules == (f"{tmp_path}/rules/",)
    assert config.data_dir == f"{tmp_path}/data"


def test_what_this_version_does_not_act_on_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "responder.yaml"
    file.write_text("archive: {url: postgresql://h/x}\nheartbeats: [{name: p, every: 5m}]\n")
    warnings = load_config(file, {}, catalogue()).warnings
    assert [one.level for one in warnings] == ["warning"]


def test_the_address_of_our_own_sign_of_life_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://monitor.example/ping/5f0c2d\n")
    config = loaded(tmp_path, "heartbeat_out: {url_file: url, every: 30s}")
    assert config.heartbeat_out is not None
    assert config.heartbeat_out.url.reveal() == "https://monitor.example/ping/5f0c2d"
    assert "5f0c2d" not in repr(config)
    assert "https://monitor.example/ping/5f0c2d" in configured_secrets(config)


def test_a_bomb_of_aliases_is_refused_and_not_unfolded(tmp_path: Path) -> None:
    layers = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    layers += [f"a{i}: &a{i} [{','.join(f'*a{i - 1}' for _ in range(10))}]" for i in range(1, 9)]
    text = "\n".join(layers)
    found: Any = problems(tmp_path, text + "\nrules: *a8")
    assert found


def test_a_secret_among_named_ones_can_come_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file-key\n")
    text = "channels: {phone: {type: pagerduty, routing_keys: {dbteam_file: key, platform: inline-key}}}"
    config = loaded(tmp_path, text)
    keys = config.channels["phone"].settings.routing_keys  # type: ignore[attr-defined]
    assert {name: key.reveal() for name, key in keys.items()} == {
        "dbteam": "from-a-file-key",
        "platform": "inline-key",
    }
    assert "from-a-file-key" in configured_secrets(config)
    twice = problems(tmp_path, text.replace("platform", "dbteam"))
    assert twice == [
        "responder.yaml:1:70: error: channels.phone.routing_keys.dbteam: give either the value or its _file form"
    ]
    gone = problems(tmp_path, text.replace("_file: key", "_file: gone"))
    assert gone == [
        "responder.yaml:1:65: error: channels.phone.routing_keys.dbteam_file: cannot read gone: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{type: pagerduty}", "channels.x: give routing_key, or routing_keys by name"),
        ("{type: twilio.sms, account_sid: AC1, auth_token: t, from: '+15005550006'}", "account_sid: expected AC and 32"),
        ("{type: teams, url: nowhere}", "url: expected http://host or https://host"),
        ("{type: ntfy, topic: 'two words'}", "topic: expected 1 to 64 letters"),
        ("{type: ntfy, url: 'http://[::1'}", "url: expected http://host or https://host; it cannot be read"),
        ("{type: ntfy, url: 'http://h/?a'}", "url: expected an address without ? and #"),
        ("{type: teams, url: 'http://[::1'}", "url: expected http://host or https://host; it cannot be read"),
        ("{type: teams, urls: {db: 'http://h:99999'}}", "urls.db: expected http://host or https://host; it cannot be read"),
        ("{type: pagerduty, routing_key: k, url: 'http://[::1'}", " url: expected http://host or https://host; it cannot"),
        ("{type: pagerduty, routing_key: k, api_url: 'http://[::1'}", "api_url: expected http://host or https://host"),
        ("{type: slack, token: t, api_url: 'http://[::1'}", "api_url: expected http://host or https://host; it cannot be read"),
        ("{type: slack, token: t, hooks_url: 'http://h:0'}", "hooks_url: expected http://host or https://host; it cannot be read"),
        ("{type: webhook, url: 'http://h:99999/'}", "url: expected http://host or https://host; it cannot be read"),
        ("{type: webhook, url: 'http://h/', headers: {\"X\\r\\nY\": v}}", "headers: 'X Y' is not the name of a header; expected letters"),
        ("{type: webhook, url: 'http://h/', headers: {X: \"a\\nb\"}}", "headers.X: expected a value of one line"),
        ('{type: email, host: mx, from: "x\\r\\nBcc: a@b"}', "from: expected one address such as responder@example.com"),
        ("{type: email, host: mx, from: 'a@b.example, c@d.example'}", "from: expected one address"),
        ("{type: email, host: mx, from: nobody}", "from: expected one address"),
        ("{type: email, host: 'a b', from: r@example.com}", "host: expected the name or the IP address of a mail server"),
        ("{type: email, host: mx, from: r@example.com, port: 99999}", "port: expected 1 to 65535, got 99999"),
        ("{type: apprise, url: 'syslog://'}", "this machine only"),
        ("{type: apprise, url: 'nosuch://host'}", "Apprise does not understand this nosuch:// address"),
        ("{type: webhook, url: 'http://h/', template: '{{ nothing }}'}", "template: no value 'nothing'"),
    ],
)  # fmt: skip
def test_settings_of_a_channel_that_could_not_work_are_told_with_their_place(
    tmp_path: Path, section: str, says: str
) -> None:
    (problem,) = problems(tmp_path, f"channels:\n  x: {section}\n")
    assert problem.startswith("responder.yaml:2:6: error: channels.x: ")
    assert says in problem


def test_an_alertmanagers_section_says_what_is_wrong_and_shows_no_password(tmp_path: Path) -> None:
    text = "alertmanager: {urls: ['htp://ana:hunter2@am:9093'], reconcile_every: 100ms, timeout: 0s}"
    said = "\n".join(problems(tmp_path, text))
    assert "alertmanager.urls[0]: expected http://host or https://host\n" in said
    assert "alertmanager.reconcile_every: expected 1s to 1h, got 100ms" in said
    assert "alertmanager.timeout: expected 1s to 1m, got 0s" in said
    assert "hunter2" not in said


def test_one_token_under_two_names_is_refused_by_both_names_and_without_the_token(tmp_path: Path) -> None:
    (tmp_path / "ops").write_text("same-token-text\n")
    text = "auth: {tokens: [{name: ci, token: same-token-text, role: viewer}, {name: ops, token_file: ops, role: admin}]}"
    assert problems(tmp_path, text) == [
        "responder.yaml:1:67: error: auth.tokens[1].token: 'ci' and 'ops' have the same token: give each one of its own"
    ]


def test_an_email_may_come_from_a_name_with_an_address(tmp_path: Path) -> None:
    section = "{type: email, host: '::1', from: 'Responder <r@example.com>'}"
    assert loaded(tmp_path, f"channels: {{mail: {section}}}").channels["mail"].type == "email"
