"""``check``, ``explain`` and the API from a terminal, as a user types them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from daemon import DaemonProcess, alert, running, webhook_body

from responder.cli import main

BROKEN = """rules:
  - name: a
    match: ['alertname=~"(']
    severity: P5
    service: database
"""


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    shown = capsys.readouterr()
    code = ended.value.code
    return code if isinstance(code, int) else 1, shown.out, shown.err


def test_the_shipped_rules_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(capsys, "check", "rules/")
    assert (code, out) == (0, "0 error(s), 0 warning(s)\n")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("test", "responder: test is not in this version; responder check reads rule files"),
        ("simulate", "responder: simulate is not in this version; responder explain"),
        ("report", "responder: report is not in this version; response times are metrics"),
        ("chekc", "responder: no command 'chekc' (did you mean \"check\"?)"),
        ("nonsense", "responder: no command 'nonsense' (known: actions, audit, "),
    ],
)
def test_a_command_that_is_not_there_says_so_and_exits_with_2(
    capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    code, out, said = command(capsys, name, "some.yaml", "--since", "30d")
    assert (code, out) == (2, "")
    assert said.startswith(says)
    assert said.count("\n") == 1


def test_a_broken_rule_set_is_told_line_by_line_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    code, out, _ = command(capsys, "check", str(file))
    assert code == 1
    assert f"{file}:4:15: error: rules[0].severity: expected one of P1, P2, P3, P4, got 'P5'" in out
    assert "nobody would be paged" in out


CONFIG_WITH_MISTAKES = """listen: nowhere
lisen: 127.0.0.1:8080
stale_after: 5
rules: [r.yaml]
channels:
  hook: {type: webhook, url: "http://h/"}
targets:
  http:
    api.v1:
      url: ftp://api
auth:
  tokens:
    - {name: ci, token: a, role: viewer}
    - {name: ops, token: b, role: boss}
"""
RULES_WITH_MISTAKES = """escalation:
  database: {primary: dbteam, tertiary: cto}
contacts:
  dbteam: {channels: {P1: [hook, phone]}}
rules:
  - name: a
    match: ['service="database"', 'alertname=~"(']
    severity: P5
    service: database
    runbook: gone
  - name: b
    match: ['service="b"']
    severity: P1
    service: database
    runbook: db
default: {severity: P3, service: database}
runbooks:
  db: {summary: Too many, diagnoze: [health]}
actions:
  fix: {type: http, target: api.v1, path: /fix, verify: helth, timeout: 90s}
probes:
  health: {type: htp, target: api.v1, path: /health}
"""


def test_all_mistakes_of_all_files_are_told_at_once_each_in_its_own_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Mending one must not bring up the next, and what follows from a mistake is no mistake of its own."""
    (tmp_path / "responder.yaml").write_text(CONFIG_WITH_MISTAKES)
    (tmp_path / "r.yaml").write_text(RULES_WITH_MISTAKES)
    code, out, _ = command(capsys, "check", "--config", str(tmp_path / "responder.yaml"))
    told = [line.removeprefix(f"{tmp_path}/") for line in out.splitlines() if ": error: " in line]
    where = sorted((line.split(":")[0], int(line.split(":")[1])) for line in told)
    assert where == [
        ("r.yaml", 2), ("r.yaml", 4), ("r.yaml", 7), ("r.yaml", 8), ("r.yaml", 10), ("r.yaml", 18), ("r.yaml", 20),
        ("r.yaml", 20), ("r.yaml", 22),
        ("responder.yaml", 1), ("responder.yaml", 2), ("responder.yaml", 3), ("responder.yaml", 10),
        ("responder.yaml", 14),
    ], out  # fmt: skip
    assert code == 1
    assert out.splitlines()[-1].startswith("14 error(s)")


def test_what_is_missing_in_every_file_is_told_at_a_file_that_is_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("escalation: {database: {primary: dbteam}}\n")
    _, out, _ = command(capsys, "check", str(file))
    assert f"{file}:1:1: error: default: service 'platform' has no row in escalation" in out


