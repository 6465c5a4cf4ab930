"""Rows of real databases: each value as it is there, or told what it is not; and what goes wrong, without a secret."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import psycopg2
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from metaplatform.compute.ingestion import REASON, conform
from metaplatform.errors import DataError, MetaplatformError
from metaplatform.resources.sources.readers import READERS
from metaplatform.resources.sources.source_reader import Place
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.entities.databases import DatabaseSource
from metaplatform.specs.entities.families import SourceSpec
from metaplatform_tests.resources import databases

SPECS: TypeAdapter[Any] = TypeAdapter(SourceSpec)
PASSWORD = "pl@nted 's/cret"  # noqa: S105
REPOSITORY = Path(__file__).parents[3]
MANY = 100_000
KINDS = """
CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE DOMAIN price AS numeric;
CREATE SCHEMA "Große Welt";
CREATE TABLE "Große Welt"."Maße 1" (
    id int, "Höhe cm" bigint, amount numeric(12, 2), free numeric, wide numeric(50, 10), priced price, ratio float8,
    tags text[], prices numeric(8, 2)[], at timestamptz, naive timestamp, day date, span interval, mood mood, doc jsonb,
    uid uuid, raw bytea, flag boolean, text text, clock time
);
INSERT INTO "Große Welt"."Maße 1" VALUES (
    1, 9223372036854775807, 1234567890.12, 0.1234567890123456789, 1234567890123456789012345678901234567890.5, 1.10, 0.1,
    '{a,NULL}', '{1.25}', '2024-03-01 10:00+02', '2024-03-01 10:00', '2024-03-01', '1 day 2 hours', 'fine',
    '{"a": 1.10}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff', true, 'x', '10:11:12'
);
CREATE VIEW heights AS SELECT id, "Höhe cm" FROM "Große Welt"."Maße 1";
CREATE TABLE odd (id int, amount numeric(12, 2), at timestamptz);
INSERT INTO odd VALUES (1, 1.5, '2024-03-01'), (2, 'NaN', '2024-03-02'), (3, NULL, 'infinity');
"""
MARIA = """
CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop; SET sql_mode = ''; SET time_zone = '+02:00';
CREATE USER reader@localhost IDENTIFIED BY '{password}';
GRANT SELECT ON shop.* TO reader@localhost;
CREATE TABLE `Maße 1` (id int, `Höhe cm` bigint unsigned, tiny tinyint(1), small tinyint unsigned,
    amount decimal(12, 2), wide decimal(65, 10), bit_1 bit(1), day date, at timestamp, naive datetime(6),
    clock time, mood enum('fine', 'bad'), doc json, uid uuid, raw varbinary(2), text text, year year);
