"""Addresses in ``responder.yaml``: what cannot be read is a problem with its place, and never shows what was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_config import problems

from responder.addresses import base_objection, http_objection, parts_of

WEB = "expected http://host or https://host"
UNREADABLE = "it cannot be read as an address"


@pytest.mark.parametrize(
    ("section", "key", "place"),
    [
        ("targets: {{postgres: {{main: {{url: '{}'}}}}}}", "targets.postgres.main.url", "1:34"),
        ("targets: {{http: {{api: {{url: '{}'}}}}}}", "targets.http.api.url", "1:29"),
        ("targets: {{prometheus: {{p: {{url: '{}'}}}}}}", "targets.prometheus.p.url", "1:33"),
        ("redis: {{url: '{}'}}", "redis.url", "1:14"),
        ("heartbeat_out: {{url: '{}'}}", "heartbeat_out.url", "1:22"),
        ("alertmanager: {{urls: ['http://am', '{}']}}", "alertmanager.urls[1]", "1:36"),
        ("external_url: '{}'", "external_url", "1:15"),
        ("channels: {{hook: {{type: webhook, url: '{}'}}}}", "channels.hook: url", "1:18"),
    ],
)
@pytest.mark.parametrize(
    "rest", ["u:hunter2[ss@h/db", "[::1", "[am]:9093", "u:hunter2℀pw@h", "h:99999", "u:hunter2/a@h"]
)
def test_an_address_that_cannot_be_read_is_a_problem_with_its_place_that_shows_no_password(
    tmp_path: Path, section: str, key: str, place: str, rest: str
) -> None:
    scheme = {"targets.postgres.main.url": "postgresql", "redis.url": "redis"}.get(key, "http")
    (said,) = problems(tmp_path, section.format(f"{scheme}://{rest}"))
    assert said.startswith(f"responder.yaml:{place}: error: {key}: expected {scheme}://")
    assert UNREADABLE in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080",
        "https://ana:pa%5Bss@h.example.com./a/b",
        "http://[::1]:9093/",
        "http://[fe80::1%25eth0]/",
        "http://alertmanager_main.svc:9093",
        "https://münchen.example/",
        "HTTPS://10.0.0.1",
    ],
)
def test_what_can_be_fetched_is_taken(url: str) -> None:
    assert http_objection(url) == base_objection(url) == ""


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", WEB),
        ("nowhere", WEB),
        ("http://", WEB),
        ("ftp://h", WEB),
        ("http://h/a b", UNREADABLE),
        ("http://h/\r\nX: y", UNREADABLE),
        (" http://h", UNREADABLE),
        ("http://h\\x", UNREADABLE),
        ("http://h:0", UNREADABLE),
        ("http://h:ninety", UNREADABLE),
        ("http://a..b", "the host is no name"),
        ("http://a%20b", "the host is no name"),
        ("http://a,b", "the host is no name"),
    ],
)
def test_what_cannot_be_fetched_is_told(url: str, says: str) -> None:
    assert http_objection(url).startswith(WEB)
    assert says in http_objection(url)


def test_a_query_is_well_at_the_end_of_an_address_and_not_where_paths_are_put_behind_it() -> None:
    assert http_objection("https://hc-ping.com/uuid?rid=1#x") == ""
    assert "without ? and #" in base_objection("https://h/?a=1")
    assert "without ? and #" in base_objection("https://h/#a")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@one:5432,two:5432/db?target_session_attrs=read-write",
        "postgresql:///db?host=/var/run/postgresql",
        "redis+sentinel://u:p@a:26379,b:26379/mymaster?db=1",
        "redis+cluster://a:6379,[::1]:6379",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_addresses_of_several_hosts_and_of_sockets_can_be_read(url: str) -> None:
    assert parts_of(url) is not None
