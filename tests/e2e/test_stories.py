"""How others lost pages, played at a real daemon."""

from __future__ import annotations

import re
from pathlib import Path

from daemon import FAST_RULES, Receiver, alert, running, webhook_body
from slow_target import slow_target
from waiting import until

from responder.performers import _TRIAGE_SEATS

RULES = (
    FAST_RULES.replace("    service: database\n", "    service: database\n    runbook: look\n").replace(
        "respond_within: 6s, escalate: {secondary: 2s, executive: 4s}", "respond_within: 30m"
    )
    + """
runbooks: {look: {summary: Look., diagnose: [health, metrics]}}
probes:
  health: {type: http, target: api, path: /health, timeout: 20s}
  metrics: {type: http, target: api, path: /health, timeout: 20s}
"""
)


async def test_l18_a_diagnosis_that_hangs_changes_no_pages_time_however_many_there_are(
    hook: Receiver, tmp_path: Path
) -> None:
    """Elsewhere a dead Prometheus blocked the enrichment, and after that nothing was sent any more."""
    storm = _TRIAGE_SEATS + 20  # more than may be looked at side by side
    async with slow_target() as (slow, url):
        config = {
            "channels": {"hook": {"type": "webhook", "url": hook.url}},
            "targets": {"http": {"api": {"url": url}}},
        }
        async with running(tmp_path, config, RULES) as daemon:
            await daemon.alerts(webhook_body(*(alert(number) for number in range(storm))))
            await until(lambda: len(paged(hook)) == storm)
            assert slow.asked
            await daemon.alerts(webhook_body(alert(1_000)))  # the diagnoses hang still
            await until(lambda: any(title.startswith("Alert1000") for title in paged(hook)))
            _, metrics = await daemon.get("/metrics")
    times = {
        float(le): float(count)
        for le, count in re.findall(
            r'^responder_time_to_page_seconds_bucket\{le="([0-9.]+)",severity="P1"\} (\S+)$',
            metrics,
            re.MULTILINE,
        )
    }
    assert times[10.0] == storm + 1  # triage_wait is 2 s; a diagnosis would have taken 20


def paged(hook: Receiver) -> set[str]:
    """Titles of the incidents whose first level was paged."""
    return {page["incident"]["title"] for page in hook.pages() if page["level"] == "primary"}


async def test_d10_alerts_with_the_same_summary_and_different_labels_are_two_incidents_and_two_pages(
    hook: Receiver, tmp_path: Path
) -> None:
    async with running(
        tmp_path, {"channels": {"hook": {"type": "webhook", "url": hook.url}}}, FAST_RULES
    ) as daemon:
        both = [{**alert(number), "annotations": {"summary": "it is slow"}} for number in (1, 2)]
        _, answer = await daemon.alerts(webhook_body(*both))
        assert answer["changed"] == 2
        await until(lambda: len(paged(hook)) == 2)
        listed = await daemon.incidents()
        assert len({one["id"] for one in listed}) == 2
        assert {one["labels"]["alertname"] for one in listed} == {"Alert1", "Alert2"}
