"""A tick over thousands of partitions finds the stale ones, and the files that are gone, within two seconds' work."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from metaplatform.compute.policy.road import topological_order
from metaplatform.factories.automation.run_requests import REASON_TAG
from metaplatform.naming import stable_id
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.specs.book.builds import Built, BuiltPartition
from metaplatform.specs.book.fingerprints import Contents
from metaplatform.specs.book.source_contents import PartitionContent, SourceContents
from metaplatform.specs.records.ledger import Arrival
from metaplatform.specs.snapshots import entity_fields
from metaplatform.work.staging import mark_of
from metaplatform_tests.factories.live_loop import LiveLoop

BOOK = """\
spec_version: 2
sources:
  orders: &moving
    kind: csv
    path: data/orders.csv
    columns: {id: bigint, customer: varchar, at: timestamptz}
    event_timestamp: at
    partitions: {every: day, start: 2018-01-01}
  returns: {<<: *moving, path: data/returns.csv}
tables:
  labelled:
    sql: select o.*, exists (select 1 from raw.returns r where r.id = o.id) as came_back from raw.orders o
    partitioned_by: raw.orders
    look_ahead: 30 days
    key: [id]
    event_timestamp: at
  total: {sql: select count(*) as orders from raw.orders}
feature_sets:
  short: &features
    spine: tables.labelled
    features:
      - {kind: window, table: raw.orders, on: {customer: customer}, window: 90 days, columns: {orders: count(*)}}
      - {kind: as_of, table: raw.returns, on: {customer: customer}, columns: {last: at}}
  long: *features
outputs:
  short_file: {kind: csv, table: features.short}
  long_file: {kind: parquet, table: features.long}
"""
DAYS = [f"{datetime(2018, 1, 1, tzinfo=UTC) + timedelta(day):%Y-%m-%d}" for day in range(2_000)]
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def made_long_ago(loop: LiveLoop) -> dict[str, Built]:
    """Have everything made for each day, as logs and records tell; return the records."""
    manifest, root, built = loop.manifest, loop.warehouse.root_path, dict[str, Built]()
    arrivals = []
    for name, source in manifest.sources.items():
        loop.write(f"{name}.csv", "id,customer,at")
        contents = {key: PartitionContent(1, key) for key in DAYS}
        mark, spec_hash = mark_of(manifest, source).mark, manifest.spec_hash(f"raw.{name}")
        kept = SourceContents(mark, spec_hash, 2_000, 2_000, 0, 0, 0, NOW, contents)
        ContentRecords(root).keep(name, kept)
        arrivals += [Arrival(f"{name}{key}", name, key, contents[key].fingerprint, 1, 0, NOW, "r") for key in DAYS]
    Ledger(loop.warehouse).append(*arrivals)
    for ref in topological_order(manifest):
        keys = DAYS if manifest.partitions(ref) else [""]
        contents_now = Contents(manifest, built)
        spec_hash, lineage = manifest.spec_hash(ref), dict(manifest.lineage.inputs(ref))
        partitions = {
            key: BuiltPartition(
                spec_hash, lineage, 0.1, "r", read=contents_now.read(ref, key), content=stable_id(ref, key)
            )
            for key in keys
        }
        built[ref] = Built(entity_fields(manifest.entities[ref]), partitions)
        BuildRecords(root).keep(ref, built[ref].fields, partitions)
        if ref.startswith("outputs."):
            kind = manifest.outputs[ref.removeprefix("outputs.")].kind
            folder = root / "exports" / ref.removeprefix("outputs.")
            folder.mkdir(parents=True)
            for key in keys:
                (folder / f"{key}.{kind}").touch()
        else:
            write_log(loop.warehouse.path(ref), keys)
    return built


def write_log(folder: Path, keys: list[str]) -> None:
    """Write the log of a table that nobody reads a row of."""
    names = ("id", "_partition") if keys != [""] else ("id",)
    fields = [{"name": name, "type": "string", "nullable": True, "metadata": {}} for name in names]
    schema = json.dumps({"type": "struct", "fields": fields})
    table = {"id": "t", "format": {"provider": "parquet", "options": {}}, "schemaString": schema, "configuration": {}}
    actions: list[dict[str, object]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {**table, "partitionColumns": ["_partition"] if keys != [""] else []}},
    ]
    for key in keys:
        values = {"_partition": key} if key else {}
        file = {"path": f"{key or 'all'}.parquet", "partitionValues": values, "size": 1, "modificationTime": 0}
        actions.append({"add": {**file, "dataChange": True, "stats": json.dumps({"numRecords": 1})}})
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)), encoding="utf-8")


def test_stale_partitions_among_thousands_are_found_in_little_time(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        loop = LiveLoop(tmp_path, instance, book=BOOK)
        built = made_long_ago(loop)
        assert not loop.tick().run_requests
        late = built["raw.returns"].partitions[DAYS[1_000]]
        changed = BuiltPartition(**{**vars(late), "content": "late"})
        BuildRecords(loop.warehouse.root_path).keep("raw.returns", built["raw.returns"].fields, {DAYS[1_000]: changed})
        stale, first = asked(loop)
        (loop.warehouse.root_path / "exports" / "long_file" / f"{DAYS[5]}.parquet").unlink()
        gone, second = asked(loop)
    assert stale == [f"tables.labelled made of other rows than there are now for {DAYS[970]} to {DAYS[999]}"]
    assert gone == [f"the file for {DAYS[5]} of outputs.long_file is missing"]
    assert max(first, second) < 2, f"{first:.2f} and {second:.2f} seconds of work"


def asked(loop: LiveLoop) -> tuple[list[str], float]:
    """Return what a tick asks for, and the seconds that it works."""
    began = time.process_time()
    requests = loop.tick().run_requests
    return [request.tags[REASON_TAG] for request in requests], time.process_time() - began
