"""SQL of the rule files' own: bound values, bounded answers, and no way to write."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_fixtures import Connect, See
from postgres_servers import Cluster

from responder.catalogue import catalogue
from responder.incident.finding import FindingStatus
from responder.parameters import FromLabel
from responder.rules.load import Surroundings, load
from responder.triage.postgres import PostgresSettings
from responder.triage.postgres_queries.base import Query
from responder.triage.postgres_queries.bounds import Bounds
from responder.triage.postgres_queries.sql_text import masked, placeholders

OK, WARNING, CRITICAL = FindingStatus.OK, FindingStatus.WARNING, FindingStatus.CRITICAL
NUMBERS = "SELECT * FROM (VALUES ('mail', 12, interval '10 min', true), ('sms', 3, '1 min', false)) q (name, waiting, oldest, on_)"


async def test_the_worst_row_is_the_finding_and_fills_the_headline(cluster: Cluster, see: See) -> None:
    shown = await see(
        cluster.url(), sql=NUMBERS, value="waiting", warning=5, critical=Bounds(above=100),
        headline="queue {name} has {waiting} jobs, the oldest for {oldest}",
    )  # fmt: skip
    assert shown.status is WARNING
    assert shown.headline == "queue mail has 12 jobs, the oldest for 00:10:00 (warning above 5)"
    assert shown.detail.splitlines() == [
        "name: mail, waiting: 12, oldest: 00:10:00, on_: true",
        "name: sms, waiting: 3, oldest: 00:01:00, on_: false",
    ]
    plain = await see(cluster.url(), sql=NUMBERS, value="waiting", critical=Bounds(below=5))
    assert (plain.status, plain.headline) == (CRITICAL, "waiting is 3 (2 rows) (critical below 5)")
    late = await see(cluster.url(), sql=NUMBERS, value="oldest", critical=timedelta(minutes=5))
    assert (late.status, late.headline) == (CRITICAL, "oldest is 00:10:00 (2 rows) (critical above 5m)")
    truth = await see(cluster.url(), sql=NUMBERS, value="on_", critical=Bounds(above=0.5))
    assert truth.status is CRITICAL


async def test_without_a_value_the_number_of_rows_counts(newest: Cluster, see: See) -> None:
    many = "SELECT g FROM generate_series(1, 20) g"
    assert (await see(newest.url(), sql=many)).headline == "over 10 rows"
    fine = await see(newest.url(), sql=many, warning=20)
    assert (fine.status, fine.headline) == (OK, "20 rows")
    assert (await see(newest.url(), sql=many, warning=19)).headline == "20 rows (warning above 19)"
    none = await see(newest.url(), sql=many + " WHERE g > 99", critical=Bounds(below=1))
    assert (none.status, none.headline) == (CRITICAL, "no rows (critical below 1)")
    missing = await see(newest.url(), sql=many + " WHERE g > 99", value="g", warning=1)
    assert (missing.status, missing.headline) == (FindingStatus.NO_DATA, "no rows")
    null = await see(newest.url(), sql="SELECT NULL::int AS n", value="n", warning=1)
    assert (null.status, null.headline) == (FindingStatus.NO_DATA, "n is NULL (1 row)")


HOSTILE = [
    "x'; DROP TABLE kept; --", "$1", "' OR '1'='1", '"; SELECT 1; --', "\\'; --", "{name}", "%s %(x)s", "\u2019 \u202e",
    "E'\\'", "$$; DROP TABLE kept; $$",
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_label_is_bound_as_a_value_however_hostile(
    newest: Cluster, see: See, connect: Connect, hostile: str
) -> None:
    admin = await connect(newest.url())
    await admin.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 'x' AS name")
    finding = await see(
        newest.url(), {"app": hostile}, sql="SELECT $1::text AS same, count(*) AS n FROM kept WHERE name = $1",
        parameters=(FromLabel(label="app", default="x"),), headline="{n} named {same}",
    )  # fmt: skip
    assert finding.status is OK
    assert finding.headline.startswith("0 named ")
    assert await admin.fetchval("SELECT count(*) FROM kept") == 1
    default = await see(
        newest.url(), sql="SELECT count(*) AS n FROM kept WHERE name = $1 -- a comment",
        parameters=(FromLabel(label="app", default="x"),), headline="{n}",
    )  # fmt: skip
    assert default.headline == "1"


async def test_a_label_that_does_not_fit_is_refused_and_named(newest: Cluster, see: See) -> None:
    from_app = (FromLabel(label="app"),)
    nul = await see(newest.url(), {"app": "a\x00b"}, sql="SELECT $1::text", parameters=from_app)
    assert nul.status is FindingStatus.ERROR
    assert nul.headline.startswith("parameters[0]: a text of at most 1,000 characters without NUL")
    long = await see(newest.url(), {"app": "a" * 1_001}, sql="SELECT $1::text", parameters=from_app)
    assert long.headline.startswith("parameters[0]: a text of at most 1,000 characters")
    missing = await see(newest.url(), sql="SELECT $1::text", parameters=from_app)
    assert missing.headline == "parameters[0]: the incident has no label app, and no default is given"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [("int", "12", "1; DROP"), ("numeric", "1.5", "1E99999999"), ("float8", "2.5", "nan"), ("bool", "true", "maybe"),
     ("interval", "5m", "soon"), ("timestamptz", "2026-11-25T00:00:00+00:00", "yesterday"), ("uuid",
      "6f1e1a5e-0000-4000-8000-000000000000", "' OR 1=1"), ("bigint", "9223372036854775807", "9" * 19)],
)  # fmt: skip
async def test_a_label_becomes_what_its_place_is(
    newest: Cluster, see: See, kind: str, good: str, bad: str
) -> None:
    from_app = (FromLabel(label="app"),)
    fits = await see(newest.url(), {"app": good}, sql=f"SELECT $1::{kind} AS v", parameters=from_app)
    assert fits.status is OK, fits.headline
    refused = await see(newest.url(), {"app": bad}, sql=f"SELECT $1::{kind} AS v", parameters=from_app)
    assert refused.status is FindingStatus.ERROR
    assert "parameters[0]" in refused.headline


WRITES = [
    "INSERT INTO kept VALUES ('y') RETURNING name",
    "WITH gone AS (DELETE FROM kept RETURNING name) SELECT * FROM gone",
    "SELECT nextval('numbers')",
    "SELECT * FROM kept FOR UPDATE",
    "SELECT wipe()",
]


@pytest.mark.parametrize("sql", WRITES)
async def test_a_write_is_refused_by_the_server_and_told_as_such(
    cluster: Cluster, see: See, connect: Connect, sql: str
) -> None:
    admin = await connect(cluster.url())
    await admin.execute(
        "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 'x' AS name; CREATE SEQUENCE IF NOT EXISTS numbers;"
        "CREATE OR REPLACE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM kept; RETURN 1; END'"
    )
    finding = await see(cluster.url(), sql=sql)
    assert finding.status is FindingStatus.ERROR
    assert "refused, since it would write in a read-only transaction" in finding.headline
    assert await admin.fetchval("SELECT count(*) FROM kept") == 1


@pytest.mark.parametrize(
    "sql",
    ["DROP TABLE kept", "INSERT INTO kept VALUES ('y')", "COMMIT", "SET default_transaction_read_only = off", "DO $$BEGIN END$$",
     "COPY kept TO STDOUT", "VACUUM kept", "LISTEN x"],
)  # fmt: skip
async def test_what_answers_with_no_rows_is_not_even_asked(
    newest: Cluster, see: See, connect: Connect, sql: str
) -> None:
    admin = await connect(newest.url())
    await admin.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 'x' AS name")
    finding = await see(newest.url(), sql=sql)
    assert finding.status is FindingStatus.ERROR
    assert "a SELECT of at most 50 columns is asked, and nothing that writes" in finding.headline
    assert await admin.fetchval("SELECT count(*) FROM kept") == 1


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1) AS q; COMMIT; DROP TABLE kept; SELECT (1"])
async def test_exactly_one_statement_is_taken(cluster: Cluster, see: See, sql: str) -> None:
    finding = await see(cluster.url(), sql=sql)
    assert finding.status is FindingStatus.ERROR
    assert "multiple commands" in finding.headline or "syntax error" in finding.headline


@pytest.mark.parametrize("sql", ["SELECT 1 AS a;", "SELECT 1 AS a -- end", "TABLE one", "VALUES (1)", "SHOW max_connections",
                                 "WITH x AS (SELECT 1) SELECT * FROM x", "SELECT 1 AS a, 2 AS a", "EXPLAIN SELECT 1"])  # fmt: skip
async def test_every_form_of_a_question_is_taken(
    newest: Cluster, see: See, connect: Connect, sql: str
) -> None:
    admin = await connect(newest.url())
    await admin.execute("CREATE TABLE IF NOT EXISTS one AS SELECT 1 AS a")
    finding = await see(newest.url(), sql=sql)
    assert (finding.status, finding.headline) == (OK, "1 row"), finding.headline


async def test_a_huge_answer_is_cut_on_the_server(cluster: Cluster, see: See) -> None:
    tracemalloc.start()
    rows = await see(
        cluster.url(), sql="SELECT g, repeat('x', 500) AS t FROM generate_series(1, 1000000) g", warning=5
    )
    wide = await see(cluster.url(), sql="SELECT repeat('y', 50000000) AS t")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.headline == "over 500 rows (warning above 5)"
    assert wide.detail.startswith("t: yyy")
    assert len(rows.detail) <= 2_000
    assert peak < 20e6
    many = ", ".join(f"{n} AS c{n}" for n in range(60))
    assert "answers with 60 columns" in (await see(cluster.url(), sql=f"SELECT {many}")).headline


async def test_secrets_and_control_characters_in_an_answer_are_blanked(newest: Cluster, see: See) -> None:
    finding = await see(
        newest.url(),
        secrets=("s3cret-value",),
        sql="SELECT E'a\\x1b[31mb\\ns3cret-value' AS t",
        headline="{t}",
    )
    assert finding.headline == "a [31mb <redacted>"
    assert "s3cret" not in finding.detail


async def test_a_column_that_is_not_there_and_a_value_that_is_no_number_are_said(
    newest: Cluster, see: See
) -> None:
    gone = await see(newest.url(), sql="SELECT 1 AS a, 2 AS b", headline="{c}")
    assert gone.headline == "the sql has no column 'c' (it has a, b)"
    assert "no column 'c'" in (await see(newest.url(), sql="SELECT 1 AS a", value="c", warning=1)).headline
    text = await see(newest.url(), sql="SELECT 'x' AS a", value="a", warning=1)
    assert text.headline == "the value is of type text: only numbers, intervals and truth values are compared"
    assert "does not exist" in (await see(newest.url(), sql="SELECT nothing FROM nowhere")).headline


@pytest.mark.parametrize("sql", ["SELECT mail::int FROM people", "SELECT shout(mail) FROM people"])
async def test_an_error_that_quotes_a_row_is_told_without_its_words(
    newest: Cluster, see: See, connect: Connect, sql: str
) -> None:
    admin = await connect(newest.url())
    await admin.execute(
        "DROP TABLE IF EXISTS people; CREATE TABLE people AS SELECT 'ada@example.com' AS mail;"
        "CREATE OR REPLACE FUNCTION shout(t text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''%'', t; END'"
    )
    finding = await see(newest.url(), sql=sql)
    assert finding.status is FindingStatus.ERROR
    assert finding.headline.startswith("main: the server could not compute it (")
    assert "ada" not in finding.headline + finding.detail


async def test_a_table_that_may_not_be_read_is_denied_by_name(
    newest: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(newest.url())
    await admin.execute("DROP TABLE IF EXISTS hidden; CREATE TABLE hidden (a int); CREATE ROLE blind LOGIN")
    finding = await see(newest.url("blind"), sql="SELECT a FROM hidden")
    await admin.execute("DROP ROLE blind")
    assert finding.status is FindingStatus.DENIED
    assert finding.headline == "main: not allowed: permission denied for table hidden"


def problems(tmp_path: Path, probe: str) -> list[str]:
    (tmp_path / "r.yaml").write_text(f"""
