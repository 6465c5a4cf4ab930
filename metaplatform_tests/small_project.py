"""A book of a few lines over files of a few rows, lived through with the platform's own sensors, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from metaplatform.composition import definitions_of, platform_resources
from metaplatform.execution import deployment_instance, run_in_process
from metaplatform.factories.mount import STANDALONE
from metaplatform.naming import ref_of
from metaplatform.planning.state import plan_of
from metaplatform.replay.conductor import Conductor
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book
from metaplatform.work.steps import NOW_TAG


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class SmallProject:
    """A project below ``folder``; ``runs`` are the reasons of all that its loop has run, in order.

    Without a ``book`` it is one that is there.
    """

    def __init__(self, folder: Path, book: str | None = None) -> None:
        self.folder, self.runs = folder, list[str]()
        self.deployment = Deployment(book=folder / "metadata", root=folder / "storage")
        if book is not None:
            (folder / "metadata").mkdir(parents=True)
            self.edit(book)
        self.conductor: Conductor | None = None

    def edit(self, book: str) -> None:
        (self.folder / "metadata" / "book.yaml").write_text(book, encoding="utf-8")

    @property
    def manifest(self) -> Manifest:
        return load_book(self.deployment.book)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(root=str(self.deployment.root))

    @property
    def registry(self) -> ModelRegistry:
        registry = platform_resources(self.deployment)["registry"]
        assert isinstance(registry, ModelRegistry)
        return registry

    def put(self, path: str, rows: pd.DataFrame) -> None:
        """Let a CSV file arrive, whole."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        arriving = target.with_suffix(".part")
        rows.to_csv(arriving, index=False)
        arriving.rename(target)

    @contextmanager
    def at_work(self, *, reactions: bool = False) -> Iterator["SmallProject"]:
        """Have one Dagster instance and one set of definitions for all that is played inside."""
        definitions = definitions_of(self.manifest, self.deployment)
        with deployment_instance(self.deployment) as instance:
            self.conductor = Conductor(
                definitions, instance, self.runs.append, frozenset() if reactions else frozenset({"reactions"})
            )
            yield self
            self.conductor = None

    def play(self, now: datetime) -> list[str]:
        """Let the sensors run all that they ask for at ``now``; return the reasons of these runs."""
        assert self.conductor is not None
        before = len(self.runs)
        self.conductor.play(now)
        return self.runs[before:]

    def make(self, *refs: str, partition: str | None = None, now: datetime) -> None:
        """Materialize assets as a person would."""
        assert self.conductor is not None
        run_in_process(
            self.conductor.definitions.get_repository_def(),
            self.conductor.instance,
            assets=[STANDALONE.key(ref) for ref in refs],
            partition=partition,
            tags={NOW_TAG: now.isoformat()},
        )

    def stale(self) -> dict[str, tuple[str, ...]]:
        """Return what the plan makes again, by reference."""
        return {change.ref: change.partitions for change in plan_of(self.manifest, self.deployment).work}

    def rows(self, ref: str, *order: str) -> pd.DataFrame:
        """Return a stored table, in order of columns."""
        with self.warehouse.session() as session:
            found = session.stream(session.table(ref)).read_all().to_pandas()
        return found.sort_values(list(order)).reset_index(drop=True) if order else found


def dagster_unsynced(project: SmallProject) -> set[tuple[str, str]]:
    """Return the (reference, partition) pairs that Dagster calls stale."""
    graph = definitions_of(project.manifest, project.deployment).get_repository_def().asset_graph
    found: set[tuple[str, str]] = set()
    with deployment_instance(project.deployment) as instance:
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        for key in graph.get_all_asset_keys():
            parts: set[str] | set[None] = (
                instance.get_materialized_partitions(key) if graph.get(key).partitions_def else {None}
            )
            found |= {
                (ref_of(key.path), part or "") for part in parts if resolver.get_status(key, part) is StaleStatus.STALE
            }
    return found
