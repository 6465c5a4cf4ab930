"""The manifest: hashes of meaning, columns of tables, and partitions that flow down."""

from pathlib import Path

import pytest

from metaplatform.specs.book.columns import columns_of
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book
from metaplatform.sql.columns import Column
from metaplatform.sql.expressions import parse_query
from metaplatform.sql.query_columns import query_columns

METADATA = Path(__file__).parents[3] / "metadata"
TEXTS = {path.name: path.read_text() for path in METADATA.glob("*.yaml")}
COLUMNS = {"raw.a": ("x", "y", "k"), "raw.b": ("k", "z", "s")}


def book(tmp_path: Path, *changes: tuple[str, str]) -> Manifest:
    """Load the default book with pieces of its text replaced, each of which must be there."""
    folder = tmp_path / "metadata"
    folder.mkdir(exist_ok=True)
    texts = dict(TEXTS)
    for old, new in changes:
        assert any(old in text for text in texts.values())
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return load_book(folder)


def hashes(manifest: Manifest) -> dict[str, str]:
    return {ref: manifest.spec_hash(ref) for ref in manifest.entities}


@pytest.mark.parametrize(
    "change",
    [
        ("arr_delay > 30", "arr_delay>30   # thirty"),
        ("avg(arr_delay)", "AVG( arr_delay ) /* mean */"),
        ("year: integer\n      month: integer", "month: int\n      year: INT4"),
        ("temperature: temp\n          dew_point: dewp", "dew_point: dewp\n          temperature: temp"),
        ("[dep_time, dep_delay, arr_time", "[arr_time, dep_delay, dep_time"),
        ("window: 7 days", "window: 1 week"),
        ("description: Will", "description: Shall"),
        ("[team:data-science]", "[team:other, someone@example.com]"),
        ("      limit 500", "      -- the most\n      limit\n        500"),
        ("kind: parquet\n    description", "kind: parquet\n    after: []\n    description"),
    ],
)
def test_what_means_the_same_has_the_same_hash(tmp_path: Path, change: tuple[str, str]):
    assert hashes(book(tmp_path, change)) == hashes(load_book(METADATA))


@pytest.mark.parametrize(
    ("change", "ref"),
    [
        (("arr_delay > 30", "arr_delay > 31"), "models.late_arrival"),
        (("within: 6 hours", "within: 7 hours"), "features.flight_features"),
        (("avg((dep_time is null)::integer)", "max((dep_time is null)::integer)"), "features.flight_features"),
        (("limit 500", "limit 501"), "outputs.operations_report"),
        (("when: probability > 0.6", "when: probability > 0.7"), "reactions.late_flights_alert"),
        (("key: [origin, time_hour]", "key: [time_hour, origin]"), "raw.weather"),
        (("alt: integer", "alt: bigint"), "raw.airports"),
    ],
)
def test_what_means_something_else_has_another_hash_and_nothing_else_has(
    tmp_path: Path, change: tuple[str, str], ref: str
):
    before, after = hashes(load_book(METADATA)), hashes(book(tmp_path, change))
    assert {name for name in before if before[name] != after[name]} == {ref}


def test_columns_follow_from_the_book():
    manifest = load_book(METADATA)
    identity = ("carrier", "flight", "origin", "scheduled_at")
    assert columns_of(manifest, "raw.airlines") == ("carrier", "name")
    assert columns_of(manifest, "features.flight_features")[:5] == (*identity, "carrier_code")  # type: ignore[index]
    assert columns_of(manifest, "predictions.late_flights") == (
        *identity, "dest", "tailnum", "probability", "model_name", "model_version", "run_id", "scored_at",
    )  # fmt: skip
    assert columns_of(manifest, "outputs.operations_report") == (
        "scheduled_at", "carrier", "flight", "origin", "dest", "probability", "visibility", "wind_speed",
    )  # fmt: skip
    for unknown in ("models.late_arrival", "outputs.late_flights_file", "raw.nothing", "nonsense"):
        assert columns_of(manifest, unknown) is None


