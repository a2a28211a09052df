"""The real Alertmanager as the truth: silences made and withdrawn on both sides, inhibition, expiry, a cluster, lost state."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon import DaemonProcess, Receiver
from real_alertmanager import RealAlertmanager, together
from waiting import eventually, until

pytestmark = [pytest.mark.debian("prometheus-alertmanager"), pytest.mark.timeout(300)]

RULES = """
severities:
  P1: {title: Critical, respond_within: 30m, escalate: {secondary: 10m, executive: 20m}}
  P3: {respond_within: 4h}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
rules:
  - name: database
    match: ['service="database"']
    severity: {label: severity, map: {critical: P1, warning: P3}, default: P1}
    service: database
    group_by: [cluster]
default: {severity: P3, service: platform}
"""
DB = {"alertname": "TooManyConnections", "service": "database", "cluster": "a", "severity": "critical"}


class Scene:
    """A daemon and the Alertmanagers that post to it and are asked by it; none is started yet."""

    def __init__(
        self, folder: Path, hook: Receiver, *, count: int = 1, grace: str = "1s", **more: Any
    ) -> None:
        self.hook = hook
        self.ams = [RealAlertmanager(folder / f"am{number}") for number in range(count)]
        self.am = self.ams[0]
        section = {
            "urls": [one.url for one in self.ams],
            "reconcile_every": "1s",
            "timeout": "3s",
            "grace": grace,
        }
        config = {
            "channels": {"hook": {"type": "webhook", "url": hook.url}},
            "alertmanager": section, "monitor_for": "10m", **more,
        }  # fmt: skip
        self.daemon = DaemonProcess(folder / "daemon", config, RULES)
        for one in self.ams:
            one.posts_to(f"{self.daemon.url}/webhooks/alertmanager")

    async def __aenter__(self) -> Scene:
        if len(self.ams) == 1:
            await self.am.start()
        else:
            await together(*self.ams)
        await self.daemon.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(TimeoutError):
            await self.daemon.stop()
        for one in self.ams:
            await one.stop(how=signal.SIGKILL)

    async def incident(self, state: str = "") -> dict[str, Any] | None:
        """The only one, with everything, once it is in this state."""
        found = await self.daemon.incidents()
        if len(found) != 1 or (state and found[0]["state"] != state):
            return None
        _, detail = await self.daemon.get(f"/api/v1/incidents/{found[0]['id']}")
        return detail  # type: ignore[no-any-return]

    async def reaches(self, state: str, limit: float = 60) -> dict[str, Any]:
        return await eventually(lambda: self.incident(state), limit=limit)

    async def held(self, kind: str | None, limit: float = 60) -> dict[str, Any]:
        """Until its pages are held back for this kind of reason, or for none."""

        async def look() -> dict[str, Any] | None:
            found = await self.incident()
            kinds = [hold["kind"] for hold in found["holds"]] if found else None
            return found if kinds == ([kind] if kind else []) else None

        return await eventually(look, limit=limit)

    def paged(self) -> list[str]:
        return [page["to"] for page in self.hook.pages()]

    async def looks(self, times: int = 3) -> None:
        """Let it compare so many times more."""
        metric = "responder_reconcile_last_success_timestamp_seconds"
        for _ in range(times):
            before = await self.daemon.metric(metric)
            await eventually(lambda before=before: self._moved(metric, before))  # type: ignore[misc]

    async def _moved(self, name: str, before: float) -> bool:
        return await self.daemon.metric(name) > before

    async def silence(self, incident: str, span: str = "1h", **more: Any) -> tuple[int, Any]:
        body = {"for": span, "comment": "known issue", "by": "ana", **more}
        return await self.daemon.post(f"/api/v1/incidents/{incident}/silence", body)

    async def unsilence(self, incident: str) -> tuple[int, Any]:
        status, raw = await self.daemon.call(
            "DELETE", f"/api/v1/incidents/{incident}/silence", data=msgspec.json.encode({"by": "ana"})
        )
        return status, msgspec.json.decode(raw)


def texts(incident: dict[str, Any]) -> str:
    return "\n".join(entry["text"] for entry in incident["timeline"])


async def test_a_silence_made_in_alertmanager_holds_pages_back_and_its_withdrawal_pages_anew(
    hook: Receiver, tmp_path: Path
) -> None:
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(DB)
        await until(lambda: scene.paged() == ["dbteam"])
        silence = await scene.am.silence(3600, alertname=DB["alertname"])
        held = await scene.held("silence")
        assert held["holds"][0]["by"] == f"{silence} by ana"
        assert "paging is held back (silence): silenced by ana: known until" in texts(held)
        await scene.am.expire(silence)
        await until(lambda: scene.paged() == ["dbteam", "dbteam"])
        again = await scene.held(None)
        assert "silence is over and it still fires; paging now" in texts(again)


async def test_e4_a_silence_that_ends_by_itself_pages_at_its_end_if_it_still_fires(
    hook: Receiver, tmp_path: Path
) -> None:
    """E4, with the real thing."""
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(DB)
        await until(lambda: scene.paged() == ["dbteam"])
        await scene.am.silence(15, alertname=DB["alertname"])
        await scene.held("silence")
        await until(lambda: scene.paged() == ["dbteam", "dbteam"])


async def test_what_resolves_while_it_is_silenced_is_resolved_by_the_comparison_and_pages_nobody_afterwards(
    hook: Receiver, tmp_path: Path
) -> None:
    """Alertmanager tells nobody of it: there is no webhook."""
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(DB)
        await until(lambda: scene.paged() == ["dbteam"])
        silence = await scene.am.silence(3600, alertname=DB["alertname"])
        await scene.held("silence")
        await scene.am.resolving(DB)
        over = await scene.reaches("monitoring")
        assert "found by comparing with Alertmanager: alerts fire no more" in texts(over)
        await scene.am.expire(silence)
        await scene.looks()
        assert scene.paged() == ["dbteam"]
        await scene.am.firing(DB)  # it fires again after the silence
        await until(lambda: scene.paged() == ["dbteam", "dbteam"])


async def test_a_silence_from_an_incident_is_a_real_one_and_is_withdrawn_likewise(
    hook: Receiver, tmp_path: Path
) -> None:
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(DB, instance="db-1")
        await scene.am.firing(DB, instance="db-2")
        await until(lambda: scene.paged() == ["dbteam"])
        incident = await eventually(lambda: firing_now(scene, 2))
        status, answer = await scene.silence(incident["id"], "2h")
        assert status == 200, answer
        (made,) = await scene.am.silences()
        assert made["createdBy"] == "ana"
        assert made["comment"] == f"known issue (responder {scene.daemon.url}/incidents/{incident['id']})"
        assert {(m["name"], m["value"], m["isRegex"]) for m in made["matchers"]} == {
            (name, value, False) for name, value in DB.items()
        }
        held = await scene.held("silence")
        assert [one["id"] for one in held["silences"]] == [made["id"]]
        await scene.looks()
        assert texts(await scene.held("silence")).count("held back") == 1, "the comparison says nothing new"
        status, answer = await scene.unsilence(incident["id"])
        assert status == 200, answer
        assert await scene.am.silences() == []
        await until(lambda: scene.paged() == ["dbteam", "dbteam"])
        assert (await scene.held(None))["silences"] == []
        status, answer = await scene.unsilence(incident["id"])
        assert (status, answer["reason"]) == (409, "impossible")


async def firing_now(scene: Scene, count: int) -> dict[str, Any]:
    found = await scene.incident()
    return found if found and found["counts"]["firing"] == count else {}


async def test_a_new_alert_that_the_silence_does_not_match_pages_at_once(
    hook: Receiver, tmp_path: Path
) -> None:
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(DB)
        await until(lambda: scene.paged() == ["dbteam"])
        await scene.silence((await scene.reaches("triggered"))["id"])
        await scene.held("silence")
        await scene.am.firing({**DB, "alertname": "DiskFull"})
        await until(lambda: scene.paged() == ["dbteam", "dbteam"])
        assert "an alert joined that Alertmanager does not mute; paging now" in texts(
            await scene.reaches("triggered")
        )


async def test_with_no_alertmanager_there_it_is_refused_and_nothing_is_recorded(
    hook: Receiver, tmp_path: Path
) -> None:
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(DB)
        await until(lambda: scene.paged() == ["dbteam"])
        before = await scene.reaches("triggered")
        await scene.am.stop(how=signal.SIGKILL)
        status, answer = await scene.silence(before["id"])
        assert status == 503
        assert answer["detail"].startswith("no Alertmanager answers (127.0.0.1:")
        assert "nothing was recorded" in answer["detail"]
        after = await scene.reaches("triggered")
        assert (after["silences"], after["holds"]) == ([], [])
        assert "silenced" not in texts(after)


async def test_inhibition_holds_pages_back_until_what_inhibits_is_over(
    hook: Receiver, tmp_path: Path
) -> None:
    symptom = {**DB, "role": "symptom"}
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(symptom)
        await until(lambda: scene.paged() == ["dbteam"])
        cause = {"alertname": "NodeDown", "service": "nodes", "cluster": "a", "role": "cause"}
        await scene.am.firing(cause)

        async def inhibited() -> Any:
            found = [one for one in await scene.daemon.incidents() if one["service"] == "database"]
            _, detail = await scene.daemon.get(f"/api/v1/incidents/{found[0]['id']}")
            return detail if [hold["kind"] for hold in detail["holds"]] == ["inhibition"] else None

        held = await eventually(inhibited)
        assert held["holds"][0]["text"] == "inhibited by the alert NodeDown"
        await scene.am.resolving(cause)
        await until(lambda: scene.paged().count("dbteam") == 2)


async def test_a_silence_that_was_withdrawn_while_we_were_down_is_noticed_at_the_start(
    hook: Receiver, tmp_path: Path
) -> None:
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(DB)
        await until(lambda: scene.paged() == ["dbteam"])
        silence = await scene.am.silence(3600, alertname=DB["alertname"])
        await scene.held("silence")
        await scene.daemon.stop()
        await scene.am.expire(silence)
        await scene.daemon.start()
        await until(lambda: scene.paged() == ["dbteam", "dbteam"])


async def test_killed_while_something_is_silenced_it_takes_over_its_own_lease_when_that_ends(
    hook: Receiver, tmp_path: Path
) -> None:
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(DB)
        await until(lambda: scene.paged() == ["dbteam"])
        silence = await scene.am.silence(3600, alertname=DB["alertname"])
        await scene.held("silence")
        await scene.daemon.kill()
        await scene.am.expire(silence)
        await scene.daemon.start()
        await until(lambda: scene.paged() == ["dbteam", "dbteam"])


async def test_e10_a_restarted_alertmanager_that_has_lost_its_alerts_resolves_nothing(
    hook: Receiver, tmp_path: Path
) -> None:
    """E10: and what really ended meanwhile is resolved once it is up long enough to be believed."""
    async with Scene(tmp_path, hook, grace="8s") as scene:
        await scene.looks(1)
        await scene.am.firing(DB)
        await until(lambda: scene.paged() == ["dbteam"])
        await scene.looks(2)
        await scene.am.stop(how=signal.SIGKILL)
        scene.am.lose_disk()
        await scene.am.start()
        await scene.looks(3)
        assert (await scene.reaches("triggered"))["counts"]["firing"] == 1
        await scene.reaches("monitoring")


async def test_l17_an_alert_whose_webhook_never_came_is_found(hook: Receiver, tmp_path: Path) -> None:
    """L17: its route sends it to a receiver of ours that cannot reach us."""
    async with Scene(tmp_path, hook, max_body_bytes=200_000) as scene:
        await scene.am.firing(alertname="Known", service="api")
        await until(lambda: scene.paged() == ["platform"])
        await scene.am.stop()
        scene.am.config["route"] |= {"group_wait": "1h"}
        await scene.am.start()
        await scene.am.firing(DB)
        await until(lambda: "dbteam" in scene.paged())


@pytest.mark.parametrize("key", ["mute_time_intervals", "active_time_intervals"])
async def test_what_a_time_interval_mutes_is_not_paged_as_missed_by_one_that_does_not_say_so(
    hook: Receiver, tmp_path: Path, key: str
) -> None:
    """Before 0.28 Alertmanager lists it as active, with every receiver that it would have."""
    async with Scene(tmp_path, hook) as scene:
        await scene.am.stop()
        scene.am.mutes_always('role="night"', key)
        await scene.am.start()
        await scene.am.firing({**DB, "cluster": "b"})
        await until(lambda: scene.paged() == ["dbteam"])
        await scene.am.firing({**DB, "role": "night"})
        listed = await scene.am.call("GET", "/api/v2/alerts")
        says = all("mutedBy" in one["status"] for one in listed)
        assert [one["status"]["state"] for one in listed if one["labels"].get("role")] == (
            ["suppressed"] if says else ["active"]
        )
        await scene.looks(5)
        assert scene.paged() == ["dbteam"]
        assert await scene.daemon.metric('responder_reconcile_changes_total{kind="missed_firing"}') == 0
        assert scene.daemon.log().count("this Alertmanager does not say whether one mutes them") == (not says)


async def test_of_a_cluster_cut_in_two_what_either_lists_fires_and_nothing_is_resolved(
    hook: Receiver, tmp_path: Path
) -> None:
    async with Scene(tmp_path, hook, count=2) as scene:
        one, other = scene.ams
        await asyncio.gather(one.firing(DB), other.firing(DB))
        await until(lambda: scene.paged() == ["dbteam"])
        await scene.looks(2)
        other.freeze()
        await one.resolving(DB)  # to the one that is left it has ended: its webhook says so
        await scene.reaches("monitoring")
        await one.firing({**DB, "alertname": "DiskFull"})
        await until(lambda: scene.paged() == ["dbteam", "dbteam"])
        silence = await one.silence(3600, cluster="a")
        await scene.held("silence")
        other.thaw()
        await scene.looks(2)
        await eventually(lambda: known(other, silence))  # it hears of it by gossip
        await other.expire(silence)
        await until(lambda: scene.paged() == ["dbteam", "dbteam", "dbteam"])


async def known(one: RealAlertmanager, *silences: str) -> bool:
    """Whether these are its active silences."""
    return [found["id"] for found in await one.silences()] == list(silences)


async def test_with_one_of_two_away_a_missing_alert_is_not_resolved(hook: Receiver, tmp_path: Path) -> None:
    async with Scene(tmp_path, hook, count=2) as scene:
        one, other = scene.ams
        await other.firing(DB)  # Prometheus reaches one of them only
        await until(lambda: scene.paged() == ["dbteam"])
        await scene.looks(2)
        other.freeze()
        some_looks_later = time.monotonic() + 8
        await until(lambda: time.monotonic() > some_looks_later)
        assert (await scene.reaches("triggered"))["counts"]["firing"] == 1
        status, answer = await scene.silence((await scene.reaches("triggered"))["id"])
        assert status == 409, "the one that answers lists none of its alerts"
        other.thaw()
        await scene.looks(2)
        assert (await scene.reaches("triggered"))["counts"]["firing"] == 1
        await one.stop(how=signal.SIGKILL)
        await other.resolving(DB)
        await scene.reaches("monitoring")


async def test_a_silence_over_one_of_two_is_made_and_withdrawn_with_the_other_away(
    hook: Receiver, tmp_path: Path
) -> None:
    async with Scene(tmp_path, hook, count=2) as scene:
        one, other = scene.ams
        await asyncio.gather(one.firing(DB), other.firing(DB))
        await until(lambda: scene.paged() == ["dbteam"])
        incident = await scene.reaches("triggered")
        one.freeze()
        status, answer = await scene.silence(incident["id"])
        assert status == 200, answer
        assert len(await other.silences()) == 1
        await scene.held("silence")
        status, _ = await scene.unsilence(incident["id"])
        assert status == 200
        one.thaw()
        await scene.looks(2)
        await eventually(lambda: known(one))
        await until(lambda: len(scene.paged()) == 2)


async def test_e9_a_silence_that_comes_back_with_an_old_disk_is_not_obeyed(
    hook: Receiver, tmp_path: Path
) -> None:
    """E9: Alertmanager comes back as it was before the silence was withdrawn."""
    async with Scene(tmp_path, hook) as scene:
        await scene.am.firing(DB)
        await until(lambda: scene.paged() == ["dbteam"])
        incident = await scene.reaches("triggered")
        await scene.silence(incident["id"])
        await scene.held("silence")
        await scene.am.stop()
        old = scene.am.keep_disk()
        await scene.am.start()
        await scene.am.firing(DB)
        await scene.unsilence(incident["id"])
        await until(lambda: scene.paged() == ["dbteam", "dbteam"])
        await scene.looks(2)
        await scene.am.stop()
        scene.am.lose_disk(old)
        await scene.am.start()
        assert len(await scene.am.silences()) == 1, "it is back"
        await scene.am.firing(DB)
        await scene.looks(3)
        assert (await scene.held(None))["state"] == "triggered", "it is not obeyed"
