"""At a shift change whoever takes over gets one digest, from two daemons on one store, over a real mail server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from daemon import alert, running, webhook_body
from mail import mail_server
from waiting import until

from responder.clock import SystemClock

RULES = """
severities:
  P1: {{title: Critical, respond_within: 15m, channels: [call]}}
escalation:
  database: {{primary: dbteam}}
  platform: {{primary: ana}}
contacts:
  dbteam: {{}}
  ana: {{email: ana@example.com, channels: {{P4: [mail]}}}}
  ben: {{email: ben@example.com, channels: {{P4: [call, mail]}}}}
schedules:
  dbteam: {{timezone: UTC, rotation: [ana], overrides: [{override}]}}
rules:
  - {{name: database, match: ['service="database"'], severity: P1, service: database, group_by: [alertname]}}
default: {{severity: P3, service: platform}}
"""


async def test_whoever_takes_over_gets_what_is_open_once_by_mail(
    tmp_path: Path, store_url: str, store_name: str
) -> None:
    before = RULES.format(override="")
    async with mail_server() as box:
        config = {
            "name": store_name,
            "redis": {"url": store_url},
            "channels": {
                "call": {"type": "pagerduty", "routing_key": "e93facc04764012d7bfb002500d5d1a6",
                         "url": "http://127.0.0.1:9"},
                "mail": {"type": "email", "host": "127.0.0.1", "port": box.port, "starttls": False,
                         "from": "responder@example.com"},
            },
        }  # fmt: skip
        async with (
            running(tmp_path / "one", config, before) as one,
            running(tmp_path / "two", config, before) as two,
        ):
            await one.alerts(webhook_body(alert(1), alert(2)))
            assert len(await one.incidents()) == 2
            start = SystemClock().now() + timedelta(seconds=1)
            override = f'{{from: "{start:%FT%TZ}", to: "{start + timedelta(hours=2):%FT%TZ}", who: ben}}'
            for daemon in (one, two):  # both see that the file has changed
                (daemon.folder / "rules" / "rules.yaml").write_text(RULES.format(override=override))
            await until(lambda: box.mails)
            await asyncio.sleep(6)  # another look of both finds nothing more to tell
    [mail] = box.mails
    assert box.recipients == [["ben@example.com"]]
    assert mail["Subject"] == "[P4] responder: Hand-over of dbteam: 2 open"
    text = mail.get_body(("plain",))
    assert text is not None
    assert text.get_content().startswith("P4 responder: Hand-over of dbteam: 2 open")
    assert "Nobody has taken (2):" in text.get_content()
    assert "P1 database: Alert1" in text.get_content()
    assert "Acknowledge" not in text.get_content()
