"""One run over a range of partitions makes what runs of one each make, and Dagster is told of each partition."""

from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaplatform.execution import RunFailedError, run_in_process
from metaplatform.factories.automation.run_requests import range_tags
from metaplatform.factories.mount import STANDALONE
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.specs.records.ledger import Arrival
from metaplatform.work.steps import NOW_TAG
from metaplatform_tests.small_project import SmallProject, dagster_unsynced, moment

BOOK = """
spec_version: 2
sources:
  rides:
    kind: csv
    path: data/*.csv
    key: [ride_id]
    event_timestamp: at
    partitions: {every: day, start: 2024-03-25, timezone: Europe/Berlin}
    columns: {ride_id: bigint, at: timestamptz, bike: varchar, km: double}
    max_ahead: 9000 days
tables:
  per_bike:
    sql: >-
      select bike, min(at) as since, count(*) as rides, sum(cast(km as decimal(9, 3))) as km,
      row_number() over (order by bike) as place from raw.rides group by bike
    partitioned_by: raw.rides
  long_rides:
    sql: select ride_id, at, km from raw.rides where km > (select avg(km) from raw.rides)
    key: [ride_id]
    event_timestamp: at
    partitioned_by: raw.rides
  joined:
    sql: >-
      select a.ride_id, b.km from raw.rides as a
      full join (select * from raw.rides where km > 2) as b on a.ride_id = b.ride_id
    partitioned_by: raw.rides
feature_sets:
  bikes:
    spine: raw.rides
    features:
      - {kind: expression, columns: {far: km > 3}}
      - {kind: window, table: raw.rides, on: {bike: bike}, window: 3 days, columns: {rides_3d: count(*), most: max(km)}}
outputs:
  long_file: {kind: csv, table: tables.long_rides}
"""
FIRST = moment("2024-03-25")
DAYS = 12
LAST = FIRST + timedelta(days=DAYS + 1)
TABLES = {
    "raw.rides": ("ride_id",),
    "tables.per_bike": ("_partition", "bike"),
    "tables.long_rides": ("ride_id",),
    "tables.joined": ("ride_id",),
    "features.bikes": ("ride_id",),
}


def rides(seed: int = 1, *, days: int = DAYS) -> pd.DataFrame:
    """Rides over the night in which Berlin's clocks go forward; the fifth day has none."""
    values = np.random.default_rng(seed)
    count = days * 15
    seconds = np.sort(values.uniform(0, days * 86_400, count)).round(6)
    at = pd.Timestamp(FIRST) + pd.to_timedelta(seconds, unit="s")
    rows = pd.DataFrame({"ride_id": range(count), "at": at, "bike": values.choice(list("abc"), count)})
    rows["km"] = values.exponential(2, count).round(3)
    day = rows["at"].dt.tz_convert("Europe/Berlin").dt.strftime("%Y-%m-%d")
    rows["at"] = rows["at"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return rows[day != "2024-03-29"]


def lived(folder: Path, moments: list[datetime], rows: pd.DataFrame) -> SmallProject:
    project = SmallProject(folder, BOOK)
    project.put("data/rides.csv", rows)
    with project.at_work():
        for now in moments:
            project.play(now)
    return project


def kept(project: SmallProject) -> dict[str, object]:
    """Return all that is kept of a project's partitions, less what tells runs and moments apart."""
    records, root = BuildRecords(project.deployment.root), project.deployment.root
    made = {ref: records.read(ref) for ref in (*TABLES, "outputs.long_file")}
    arrivals = Ledger(project.warehouse).read(Arrival)
    return {
        "tables": {ref: project.rows(ref, *order).to_csv() for ref, order in TABLES.items()},
        "partitions": {ref: {k: s.rows for k, s in project.warehouse.partitions(ref).items()} for ref in TABLES},
        "files": {path.name: sorted(path.read_text().splitlines()) for path in root.glob("exports/long_file/*")},
        "records": {
            ref: {key: (part.inputs, part.read, part.content, part.periods) for key, part in found.partitions.items()}
            for ref, found in made.items()
            if found
        },
        "arrivals": sorted((seen.partition, seen.rows, seen.fingerprint) for seen in arrivals),
    }


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    folder = tmp_path_factory.mktemp("each") / "project"
    return lived(folder, [FIRST + timedelta(days=day) for day in range(1, DAYS + 2)], rides())


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    return lived(tmp_path_factory.mktemp("once") / "project", [LAST], rides())


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.integers(1, DAYS)))
def test_any_cut_into_ranges_makes_what_partitions_one_by_one_make(
    one_by_one: SmallProject, tmp_path_factory: pytest.TempPathFactory, pauses: set[int]
) -> None:
    moments = [FIRST + timedelta(days=day) for day in sorted(pauses)]
    project = lived(tmp_path_factory.mktemp("cut") / "project", [*moments, LAST], rides())
    assert len(project.runs) <= len(one_by_one.runs)
    assert kept(project) == kept(one_by_one)
    assert project.stale() == one_by_one.stale() == {}
    assert dagster_unsynced(project) == set()


