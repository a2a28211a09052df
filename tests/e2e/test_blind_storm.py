"""A digest whose store goes away: what a person takes with it stays taken, and what is listed can still be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blind_world import all_looked
from daemon import Receiver, alert
from site_of import Site, site
from stores import frozen
from waiting import eventually, until

RULES = """
severities:
  P2: {title: High, respond_within: 60m, escalate: {secondary: 20m, executive: 40m}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
contacts: {dbteam: {}, platform: {}, cto: {}}
rules:
  - {name: all, match: ['alertname=~".+"'], severity: P2, service: database, group_by: [alertname, part]}
default: {severity: P3, service: platform}
"""
AFTER, FOLDED = 2, 5


def settings(hook: Receiver) -> dict[str, Any]:
    return {
        "channels": {"hook": {"type": "webhook", "url": hook.url}}, "blind_after": "1s", "hold_down": "0s",
        "bundling": {"after": AFTER, "within": "1h", "new_kinds": 1, "digest_every": "1s"},
    }  # fmt: skip


def one(number: int, kind: str = "Same") -> dict[str, Any]:
    found = alert(number, part=str(number))
    found["labels"]["alertname"] = kind
    return found


async def stormy(site: Site) -> str:
    """A storm of one kind; the incident that tells of the others, once all are told."""
    assert await site.alerts(*(one(number) for number in range(AFTER + 1 + FOLDED))) == 200

    async def carrier() -> Any:
        _, listed = await site.api("GET", "/incidents?limit=50")
        found = [row["id"] for row in listed["incidents"]]
        shown = [(await site.api("GET", f"/incidents/{name}"))[1] for name in found]
        told = [page["told_in"] for row in shown for page in row["pages"] if page["told_in"]]
        done = all(page["status"] == "delivered" for row in shown for page in row["pages"])
        return told[0] if done and len(told) == FOLDED else None

    found: str = await eventually(carrier, every=0.1)
    return found


async def test_who_takes_a_digest_from_memory_takes_all_that_is_told_with_it(
    hook: Receiver, tmp_path: Path, turned: Any
) -> None:
    async with site(tmp_path, turned, RULES, **settings(hook)) as found:
        carrier = await stormy(found)
        link = await found.ack_link(carrier, "dbteam")
        await all_looked(found.store.client.execute_command, 1)
        with frozen(tmp_path / "data"):
            assert await found.alerts(one(0)) == 503
            await until(found.held)
            status, listed = await found.api("GET", f"/incidents/{carrier}/digest")
            assert (status, listed["count"], len(listed["incidents"])) == (200, FOLDED, FOLDED)
            assert {row["state"] for row in listed["incidents"]} == {"triggered"}
            console = await found.page(f"/incidents/{carrier}")
            assert all(row["id"] in console for row in listed["incidents"])
            said = await found.press(link, 202)
            assert "nor for what it knows to be told with its digest" in said
            turned.turn(minutes=20, seconds=5)
            await until(lambda: sum(page["to"] == "platform" for page in hook.pages()) == AFTER)
            turned.turn(minutes=1)
            await found.until_metric("responder_blind_pages_total", AFTER)
        await found.until_metric("responder_blind_mode", 0)
        await found.until_state(carrier, "acknowledged")
        await found.polled()
        _, listed = await found.api("GET", f"/incidents/{carrier}/digest")
        assert [row["state"] for row in listed["incidents"]] == ["acknowledged"] * FOLDED
        turned.turn(minutes=10)
        await found.polled()
        escalated = [page["incident"]["id"] for page in hook.pages() if page["to"] == "platform"]
        assert len(escalated) == AFTER
        assert carrier not in escalated


async def test_what_is_told_together_stays_together_and_a_new_storm_is_a_digest_from_memory(
    hook: Receiver, tmp_path: Path, turned: Any
) -> None:
    async with site(tmp_path, turned, RULES, **settings(hook)) as found:
        carrier = await stormy(found)
        await all_looked(found.store.client.execute_command, 1)
        with frozen(tmp_path / "data"):
            assert await found.alerts(one(0)) == 503
            await until(found.held)
            turned.turn(minutes=20, seconds=5)
            await until(lambda: rung(hook, "platform", "Same") == AFTER + 1)
            others = [one(100 + number, "Other") for number in range(12)]
            assert await found.alerts(*others) == 503
            await until(lambda: rung(hook, "dbteam", "Other") == AFTER + 1)
            _, listed = await found.api("GET", "/incidents?limit=50")
            names = [row["id"] for row in listed["incidents"] if row["title"].startswith("Other")]
            assert len(names) == 12

            async def all_told() -> bool:
                shown = [(await found.api("GET", f"/incidents/{name}"))[1] for name in names]
                return [page["status"] for row in shown for page in row["pages"]] == ["delivered"] * 12

            await eventually(all_told, every=0.1)
            assert rung(hook, "platform", "Same") == AFTER + 1
            assert rung(hook, "dbteam", "Other") == AFTER + 1
            await found.until_metric("responder_blind_pages_total", 2 * (AFTER + 1))
        await found.until_metric("responder_blind_mode", 0)
        await found.until_taken(*others)

        async def all_paged() -> bool:
            _, listed = await found.api("GET", "/incidents?limit=50")
            shown = [(await found.api("GET", f"/incidents/{row['id']}"))[1] for row in listed["incidents"]]
            pages = [page for row in shown for page in row["pages"]]
            return (
                len(shown) == AFTER + 1 + FOLDED + 12
                and all(row["pages"] for row in shown)
                and {page["status"] for page in pages} == {"delivered"}
                and {row["opened_at"] for row in shown if row["id"] in names}
                == {row["opened_at"] for row in was}
            )

        was = [row for row in listed["incidents"] if row["id"] in names]
        await eventually(all_paged, every=0.2)
        _, shown = await found.api("GET", f"/incidents/{carrier}/digest")

        async def written() -> bool:
            secondary = [
                page["told_in"]
                for row in shown["incidents"]
                for page in (await found.api("GET", f"/incidents/{row['id']}"))[1]["pages"]
                if page["to"] == "platform"
            ]
            return secondary == [carrier] * FOLDED

        await eventually(written, every=0.2)
        assert rung(hook, "platform", "Same") == AFTER + 1


def rung(hook: Receiver, to: str, kind: str) -> int:
    return len(
        [page for page in hook.pages() if page["to"] == to and f": {kind}" in page["incident"]["title"]]
    )
