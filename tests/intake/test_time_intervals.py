"""What a time interval may mute, where Alertmanager does not say whether it does: it is left to its webhook."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_alertmanager import FakeAlertmanager, rfc
from mirror import DB, MINUTE, Mirror, compiled, mirrored
from structlog.testing import capture_logs

from responder.intake.intervals import timed_receivers
from responder.store.store import Store

#: As Alertmanager shows its configuration; the last receiver has a route with an interval and one without.
CONFIG = """
route:
  receiver: responder
  routes:
  - matchers:
    - night="yes"
    mute_time_intervals:
    - nights
    routes:
    - receiver: pager
      active_time_intervals:
      - days
  - receiver: chat
time_intervals:
- name: nights
  time_intervals:
  - times:
    - start_time: "22:00"
      end_time: "24:00"
"""
OTHERS = CONFIG.replace("    mute_time_intervals:\n    - nights\n", "")
WARNING = "and this Alertmanager does not say whether one mutes them"


@pytest.fixture
async def ours(
    store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> AsyncIterator[Mirror]:
    """A replica of which two receivers are known to be its own."""
    async with mirrored(store, turned, compiled(tmp_path), pair, receivers=("responder", "chat")) as one:
        yield one


def warned(logs: list[Any]) -> int:
    return sum(WARNING in one["event"] for one in logs)


async def test_what_was_never_posted_is_not_taken_as_missed_and_that_is_said_once(
    ours: Mirror, pair: list[FakeAlertmanager]
) -> None:
    for peer in pair:
        peer.config = CONFIG
        peer.fire(DB)
    with capture_logs() as logs:
        await ours.look()
        assert warned(logs) == 0  # its webhook may be on its way
        await ours.look(times=3)
        pair[0].fire(DB, cluster="b")
        await ours.look(times=3)
    assert (await ours.incidents(), ours.paged(), ours.changes()) == ([], [], {})
    assert warned(logs) == 1
    (said,) = [one for one in logs if WARNING in one["event"]]
    assert (said["log_level"], said["receivers"], said["alerts"]) == ("warning", ["responder"], 1)
    await ours.webhook(ours.alert(DB, since=next(iter(pair[0].alerts.values()))["startsAt"]))
    assert ours.paged() == ["dbteam"]  # the interval is over: Alertmanager sends it


@pytest.mark.parametrize("config", ["x", "", OTHERS, "mute_time_intervals: [{name: nights}]\n" + OTHERS])
async def test_without_intervals_on_our_routes_missed_firings_are_found_as_ever(
    ours: Mirror, pair: list[FakeAlertmanager], config: str
) -> None:
    for peer in pair:
        peer.config = config
    pair[0].fire(DB, receivers=("responder", "pager"))
    with capture_logs() as logs:
        await ours.look(times=2)
    assert (ours.paged(), ours.changes(), warned(logs)) == (["dbteam"], {"missed_firing": 1}, 0)


async def test_a_receiver_of_ours_whose_route_has_none_would_have_got_it(
    ours: Mirror, pair: list[FakeAlertmanager]
) -> None:
    for peer in pair:
        peer.config = CONFIG
    pair[0].fire(DB, receivers=("responder", "chat"))
    await ours.look(times=2)
    assert ours.changes() == {"missed_firing": 1}


async def test_with_a_peer_that_says_what_is_muted_it_counts_what_that_one_says(
    ours: Mirror, pair: list[FakeAlertmanager]
) -> None:
    silent, speaking = pair
    silent.config, speaking.version = CONFIG, "0.28.0"
    for peer in pair:
        name = peer.fire(DB)
    speaking.muted[name] = "nights"
    await ours.look(times=3)
    assert ours.changes() == {}
    speaking.muted.clear()
    await ours.look(times=2)
    assert ours.changes() == {"missed_firing": 1}


async def test_what_only_a_peer_without_intervals_lists_is_found(
    ours: Mirror, pair: list[FakeAlertmanager]
) -> None:
    pair[0].config = CONFIG
    for peer in pair:
        peer.fire(DB)
    await ours.look(times=2)
    assert ours.changes() == {"missed_firing": 1}


async def test_a_firing_that_was_posted_and_got_lost_here_is_found_and_a_new_one_is_not(
    ours: Mirror, pair: list[FakeAlertmanager]
) -> None:
    for peer in pair:
        peer.config = CONFIG
    name = await ours.told(pair[0], DB)
    began = pair[0].alerts[name]["startsAt"]
    await ours.wait(MINUTE)
    await ours.webhook(ours.alert(DB, resolved=True, since=began))
    await ours.wait(MINUTE)
    pair[0].alerts[name]["startsAt"] = rfc(ours.clock.now())
    await ours.look(times=3)
    assert ours.changes() == {}, "it fires anew, and nobody posted that"
    pair[0].alerts[name]["startsAt"] = began
    pair[0].resend()
    await ours.look(times=2)
    assert ours.changes() == {"missed_firing": 1}


async def test_a_configuration_that_changes_is_read_again_and_one_that_does_not_is_not(
    ours: Mirror, pair: list[FakeAlertmanager], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def reading(text: str) -> frozenset[str] | None:
        read.append(text)
        return timed_receivers(text)

    monkeypatch.setattr("responder.intake.intervals.timed_receivers", reading)
    for peer in pair:
        peer.config = CONFIG
    pair[0].fire(DB, keep=timedelta(hours=1))
    await ours.look(times=4)
    assert read == [CONFIG, CONFIG]
    assert ours.changes() == {}
    for peer in pair:
        peer.config = OTHERS
    await ours.look(times=2)
    assert ours.changes() == {"missed_firing": 1}


def test_intervals_belong_to_the_receiver_of_their_route_wherever_that_is_named() -> None:
    assert timed_receivers(CONFIG) == frozenset({"responder", "pager"})
    assert timed_receivers(OTHERS) == frozenset({"pager"})
    assert timed_receivers("time_intervals: []\nroute: {receiver: a, mute_time_intervals: []}") == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "mute_time_intervals: [",
        "mute_time_intervals: " + "[" * 100_000,
        "route: {receiver: a, mute_time_intervals: [n]}\nx: " + "y" * 1_100_000,
        "a: &a {routes: []}\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} {{routes: [{', '.join([f'*{chr(97 + n)}'] * 9)}]}}\n" for n in range(9))
        + "route: *j\nmute_time_intervals: []",
    ],
)  # fmt: skip
def test_one_that_cannot_be_gone_through_may_mute_anything(text: str) -> None:
    assert timed_receivers(text) is None


@pytest.mark.parametrize(
    "text", ["mute_time_intervals", "route: mute_time_intervals", "- mute_time_intervals"]
)
def test_one_without_routes_mutes_nothing(text: str) -> None:
    assert timed_receivers(text) == frozenset()