def test_no_range_goes_over_a_day_without_rows(at_once: SmallProject) -> None:
    assert at_once.runs[1:] == [
        "new data for 2024-03-25 to 2024-03-28 in raw.rides",
        "new data for 2024-03-30 to 2024-04-06 in raw.rides",
    ]


def test_dagster_is_told_of_each_partition_with_its_own_rows(at_once: SmallProject) -> None:
    with at_once.at_work() as project:
        assert project.conductor is not None
        for ref in TABLES:
            wanted = dg.AssetRecordsFilter(asset_key=STANDALONE.key(ref))
            records = project.conductor.instance.fetch_materializations(wanted, limit=100).records
            told = {
                seen.partition_key: seen.asset_materialization.metadata["dagster/row_count"].value
                for seen in records
                if seen.asset_materialization
            }
            assert told == {key: state.rows for key, state in project.warehouse.partitions(ref).items()}


def test_late_rows_in_the_middle_make_their_days_again_and_those_that_look_back_on_them(
    at_once: SmallProject, tmp_path: Path
) -> None:
    rows = rides()
    days = rows["at"].str[:10]
    late = days.isin(["2024-03-31", "2024-04-01"]) & (rows["ride_id"] % 3 == 0)
    project = lived(tmp_path / "project", [LAST], rows[~late])
    project.put("data/late.csv", rows[late])
    with project.at_work():
        runs = project.play(LAST + timedelta(hours=1))
    # Of the night before it two hours are of the next day in Berlin.
    assert runs[1:] == [
        "new data for 2024-03-31 to 2024-04-02 in raw.rides",
        "features.bikes made of other rows than there are now for 2024-04-03 to 2024-04-05",
    ]
    for ref, order in TABLES.items():
        pd.testing.assert_frame_equal(project.rows(ref, *order), at_once.rows(ref, *order))


def ask(project: SmallProject, ref: str, first: str, last: str) -> None:
    """Materialize a range as a backfill from Dagster's page does."""
    assert project.conductor is not None
    run_in_process(
        project.conductor.definitions.get_repository_def(),
        project.conductor.instance,
        assets=[STANDALONE.key(ref)],
        tags={NOW_TAG: LAST.isoformat(), **range_tags(first, last)},
    )


def test_a_person_may_ask_for_a_range_and_what_has_no_row_is_empty(one_by_one: SmallProject, tmp_path: Path) -> None:
    project = lived(tmp_path / "project", [LAST], rides())
    with project.at_work():
        ask(project, "raw.rides", "2024-03-27", "2024-03-30")
        ask(project, "tables.per_bike", "2024-03-27", "2024-03-30")
    assert project.warehouse.partitions("raw.rides")["2024-03-29"].rows == 0
    for ref, order in TABLES.items():
        pd.testing.assert_frame_equal(project.rows(ref, *order), one_by_one.rows(ref, *order))


def test_of_a_range_all_is_made_but_what_cannot_be_and_that_is_named(tmp_path: Path) -> None:
    rows = rides()
    at_fault = rows[rows["at"].str.startswith("2024-04-02")].head(1)
    book = BOOK.replace("select ride_id, at, km from", "select ride_id, at, cast(bike as integer) as km from").replace(
        "where km > (select avg(km) from raw.rides)", ""
    )
    project = SmallProject(tmp_path / "project", book)
    project.put("data/rides.csv", rows.assign(bike=rows["bike"].where(rows.index == at_fault.index[0], "7")))
    with project.at_work():
        with pytest.raises(RunFailedError, match=r"1 of 8 partitions cannot be made \(2024-04-02\)"):
            project.play(LAST)
        assert project.conductor is not None
        told = project.conductor.instance.get_materialized_partitions(STANDALONE.key("tables.long_rides"))
    made = set(project.warehouse.partitions("tables.long_rides"))
    assert made == told == set(project.warehouse.partitions("raw.rides")) - {"2024-04-02"}
