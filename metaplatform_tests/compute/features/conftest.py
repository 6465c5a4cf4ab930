"""A small book over tables of a real DuckDB, written down in the test that uses it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ibis
import pyarrow as pa
import pytest
from ibis.backends.duckdb import Backend

from metaplatform.compute.features import build_features
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.csv_source import CsvSource
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.fields.partitions import Window

INSTANT = pa.timestamp("us", "UTC")


class SmallBook:
    """Tables and their sources; ``build`` returns the features of a spine as rows, in the order of its key."""

    def __init__(self, connection: Backend) -> None:
        self.connection = connection
        self.sources: dict[str, CsvSource] = {}
        self.tables: dict[str, ibis.Table] = {}

    def add(
        self,
        name: str,
        columns: Mapping[str, pa.DataType],
        rows: Sequence[tuple[Any, ...]],
        *,
        key: Sequence[str] = (),
        at: str | None = None,
    ) -> None:
        table = pa.table(
            {column: pa.array([row[n] for row in rows], kind) for n, (column, kind) in enumerate(columns.items())}
        )
        self.sources[name] = CsvSource(name=name, kind="csv", path="rows.csv", key=list(key), event_timestamp=at)
        self.tables[f"raw.{name}"] = self.connection.create_table(name, table, overwrite=True)

    @property
    def manifest(self) -> Manifest:
        return Manifest(root=".", sources=self.sources)

    def features(self, spine: str, *blocks: dict[str, Any], window: Window | None = None) -> ibis.Table:
        spec = FeatureSetSpec.model_validate({"name": "facts", "spine": f"raw.{spine}", "features": list(blocks)})
        tables = {ref: self.tables[ref] for ref in spec.tables}
        return build_features(spec, manifest=self.manifest, tables=tables, window=window)

    def build(self, spine: str, *blocks: dict[str, Any], window: Window | None = None) -> list[dict[str, Any]]:
        key = self.sources[spine].key
        rows = self.features(spine, *blocks, window=window).to_pyarrow().to_pylist()
        return sorted(rows, key=lambda row: tuple(row[name] for name in key))

    def values(self, feature: str, spine: str, *blocks: dict[str, Any], window: Window | None = None) -> list[Any]:
        return [row[feature] for row in self.build(spine, *blocks, window=window)]


@pytest.fixture(scope="session")
def connection() -> Iterator[Backend]:
    backend = ibis.duckdb.connect()
    # Not UTC: nothing may depend on it.
    backend.raw_sql("SET TimeZone = 'America/New_York'")
    yield backend
    backend.disconnect()


@pytest.fixture(scope="session")
def book(connection: Backend) -> SmallBook:
    return SmallBook(connection)