escalation: {{platform: {{primary: a}}}}
probes:
  p: {probe}
""")
    found = load([str(tmp_path)], Surroundings(catalogue=catalogue()))
    return [one.text for one in found.problems]


@pytest.mark.parametrize(
    ("probe", "problem"),
    [
        ("{type: postgres, target: main, query: version}", None),
        ("{type: postgres, target: main, query: active, slow_after: 2m, critical: 1h}", None),
        ("{type: postgres, target: main, query: size, warning: 500}", None),
        ("{type: postgres, target: main, sql: 'SELECT $1, $2', parameters: [a, {label: b, default: x}]}", None),
        ("{type: postgres, target: main, sql: 'SELECT 1 AS n', value: n, warning: {above: 1}, critical: {below: 5m}}", None),
        ("{type: postgres, target: main}", "probes.p: give either query (one that has a name) or sql"),
        ("{type: postgres, target: main, query: version, sql: SELECT 1}", "probes.p: give either query (one that has a name) or sql"),
        ("{type: postgres, target: main, sql: 'SELECT $1'}", "probes.p: sql uses $1, and parameters has 0: $1 is the first of them"),
        ("{type: postgres, target: main, sql: 'SELECT $2', parameters: [a]}", "probes.p: sql uses $2, and parameters has 1: $1 is the first of them"),
        ("{type: postgres, target: main, sql: \"SELECT '$1'\", parameters: [a]}", "probes.p: sql uses no $n, and parameters has 1: $1 is the first of them"),
        ("{type: postgres, target: main, sql: ''}", "probes.p: sql: expected a SELECT, got an empty text"),
        ("{type: postgres, target: main, query: version, value: n}", "probes.p: value goes with sql, not with query"),
        ("{type: postgres, target: main, query: connections, warning: 5m}", "probes.p: warning: query connections expects a share from 0 to 1, such as 0.8"),
        ("{type: postgres, target: main, query: connections, warning: 80}", "probes.p: warning: query connections expects a share from 0 to 1, such as 0.8"),
        ("{type: postgres, target: main, query: blocking, critical: 5}", "probes.p: critical: query blocking expects a duration such as 5m"),
        ("{type: postgres, target: main, query: blocking, critical: {above: 5m}}", "probes.p: critical: query blocking expects a duration such as 5m"),
        ("{type: postgres, target: main, query: version, warning: 1}", "probes.p: warning: query version takes no limits"),
        ("{type: postgres, target: main, query: conections}", "probes.p.query: expected one of connections, active"),
        ("{type: postgres, target: main, sql: SELECT 1, warning: {}}", "probes.p.warning: give above, below, or both"),
        ("{type: postgres, target: main, sql: SELECT 1, warning: .inf}", "probes.p.warning: expected a duration such as"),
        ("{type: postgres, target: main, sql: SELECT 1, warning: nan}", "probes.p: warning: a bound is a finite number"),
        ("{type: postgres, target: main, sql: SELECT 1, limit: 0}", "probes.p: limit: expected 1 to 100 rows, got 0"),
        ("{type: pgbouncer, target: pooler, show: databases, warning: 5s}", "probes.p: show databases takes no limits"),
        ("{type: pgbouncer, target: pooler, show: pool}", 'probes.p.show: expected one of pools, stats, databases, clients, got \'pool\' (did you mean "pools"?)'),
    ],
)  # fmt: skip
def test_check_tells_what_is_wrong_with_a_probe(tmp_path: Path, probe: str, problem: str | None) -> None:
    found = problems(tmp_path, probe)
    assert len(found) == (problem is not None), found
    assert problem is None or found[0].startswith(problem), found


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT * FROM u WHERE mail = 'ada''s' AND n = 42", "SELECT * FROM u WHERE mail = ? AND n = ?"),
        ("SELECT 'secret cut in the mid", "SELECT ?"),
        (r"SELECT E'it\'s secret', 1", "SELECT ?, ?"),
        (r"SELECT 'C:\', 'secret'", "SELECT ?"),
        ("SELECT $tag$ it's $x$ secret $tag$, t1.c2, $1", "SELECT ?, t1.c2, $1"),
        ("SELECT $$secret cut", "SELECT ?"),
        ("/* by ada */ SELECT 1 -- secret\nFROM t", "SELECT ? FROM t"),
        ('SELECT "a 1" FROM b2 WHERE x = 0x1F OR y = 1e5 OR z = .5', 'SELECT "a 1" FROM b2 WHERE x = ? OR y = ? OR z = ?'),
        ("ALTER ROLE x PASSWORD 'hunter2'", "ALTER ROLE x PASSWORD ?"),
        (None, ""),
    ],
)  # fmt: skip
def test_literals_and_comments_are_masked(query: str | None, shown: str) -> None:
    assert masked(query) == shown


@given(st.text(alphabet="'\"$\\eE/*-\n a1;", max_size=60))
def test_any_text_is_masked_in_one_pass(query: str) -> None:
    assert "'" not in masked(query) or '"' in query  # a quote may stand in a name only
    placeholders(query)


def test_masking_is_linear() -> None:
    for text in ("'" * 100_001, "/*" * 50_000, "$a" * 50_000, "E'\\" * 30_000, '"' * 100_001):
        masked(text)


def test_parameters_are_found_outside_of_literals_names_and_comments() -> None:
    assert placeholders("SELECT $1, '$2', \"$3\", $x$ $4 $x$, a$5 -- $6\n, $12 /* $7 */") == {1, 12}


def test_settings_that_python_makes_are_held_to_the_same() -> None:
    with pytest.raises(ValueError, match="give either"):
        PostgresSettings(target="main")
    made: Any = PostgresSettings(target="main", query=Query.CONNECTIONS, warning=0.5)
    assert made.warning == 0.5