INSERT INTO `Maße 1` VALUES (1, 18446744073709551615, 2, 255, 1.10,
    12345678901234567890123456789012345678901234567890.5, b'1', '2024-03-01', '2024-03-01 10:00:00',
    '2024-03-01 10:00:00.123456', '10:11:12', 'fine', '{{"a": 1.10}}',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', x'00ff', 'xé', 2024);
CREATE TABLE zeros (id int, day date, at datetime);
INSERT INTO zeros VALUES (1, '0000-00-00', '0000-00-00 00:00:00'), (2, '2024-00-00', '2024-03-01 10:00:00');
CREATE TABLE many AS SELECT seq AS n, md5(seq) AS t FROM seq_1_to_100000;
"""
FOUND = {
    "id": (pa.int32(), 1),
    "Höhe cm": (pa.int64(), 2**63 - 1),
    "amount": (pa.decimal128(12, 2), Decimal("1234567890.12")),
    "free": (pa.string(), "0.1234567890123456789"),
    "wide": (pa.string(), "1234567890123456789012345678901234567890.5000000000"),
    "priced": (pa.string(), "1.10"),
    "ratio": (pa.float64(), 0.1),
    "tags": (None, ["a", None]),
    "prices": (pa.string(), "{1.25}"),
    "at": (pa.timestamp("us", "UTC"), datetime(2024, 3, 1, 8, tzinfo=UTC)),
    "naive": (pa.timestamp("us"), datetime(2024, 3, 1, 10)),  # noqa: DTZ001  # as it is there
    "day": (pa.date32(), date(2024, 3, 1)),
    "span": (pa.string(), "1 day 02:00:00"),
    "mood": (pa.string(), "fine"),
    "doc": (pa.string(), '{"a": 1.10}'),
    "uid": (pa.string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "raw": (pa.binary(), b"\x00\xff"),
    "flag": (pa.bool_(), True),
    "text": (pa.string(), "x"),
}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield the URL of a server's owner, and that of a user who needs a password."""
    folder = tmp_path_factory.mktemp("server")
    with databases.postgresql(folder) as uri, pytest.MonkeyPatch.context() as patch:
        with closing(psycopg2.connect(uri)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(KINDS)
            cursor.execute("CREATE USER reader PASSWORD %s", (PASSWORD,))
            cursor.execute('GRANT USAGE ON SCHEMA "Große Welt" TO reader')
            cursor.execute('GRANT SELECT ON ALL TABLES IN SCHEMA public, "Große Welt" TO reader')
            cursor.execute("CREATE TABLE many AS SELECT i AS n, md5(i::text) AS t FROM generate_series(1, 100000) i")
            cursor.execute("SELECT setting FROM pg_settings WHERE name = 'hba_file'")
            hba = Path(cursor.fetchall()[0][0])
            hba.write_text("local all reader scram-sha-256\n" + hba.read_text())
            cursor.execute("SELECT pg_reload_conf()")
        host = uri.partition("host=")[2]
        with_password = f"postgresql://reader:{quote(PASSWORD, safe='')}@/postgres?host={host}"
        patch.setenv("SHOP_URL", uri)
        patch.setenv("READER_URL", with_password)
        yield uri, with_password


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with databases.mariadb(tmp_path_factory.mktemp("maria")) as socket, pytest.MonkeyPatch.context() as patch:
        databases.run_mariadb(
            socket,
            MARIA.format(password=PASSWORD.replace("'", "''")),
        )
        patch.setenv("MARIA_URL", f"mysql://reader:{quote(PASSWORD, safe='')}@/shop?host={quote(socket)}")
        yield socket


def spec_of(kind: str, **fields: Any) -> DatabaseSource:
    spec = SPECS.validate_python({"kind": kind, "name": "orders", **fields})
    assert isinstance(spec, DatabaseSource)
    return spec


def rows_of(folder: Path, spec: DatabaseSource) -> pa.Table:
    with Warehouse(root=str(folder / "root")).session() as session:
        return session.stream(READERS.of(spec.kind).read(session, spec, Place(str(folder))).rows).read_all()


def quarantined(folder: Path, spec: DatabaseSource) -> tuple[list[Any], dict[str, str]]:
    """Return the first column of the rows that fit, and the reasons of the others by theirs."""
    with Warehouse(root=str(folder / "root")).session() as session:
        conformed = conform(READERS.of(spec.kind).read(session, spec, Place(str(folder))).rows, spec)
        fit = session.stream(conformed.accepted).read_all().to_pylist()
        unfit = session.stream(conformed.quarantined).read_all().to_pylist()
    first = next(iter(spec.columns))
    return sorted(row[first] for row in fit), {row[first]: row[REASON] for row in unfit}


def test_what_postgresql_declares_is_kept_exactly(tmp_path: Path, postgres: object) -> None:
    rows = rows_of(tmp_path, spec_of("postgres", url_env="READER_URL", table='"Große Welt"."Maße 1"'))
    [row] = rows.to_pylist()
    for name, (kind, value) in FOUND.items():
        assert row[name] == value, name
        assert kind is None or rows.schema.field(name).type == kind, name
    assert row["_source_file"] == '"Große Welt"."Maße 1" of READER_URL'


def test_views_and_queries_of_the_databases_own_sql_are_read(tmp_path: Path, postgres: object) -> None:
    view = rows_of(tmp_path, spec_of("postgres", url_env="READER_URL", table="public.heights"))
    assert view["Höhe cm"].to_pylist() == [2**63 - 1]
    own = "SELECT DISTINCT ON (id % 2) id, amount::float8 AS amount FROM odd ORDER BY id % 2, id -- of each; one"
    found = rows_of(tmp_path, spec_of("postgres", url_env="READER_URL", query=own)).to_pylist()
    assert sorted(row["id"] for row in found) == [1, 2]


def test_a_number_that_is_none_fails_by_its_column_or_goes_to_quarantine(tmp_path: Path, postgres: object) -> None:
    """DuckDB's scanner would make it 0."""
    with pytest.raises(DataError, match=r"column 'amount' holds NaN, which no decimal\(12,2\) is"):
        rows_of(tmp_path, spec_of("postgres", url_env="SHOP_URL", table="odd"))
    declared = {"id": "bigint", "amount": "decimal(12, 2)", "at": "timestamptz"}
    spec = spec_of("postgres", url_env="SHOP_URL", table="odd", columns=declared, event_timestamp="at")
    fit, unfit = quarantined(tmp_path, spec)
    assert fit == [1]
    assert unfit == {
        "2": "amount: 'NaN' is not a valid decimal(12, 2)",
        "3": "event timestamp at is null or infinite",
    }


def test_arrays_of_other_dimensions_are_told_with_what_to_do(tmp_path: Path, postgres: object) -> None:
    query = "SELECT '{1}'::int[] AS a UNION ALL SELECT '{{1,2}}'"
    with pytest.raises(DataError, match="an array has other dimensions than its column declares: read it by `query`"):
        rows_of(tmp_path, spec_of("postgres", url_env="SHOP_URL", query=query))


def test_what_mariadb_declares_is_kept_exactly(tmp_path: Path, mariadb: str) -> None:
    rows = rows_of(tmp_path, spec_of("mysql", url_env="MARIA_URL", table="`Maße 1`"))
    [row] = rows.to_pylist()
    assert row["Höhe cm"] == Decimal(2**64 - 1)
    assert (row["tiny"], row["small"], row["bit_1"], row["year"]) == (2, 255, True, 2024)
    assert (row["amount"], row["wide"][:10]) == (Decimal("1.10"), "1234567890")
    assert row["at"] == datetime(2024, 3, 1, 8, tzinfo=UTC), "an instant, whatever zone the server is in"
    assert row["naive"] == datetime(2024, 3, 1, 10, 0, 0, 123456)  # noqa: DTZ001
    assert (row["day"], row["clock"], row["mood"]) == (date(2024, 3, 1), "10:11:12", "fine")
    assert (row["doc"], row["uid"]) == ('{"a": 1.10}', "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
    assert (row["raw"], row["text"]) == (b"\x00\xff", "xé")


def test_dates_that_are_none_are_null(tmp_path: Path, mariadb: str) -> None:
    rows = rows_of(tmp_path, spec_of("mysql", url_env="MARIA_URL", table="shop.zeros"))
    assert rows["day"].to_pylist() == [None, None]
    assert rows["at"].to_pylist() == [None, datetime(2024, 3, 1, 10)]  # noqa: DTZ001


def test_a_value_of_another_type_than_its_column_in_sqlite_goes_to_quarantine(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute('CREATE TABLE "Maße 1" (id integer, amount decimal(8, 2), ratio real, at text, raw blob)')
        rows = [(1, 1.1, 0.1, "2024-03-01", b"\x00\xff"), (2, "much", 0.1 + 0.2, "2024-03-02T10:00:00Z", None)]
        connection.executemany('INSERT INTO "Maße 1" VALUES (?, ?, ?, ?, ?)', rows)
        connection.commit()
    plain = {"path": "shop.db", "table": '"Maße 1"'}
    assert rows_of(tmp_path, spec_of("sqlite", **plain))["ratio"].to_pylist() == [0.1, 0.1 + 0.2]
    declared = {"id": "bigint", "amount": "decimal(8, 2)", "ratio": "double", "at": "timestamptz", "raw": "varchar"}
    fit, unfit = quarantined(tmp_path, spec_of("sqlite", **plain, columns=declared))
    assert fit == [1]
    assert unfit == {"2": "amount: 'much' is not a valid decimal(8, 2)"}


def test_a_duckdb_file_is_read_and_nothing_else_through_it(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute('CREATE SCHEMA s; CREATE TABLE s."Maße 1" AS SELECT 1 AS a, INTERVAL 3 DAY AS span')
        connection.execute(f"CREATE VIEW leak AS FROM read_csv('{tmp_path / 'secret.csv'}')")
    found = rows_of(tmp_path, spec_of("duckdb", path="shop.duckdb", table='s."Maße 1"')).to_pylist()
    assert (found[0]["a"], found[0]["span"]) == (1, "3 days")
    for rows in ({"table": "leak"}, {"query": f"FROM read_csv('{tmp_path / 'secret.csv'}')"}):
        with pytest.raises(DataError, match="disabled by configuration"):
            rows_of(tmp_path, spec_of("duckdb", path="shop.duckdb", **rows))


@pytest.mark.parametrize(
    ("kind", "variable", "server"), [("postgres", "READER_URL", "postgres"), ("mysql", "MARIA_URL", "mariadb")]
)
def test_many_rows_come_once_each(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, variable: str, server: str
) -> None:
    request.getfixturevalue(server)
    if kind == "postgres":
        with closing(psycopg2.connect(os.environ["SHOP_URL"])) as connection, connection.cursor() as cursor:
            cursor.execute("GRANT SELECT ON many TO reader")
            connection.commit()
    rows = rows_of(tmp_path, spec_of(kind, url_env=variable, table="many"))
    assert sorted(rows["n"].to_pylist()) == list(range(1, MANY + 1))


def test_the_state_is_the_watermark_or_else_that_nobody_can_tell(tmp_path: Path, postgres: tuple[str, str]) -> None:
    with closing(psycopg2.connect(postgres[0])) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute('CREATE TABLE marked AS SELECT 1 AS id, now() AS "Updated At"')
        spec = spec_of("postgres", url_env="SHOP_URL", table="marked", watermark="Updated At")
        reader, place = READERS.of("postgres"), Place(str(tmp_path))
        first = reader.state(spec, place)
        assert first == reader.state(spec, place)
        cursor.execute("INSERT INTO marked SELECT 2, \"Updated At\" - interval '1 day' FROM marked")
        assert reader.state(spec, place).token != first.token, "late rows are counted"
    unmarked = reader.state(spec.model_copy(update={"watermark": None}), place)
    assert (unmarked.token, unmarked.at_once) == (None, True)


WRONG = {
    "unreachable": ("postgres", f"postgresql://reader:{quote(PASSWORD, safe='')}@127.0.0.1:1/postgres", "refused"),
    "no host": ("postgres", f"postgresql://reader:{quote(PASSWORD, safe='')}@nowhere.invalid/d", "could not translate"),
    "unescaped": ("postgres", f"postgresql://reader:{PASSWORD}@127.0.0.1/postgres", "holds no URL of kind postgres"),
    "other kind": ("postgres", f"mysql://reader:{PASSWORD}@h/d", "holds no URL of kind postgres"),
    "maria": (
        "mysql",
        f"mysql://reader:{quote(PASSWORD, safe='')}@127.0.0.1:1/shop",
        "no connection: Connection refused",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_server_that_cannot_be_reached_is_told_without_its_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    kind, url, told = WRONG[case]
    monkeypatch.setenv("BAD_URL", url)
    refused = fault_of(tmp_path, spec_of(kind, url_env="BAD_URL", table="orders"))
    assert told in str(refused)
    assert_hides(refused)


def test_a_wrong_password_and_a_table_that_is_gone_are_told_without_any(
    tmp_path: Path, postgres: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = fault_of(tmp_path, spec_of("postgres", url_env="READER_URL", table="gone"))
    assert 'gone of READER_URL: relation "gone" does not exist' in str(gone)
    monkeypatch.setenv("BAD_URL", postgres[1].replace("reader:", "reader:x"))
    wrong = fault_of(tmp_path, spec_of("postgres", url_env="BAD_URL", table="odd"))
    assert "password authentication failed" in str(wrong)
    # What a server quotes: a value of the query's that happens to be the password.
    said = fault_of(tmp_path, spec_of("postgres", url_env="READER_URL", query=f"SELECT $${PASSWORD}$$::int AS a"))
    assert "invalid input syntax" in str(said)
    for refused in (gone, wrong, said):
        assert_hides(refused)


def test_a_url_may_stand_in_a_file_as_containers_mount_them(
    tmp_path: Path, postgres: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_text(postgres[1] + "\n")
    monkeypatch.setenv("MOUNTED_FILE", str(tmp_path / "url"))
    spec = spec_of(
        "postgres", url_env="MOUNTED", table="odd", columns={"id": "int", "amount": "double", "at": "timestamptz"}
    )
    assert rows_of(tmp_path, spec).num_rows == 3
    monkeypatch.setenv("MOUNTED_FILE", str(tmp_path / "none"))
    assert "MOUNTED_FILE names cannot be read: No such file" in str(fault_of(tmp_path, spec))


@pytest.mark.parametrize(
    ("kind", "variable", "server", "sleep"),
    [
        ("postgres", "SHOP_URL", "postgres", "SELECT pg_sleep(20)::text AS a"),
        ("mysql", "MARIA_URL", "mariadb", "SELECT sleep(20) AS a"),
    ],
)
def test_a_server_that_answers_too_slowly_is_given_up(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, variable: str, server: str, sleep: str
) -> None:
    request.getfixturevalue(server)
    refused = fault_of(tmp_path, spec_of(kind, url_env=variable, query=sleep, timeout="1 second"))
    assert "1 second" in str(refused) or "statement timeout" in str(refused)


def test_rows_that_nobody_asks_for_any_more_leave_no_thread_and_no_transaction(
    tmp_path: Path, postgres: tuple[str, str]
) -> None:
    spec, before = spec_of("postgres", url_env="SHOP_URL", table="many"), set(threading.enumerate())
    with Warehouse(root=str(tmp_path)).session() as session:
        READERS.of("postgres").sample(session.backend.con, spec, Place(str(tmp_path)), tmp_path)
    connected = "SELECT pid FROM pg_stat_activity WHERE application_name = 'metaplatform'"
    with closing(psycopg2.connect(postgres[0])) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        # A server notices a moment later.
        for _ in range(100):
            cursor.execute(connected)
            if not cursor.fetchall():
                break
            time.sleep(0.1)
        else:
            pytest.fail("a connection is left open")
    assert not [thread for thread in {*threading.enumerate()} - before if thread.name == "metaplatform-source"]


def test_ctrl_c_ends_a_process_that_waits_for_a_server(tmp_path: Path, postgres: object) -> None:
    code = (
        "import os, signal, threading\n"
        "from metaplatform_tests.resources.sources.test_database_rows import *\n"
        "threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        f"rows_of(Path({str(tmp_path)!r}), spec_of('postgres', url_env='SHOP_URL', query='SELECT pg_sleep(500)::text'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, timeout=200, check=False)
    assert done.returncode != 0
    assert b"KeyboardInterrupt" in done.stderr


def test_writing_is_refused_by_the_book_and_by_the_server(tmp_path: Path, postgres: tuple[str, str]) -> None:
    deleting = spec_of(
        "postgres", url_env="SHOP_URL", query="WITH d AS (DELETE FROM odd RETURNING id) SELECT id FROM d"
    )
    assert [fault.message for fault in deleting.faults()] == ["a source only reads"]
    with closing(psycopg2.connect(postgres[0])) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE FUNCTION sneak() RETURNS int LANGUAGE sql AS $$ DELETE FROM odd RETURNING id $$")
        connection.commit()
    refused = fault_of(tmp_path, spec_of("postgres", url_env="SHOP_URL", query="SELECT sneak() AS a"))
    assert "read-only transaction" in str(refused)


def fault_of(folder: Path, spec: DatabaseSource) -> MetaplatformError:
    with pytest.raises(MetaplatformError) as refused:
        rows_of(folder, spec)
    return refused.value


def assert_hides(error: BaseException) -> None:
    """See that neither the error nor any that it is from, which logs keep as well, holds the password."""
    known: BaseException | None = error
    while known is not None:
        for form in (PASSWORD, quote(PASSWORD, safe=""), PASSWORD.replace("'", "''"), "s/cret", "s%2Fcret"):
            assert form not in str(known)
        known = known.__cause__ or known.__context__
