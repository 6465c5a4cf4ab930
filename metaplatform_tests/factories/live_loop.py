"""The loop's arrivals as they run live, tick by tick in this process: real files, warehouse, sensors and runs."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from metaplatform.composition import definitions_of
from metaplatform.errors import MetaplatformError
from metaplatform.execution import RunFailedError, run_in_process
from metaplatform.factories.automation.run_requests import REASON_TAG
from metaplatform.factories.mount import STANDALONE
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book

BOOK = """\
sources:
  orders:
    kind: csv
    path: data/orders/*.csv
    columns: {id: bigint, at: timestamp, amount: double}
    key: [id]
    event_timestamp: at
    partitions: {every: day, start: 2024-01-01}
  prices:
    kind: csv
    path: data/prices.csv
    columns: {product: varchar, price: double}
    key: [product]
tables:
  daily: {sql: "select id, amount from raw.orders", partitioned_by: raw.orders}
  totals: {sql: "select count(*) as orders, sum(amount) as amount from raw.orders"}
"""


@dataclass
class LiveLoop:
    """A project below ``folder``, and the instance that its runs are kept in."""

    folder: Path
    instance: dg.DagsterInstance
    book: str = BOOK
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write the book."""
        (self.folder / "metadata").mkdir(parents=True)
        self.write_book(self.book)

    def write_book(self, book: str) -> None:
        (self.folder / "metadata" / "book.yaml").write_text(book, encoding="utf-8")
        self.manifest: Manifest = load_book(self.folder / "metadata")
        self.definitions = definitions_of(self.manifest, self.deployment)
        self.repository = self.definitions.get_repository_def()

    @property
    def deployment(self) -> Deployment:
        return Deployment(book=self.folder / "metadata", root=self.folder / "storage")

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(root=str(self.folder / "storage"))

    def write(self, path: str, *lines: str, age: float = 60) -> Path:
        """Write a file of lines that was written to last ``age`` seconds ago."""
        target = self.folder / "data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        moment = time.time() - age
        os.utime(target, (moment, moment))
        return target

    def orders(self, day: str, *amounts: object, first: int = 0, age: float = 60) -> Path:
        """Write a day's orders."""
        number = int(day[-2:]) * 1000 + first
        lines = [f"{number + index},{day} 10:00:00,{amount}" for index, amount in enumerate(amounts)]
        return self.write(f"orders/{day}.csv", "id,at,amount", *lines, age=age)

    def prices(self, *lines: str) -> Path:
        return self.write("prices.csv", "product,price", *(lines or ("a,1", "b,2")))

    def tick(self, name: str = "arrivals") -> Any:
        """Ask a sensor, as the daemon does."""
        given: Any = self.definitions.resources
        sensor = self.repository.get_sensor_def(name)
        context = dg.build_sensor_context(
            instance=self.instance,
            repository_def=self.repository,
            resources={name: given[name] for name in sensor.required_resource_keys},
        )
        return sensor.evaluate_tick(context)

    def run(self, request: dg.RunRequest) -> None:
        """Do what a run request asks for, on to its end or to a check that blocks it."""
        self.reasons.append(request.tags[REASON_TAG])
        try:
            run_in_process(
                self.repository,
                self.instance,
                assets=request.asset_selection or (),
                checks=request.asset_check_keys or (),
                partition=request.partition_key,
                tags=request.tags,
            )
        except RunFailedError as error:
            if not error.by_check:
                raise

    def settle(self) -> list[str]:
        """Run all that is asked for until nothing is; return the reasons."""
        self.reasons = []
        while requests := self.tick().run_requests:
            for request in requests:
                self.run(request)
        return self.reasons

    def reasons_until_told(self) -> list[str]:
        """Run all that is asked for until a tick fails; return the reasons."""
        with pytest.raises(MetaplatformError):
            self.settle()
        return self.reasons

    def contract(self, source: str) -> dg.AssetCheckEvaluation:
        """Return the newest verdict of a source's check."""
        key = dg.AssetCheckKey(STANDALONE.key(f"raw.{source}"), "contract")
        record = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert record.event is not None
        evaluation: Any = record.event.dagster_event
        found: dg.AssetCheckEvaluation = evaluation.asset_check_evaluation_data
        return found

    def rows(self, ref: str) -> list[dict[str, Any]]:
        with self.warehouse.session() as session:
            return session.stream(session.table(ref)).read_all().to_pylist()

    def counts(self, ref: str) -> dict[str, int]:
        return {key: state.rows for key, state in self.warehouse.partitions(ref).items()}