def test_partitions_flow_down_from_the_source():
    manifest = load_book(METADATA)
    monthly = manifest.sources["flights"].partitions
    assert monthly is not None
    partitioned = {ref for ref in manifest.entities if manifest.partitions(ref) == monthly}
    assert partitioned == {
        "raw.flights", "features.flight_features", "predictions.late_flights", "outputs.late_flights_file",
        "outputs.operations_report", "monitoring.late_flights_drift", "monitoring.late_flights_performance",
        "reactions.late_flights_alert",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "output", "faults"),
    [
        ("from raw.a", ("x", "y", "k"), []),
        ("select a.x, z from raw.a as a left join raw.b as a on x = z", ("x", "z"), []),
        ("select * from raw.a join raw.b using (k)", ("x", "y", "k", "z", "s"), []),
        ("select a.*, b.z as zz from raw.a a join raw.b b on a.k = b.k", ("x", "y", "k", "zz"), []),
        ("select k from raw.a join raw.b on raw.a.k = b.k", ("k",), ["k"]),
        ("select raw.a.x, raw.a.w from raw.a", ("x", "w"), ["a.w"]),
        ("select q, x from raw.a, raw.unknown", ("q", "x"), []),
        ("with c as (select x as xx from raw.a) select xx, x from c", ("xx", "x"), ["x"]),
        ("with c(one, two) as (select x, y from raw.a) select one, x from c", ("one", "x"), ["x"]),
        ("select x from raw.a where exists (select 1 from raw.b where b.k = a.k and a.no)", ("x",), ["a.no"]),
        ("select x from raw.a as d where exists (select 1 from raw.b as d where d.z = d.x)", ("x",), []),
        ("select x from raw.a as d where exists (select 1 from raw.b as d where d.no)", ("x",), ["d.no"]),
        ("select b.s.f as f, x as n, n * 2 as m from raw.a join raw.b using (k) order by all", ("f", "n", "m"), []),
        ("select * exclude (y, no) from raw.a", ("x", "k"), ["no"]),
        ("select * rename (y as z) from raw.a", ("x", "z", "k"), []),
        ("select x, rank() over (partition by k order by no) as r from raw.a qualify r = 1", ("x", "r"), ["no"]),
        ("select sum(x) over w as r from raw.a window w as (order by no)", ("r",), ["no"]),
        ("select x from raw.a union all select no from raw.b", ("x",), ["no"]),
        ("select x from raw.a union by name select z from raw.b", ("x", "z"), []),
        ("select list_transform([x], lambda q: q + 1) as l, [i for i in [1] if i > x] as m from raw.a", ("l", "m"), []),
        ("with recursive t(n) as (select 1 union all select n + 1 from t) select n from t", ("n",), []),
        ("select v.a from (values (1, 2)) v(a, b)", ("a",), []),
        ("select a.x, l.v from raw.a, lateral (select a.x + 1 as v) l", ("x", "v"), []),
        ("select a.x from raw.a as t", ("x",), ["a"]),
        ("select t, _partition as p from raw.a t", ("t", "p"), []),
        ("select x from raw.a asof join raw.b using (k, no)", ("x",), ["no"]),
        ("select * from (raw.a join raw.b using (k))", ("x", "y", "k", "z", "s"), []),
        ("select X from raw.a where NO", ("X",), ["NO"]),
        ("select columns('x') from raw.a", None, []),
        ("select * from raw.a pivot (sum(x) for y in (1, 2))", None, []),
        ("select date_trunc('day', x) as m, extract(year from y) as n from raw.a", ("m", "n"), []),
    ],
)  # fmt: skip
def test_the_columns_of_a_query_are_those_duckdb_would_find(
    sql: str, output: tuple[str, ...] | None, faults: list[str]
):
    found = query_columns(
        parse_query(sql), lambda ref: COLUMNS.get(ref.lower()) and tuple(map(Column, COLUMNS[ref.lower()]))
    )
    assert (found.output and tuple(column.name for column in found.output)) == output
    assert [fault.name for fault in found.faults] == faults