def test_a_broken_configuration_and_its_rules_are_told_together(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "responder.yaml").write_text("listen: x\nrules: [r.yaml]\n")
    (tmp_path / "r.yaml").write_text(BROKEN)
    code, out, _ = command(
        capsys, "check", "--config", str(tmp_path / "responder.yaml"), str(tmp_path / "r.yaml")
    )
    assert code == 1
    assert "listen: expected host:port" in out
    assert "got 'P5'" in out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(capsys, "--version")
    assert (code, out) == (0, f"responder {version('responder')}\n")


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "check", "--odd")[0] == 2
    assert command(capsys, "explain", "no-equals-sign")[0] == 2
    assert command(capsys, "explain", "--at", "noon", "a=b")[0] == 2
    assert command(capsys)[0] == 2


def test_explain_says_who_is_paged_when_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(capsys, "explain", "alertname=PgBouncerPoolSaturated", "severity=critical")
    assert code == 0
    assert "rule      database-connections" in out
    assert "severity  P1 (severity='critical' by the rule's map)" in out
    assert "executive cto after 15m, over log" in out
    _, out, _ = command(capsys, "explain", "--json", "alertname=Unheard")
    assert json.loads(out)["rule"] == "default"


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with running(tmp_path, {}) as found:
        await found.alerts(webhook_body(alert(1, evil="\x1b]0;owned\x07"), {**alert(2), "startsAt": "never"}))
        while len(await found.incidents()) < 2:
            pass
        yield found


async def on_terminal(daemon: DaemonProcess, *arguments: str) -> tuple[int, str, str]:
    import asyncio
    import sys

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "responder", *arguments, "--url", daemon.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


async def test_incidents_are_listed_shown_and_acted_on_from_a_terminal(daemon: DaemonProcess) -> None:
    code, out, _ = await on_terminal(daemon, "incidents", "list", "--json", "--service", "database")
    incident = json.loads(out)["incidents"][0]["id"]
    code, out, _ = await on_terminal(daemon, "incidents", "show", incident)
    assert code == 0
    assert "\x1b" not in out
    assert "page to dbteam (primary) over log" in out
    _, detail = await daemon.get(f"/api/v1/incidents/{incident}")
    assert f"  {detail['alerts'][0]['fingerprint']}  firing    alertname=" in out
    await on_terminal(daemon, "incidents", "note", incident, "pool is full", "--by", "ana")
    code, out, _ = await on_terminal(daemon, "incidents", "ack", incident, "--by", "ana", "--note", "on it")
    assert "acknowledged" in out
    code, out, _ = await on_terminal(daemon, "incidents", "snooze", incident, "30m", "--by", "ana")
    assert "acknowledged" in out
    _, out, _ = await on_terminal(daemon, "incidents", "show", incident)
    assert "snoozed until" in out
    assert "pool is full (ana)" in out
    assert "dbteam over log: delivered" in out
    code, _, error = await on_terminal(daemon, "incidents", "snooze", incident, "a-while")
    assert (code, "body.for: expected a duration" in error) == (1, True)
    code, out, _ = await on_terminal(daemon, "incidents", "resolve", incident, "--by", "ana")
    assert "resolved" in out
    code, _, error = await on_terminal(daemon, "incidents", "ack", incident)
    assert code == 1
    assert "409" in error
    assert (await on_terminal(daemon, "incidents", "show", "0" * 16))[0] == 1


async def test_quarantine_is_listed_shown_and_replayed(daemon: DaemonProcess) -> None:
    _, out, _ = await on_terminal(daemon, "quarantine", "list", "--json")
    kept: dict[str, Any] = json.loads(out)["quarantine"][0]
    _, out, _ = await on_terminal(daemon, "quarantine", "show", kept["digest"])
    assert '"startsAt": "never"' in out
    code, _, error = await on_terminal(daemon, "quarantine", "replay", kept["digest"])
    assert code == 1
    assert "still cannot be read" in error
    assert (await on_terminal(daemon, "quarantine", "drop", kept["digest"]))[0] == 0


async def test_a_daemon_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    nobody = DaemonProcess(tmp_path, {})
    code, _, error = await on_terminal(nobody, "incidents", "list")
    assert code == 1
    assert "cannot reach" in error
    assert "Traceback" not in error
