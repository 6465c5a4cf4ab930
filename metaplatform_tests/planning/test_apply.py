"""One shop, lived through for three months, then its book is edited: plan, Dagster and apply tell and do the same."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from metaplatform.composition import definitions_of
from metaplatform.errors import MetaplatformError, StorageError
from metaplatform.execution import deployment_instance, sole_apply
from metaplatform.naming import history_ref, ref_of
from metaplatform.planning.apply import apply_plan
from metaplatform.planning.state import plan_of
from metaplatform.replay.conductor import Conductor
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book
from metaplatform.specs.records.ledger import Arrival, Promotion
from metaplatform_tests.processes import python
from metaplatform_tests.scenario import BOOK, MONTHS, write_month, write_project

BELOW_FEATURES = (
    "features.order_features",
    "models.returns",
    "predictions.order_returns",
    "outputs.returns_file",
    "outputs.returns_views",
)
NOW = datetime(2024, 4, 3, tzinfo=UTC)


class Quiet:
    """Nobody looks at how far it is; what was asked to be made is kept."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def start(self, total: int) -> None: ...

    def asset(self, ref: str, partitions: int) -> None:  # noqa: ARG002  # as the protocol has it
        self.made.append(ref)

    def partition(self, key: str) -> None: ...


class Shop:
    """The project of the tests, whose book is edited in place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.text = folder, BOOK
        self.deployment = Deployment(book=write_project(folder), root=folder / "storage")
        for month in MONTHS[:3]:
            write_month(folder, month, shifted=False)

    @property
    def manifest(self) -> Manifest:
        return load_book(self.deployment.book)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(root=str(self.deployment.root))

    def command(self, *words: str) -> list[str]:
        places = ["--book", str(self.deployment.book), "--root", str(self.deployment.root)]
        return [sys.executable, "-m", "metaplatform", *words, *places]

    def edit(self, old: str, new: str) -> Manifest:
        assert old in self.text
        self.text = self.text.replace(old, new)
        write_project(self.folder, book=self.text)
        return self.manifest

    def stale(self) -> tuple[str, ...]:
        return tuple(change.ref for change in plan_of(self.manifest, self.deployment).work)

    def apply(self, *only: str, allow_breaking: bool = False) -> list[str]:
        seen = Quiet()
        apply_plan(self.manifest, self.deployment, only=only, allow_breaking=allow_breaking, progress=seen)
        return seen.made

    def unsynced(self) -> set[str]:
        """Return what Dagster calls unsynced of what was made, by the present book."""
        graph = definitions_of(self.manifest, self.deployment).get_repository_def().asset_graph
        found = set()
        with deployment_instance(self.deployment) as instance:
            resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
            for key in graph.get_all_asset_keys():
                parts = instance.get_materialized_partitions(key) if graph.get(key).partitions_def else {None}
                statuses = {resolver.get_status(key, part) for part in parts}
                if StaleStatus.STALE in statuses:
                    found.add(ref_of(key.path))
        return found

    def ask_the_loop(self) -> list[str]:
        """Let the live sensors run all they ask for at ``NOW``; return the reasons."""
        definitions = definitions_of(self.manifest, self.deployment)
        reasons: list[str] = []
        with deployment_instance(self.deployment) as instance:
            Conductor(definitions, instance, reasons.append, frozenset({"reactions"})).play(NOW)
        return reasons


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    lived = shop.command("replay", "--until", NOW.strftime("%Y-%m-%d"))
    python(*lived[1:], check=True)
    yield shop
    shutil.rmtree(shop.folder)


@pytest.fixture
def settled(shop: Shop) -> Shop:
    """The shop with nothing to do: each test edits the book and makes all of it again."""
    if not plan_of(shop.manifest, shop.deployment).empty:
        shop.apply(allow_breaking=True)
    assert plan_of(shop.manifest, shop.deployment).empty
    return shop


def test_what_the_loop_has_made_is_not_stale_and_dagster_says_the_same(settled: Shop) -> None:
    assert settled.unsynced() == set()


def test_apply_makes_exactly_what_dagster_calls_unsynced_and_nothing_is_left(settled: Shop) -> None:
    raw, arrivals = settled.warehouse.version("raw.orders"), len(Ledger(settled.warehouse).read(Arrival))
    settled.edit("window: 14 days", "window: 15 days")
    assert settled.stale() == BELOW_FEATURES
    assert settled.unsynced() == set(BELOW_FEATURES)

    assert tuple(settled.apply()) == BELOW_FEATURES
    assert plan_of(settled.manifest, settled.deployment).empty
    assert settled.unsynced() == set()
    # Sources were not read again, and the newest version went through the promotion gate.
    assert settled.warehouse.version("raw.orders") == raw
    assert len(Ledger(settled.warehouse).read(Arrival)) == arrivals
    assert len(Ledger(settled.warehouse).read(Promotion)) == 2


def test_the_loop_itself_leaves_an_edited_query_to_apply_and_is_quiet_after_it(settled: Shop) -> None:
    settled.edit("count(*) as orders", "count(customer) as orders")
    assert not [reason for reason in settled.ask_the_loop() if "channels" in reason]
    assert settled.stale() == ("tables.channels",)
    settled.apply()
    assert plan_of(settled.manifest, settled.deployment).empty
    assert settled.ask_the_loop() == []


def test_an_edited_source_that_the_loop_reads_again_is_not_stale_any_more(settled: Shop) -> None:
    settled.edit("    path: data/customers.csv\n", "    path: data/customers.csv\n    null_values: ['', NA]\n")
    assert "raw.customers" in settled.stale()
    assert "new data in raw.customers" in settled.ask_the_loop()
    left = settled.stale()
    assert "raw.customers" not in left
    assert left == BELOW_FEATURES
    settled.apply()
    assert plan_of(settled.manifest, settled.deployment).empty


def test_a_policy_is_told_once_and_nothing_is_made(settled: Shop) -> None:
    settled.edit("cooldown: 20 days", "cooldown: 25 days")
    plan = plan_of(settled.manifest, settled.deployment)
    assert [(change.ref, change.action) for change in plan.changes] == [("models.returns", None)]
    assert settled.apply() == []
    assert plan_of(settled.manifest, settled.deployment).empty


def test_only_one_apply_is_at_work_and_none_beside_a_run_of_the_loop(settled: Shop) -> None:
    settled.edit("isodow(ordered_at)", "isodow(ordered_at) % 7")
    with sole_apply(settled.deployment.root), pytest.raises(StorageError, match="another apply is at work"):
        settled.apply()
    with deployment_instance(settled.deployment) as instance:
        repository = definitions_of(settled.manifest, settled.deployment).get_repository_def()
        live = instance.create_run_for_job(
            repository.get_implicit_global_asset_job_def(),
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=frozenset({dg.AssetKey(["models", "returns"])}),
        )
        with pytest.raises(StorageError, match=r"unfinished runs are making models\.returns"):
            settled.apply()
        instance.report_run_failed(live)
    settled.edit("isodow(ordered_at) % 7", "isodow(ordered_at)")


def test_an_apply_that_is_killed_leaves_the_rest_stale_and_the_next_goes_on(settled: Shop) -> None:
    settled.edit("window: 15 days", "window: 16 days")
    with subprocess.Popen(
        settled.command("apply", "--yes"), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("models.returns"):
                break
        os.kill(process.pid, signal.SIGKILL)
    assert settled.stale() == BELOW_FEATURES[1:]
    assert tuple(settled.apply()) == BELOW_FEATURES[1:]
    assert plan_of(settled.manifest, settled.deployment).empty


def test_what_breaks_readers_is_made_only_when_asked_for(settled: Shop) -> None:
    settled.edit(", weekday: isodow(ordered_at)", "")
    with pytest.raises(MetaplatformError, match="loses the column weekday"):
        settled.apply()
    settled.apply(allow_breaking=True)
    assert plan_of(settled.manifest, settled.deployment).empty
    assert "weekday" not in settled.warehouse.schema("features.order_features").names
    newest = Ledger(settled.warehouse).read(Promotion)[-1]
    assert "needs features that are gone: weekday" in newest.reasons


def test_a_type_that_only_the_engine_knows_is_changed_only_when_asked_for(settled: Shop) -> None:
    settled.edit("price: amount,", "price: amount::integer,")
    with pytest.raises(MetaplatformError, match="column 'price' is double in the table"):
        settled.apply("features.order_features")
    assert settled.warehouse.row_count("features.order_features") == 4_500
    assert settled.apply("features.order_features", allow_breaking=True)[0] == "features.order_features"
    assert settled.stale() == BELOW_FEATURES[1:]
    settled.apply()
    assert plan_of(settled.manifest, settled.deployment).empty


def test_what_is_new_is_made_and_what_is_gone_stays_where_it_is(settled: Shop) -> None:
    buyers = "  buyers:\n    sql: select distinct customer from raw.orders\n"
    settled.edit("tables:\n  channels:\n", f"tables:\n{buyers}  channels:\n")
    assert settled.apply() == ["tables.buyers"]
    assert settled.warehouse.row_count("tables.buyers")
    settled.edit(buyers, "")
    (gone,) = plan_of(settled.manifest, settled.deployment).changes
    assert (gone.ref, gone.state, gone.action) == ("tables.buyers", "gone", None)
    assert gone.rows == settled.warehouse.row_count("tables.buyers")
    with pytest.raises(MetaplatformError, match=r"tables\.buyers: it is gone"):
        settled.apply()
    assert settled.apply(allow_breaking=True) == []
    assert plan_of(settled.manifest, settled.deployment).empty
    assert settled.warehouse.exists("tables.buyers")


def test_other_partitions_are_made_from_nothing(settled: Shop) -> None:
    settled.edit("every: month, start: 2024-01}", "every: day, start: 2024-01-01}")
    plan = plan_of(settled.manifest, settled.deployment)
    assert {change.ref for change in plan.breaking} >= {"raw.orders", "features.order_features"}
    assert all(change.seconds is None for change in plan.breaking)
    settled.edit("every: day, start: 2024-01-01}", "every: month, start: 2024-01}")


def test_a_warehouse_with_tables_of_unknown_making_is_made_again(settled: Shop) -> None:
    with closing(sqlite3.connect(settled.deployment.root / "book" / "records.db")) as records, records:
        records.execute("DELETE FROM owners WHERE owner = 'tables.channels'")
        records.execute("UPDATE state SET id = 'as if never read'")
    (change,) = plan_of(settled.manifest, settled.deployment).work
    assert (change.ref, change.reasons) == (
        "tables.channels",
        ("it was made by a release that did not record its inputs",),
    )
    settled.apply()
    assert plan_of(settled.manifest, settled.deployment).empty


def test_a_kept_column_of_another_type_is_told_by_the_plan_and_the_history_follows_it(settled: Shop) -> None:
    # Scores of what was learnt too: each version has said something of each partition.
    settled.edit("keep: [channel]", "keep: [channel, amount], in_sample: true")
    settled.apply()
    history = history_ref("predictions.order_returns")
    versions = settled.warehouse.row_count(history)
    settled.edit("amount: double", "amount: varchar")
    settled.edit("price: amount", "price: amount::double")
    # The champion cannot be asked about rows whose text is a number now, and must not keep another from its place.
    settled.edit("sold_by: channel", "sold_by: length(channel)")
    breaking = {change.ref: change.breaking for change in plan_of(settled.manifest, settled.deployment).breaking}
    assert breaking == dict.fromkeys(
        ("raw.orders", "predictions.order_returns"), ("the type of its column amount changes",)
    )
    with pytest.raises(MetaplatformError, match=r"predictions\.order_returns: the type of its column amount changes"):
        settled.apply()
    settled.apply(allow_breaking=True)
    assert plan_of(settled.manifest, settled.deployment).empty
    for ref in ("raw.orders", "predictions.order_returns", history):
        assert settled.warehouse.schema(ref).field("amount").type == pa.string()
    assert settled.warehouse.row_count(history) > versions
    newest = Ledger(settled.warehouse).read(Promotion)[-1]
    assert "knows features as another type: sold_by" in newest.reasons
