"""What a step knows of its run: partition, ``now``, ids; and what it reports of a table it made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg
import ibis
import pyarrow as pa

from metaplatform.naming import HIDDEN_TAG, stable_id
from metaplatform.resources.clock import Clock
from metaplatform.resources.exports import Exports
from metaplatform.resources.warehouse import Warehouse, WriteResult
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.partitions import Window

PLAN_TAG = f"{HIDDEN_TAG}plan"
"""Run tag with the key of the plan that asked for the run."""
APPLY_TAG = "metaplatform/apply"
"""Run tag of an apply: to reactions what it scores again is a backfill."""
BACKFILL_TAGS = frozenset({APPLY_TAG, "dagster/backfill"})
"""Run tags of what is made again because somebody asked for it, not because something new has come."""
STAND_BY_TAG = f"{HIDDEN_TAG}reactions_stand_by"
"""Run tag of a replay without reactions: what it scores sets nothing in motion, then or later."""
NOW_TAG = f"{HIDDEN_TAG}now"
"""Run tag that holds the run's ``now``: a retry or a re-execution sees the same moment."""
REPLAY_TAG = "metaplatform/replay"
"""Run tag of a replay: its predictions set nothing in motion later, and what it makes can be made again."""


@dataclass(frozen=True)
class Step:
    """The facts of one step: the asset it makes, its run and partition, and the run's ``now``."""

    manifest: Manifest
    ref: str
    run_id: str
    partition: str | None
    now: datetime
    tags: dict[str, str]
    log: Callable[[str], None]

    @property
    def window(self) -> Window | None:
        """Return the window of the step's partition, None where there is none."""
        spec = self.manifest.partitions(self.ref)
        return spec.window(self.partition) if spec and self.partition else None

    @property
    def commit(self) -> dict[str, str]:
        """Return what each commit of this step says of its origin."""
        return {"dagster_run_id": self.run_id, "spec_hash": self.manifest.spec_hash(self.ref)}


def step_of(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
    manifest: Manifest,
    ref: str,
    clock: Clock,
    *,
    partitioned: bool = True,
) -> Step:
    """Return the step's facts; ``now`` comes from the run's tag, or from the clock.

    Without ``partitioned`` the step is about all of the asset's partitions.
    """
    tags = dict(context.run.tags)
    partitioned = partitioned and manifest.partitions(ref) is not None
    return Step(
        manifest=manifest,
        ref=ref,
        run_id=context.run.run_id,
        partition=context.partition_key if partitioned else None,
        now=datetime.fromisoformat(tags[NOW_TAG]) if NOW_TAG in tags else clock.now(),
        tags=tags,
        log=context.log.info,
    )


def in_partition(table: ibis.Table, partition: str | None) -> ibis.Table:
    """Return the rows of a stored table's partition; all of them if there is none."""
    return table.filter(table["_partition"] == partition) if partition else table


def materialized(step: Step, metadata: Mapping[str, Any], content: str = "") -> dg.MaterializeResult:
    """Return the step's result in Dagster's words; ``content`` is a token of the rows that it stored.

    The data version is of the book and of the rows: the same rows made once more are not new data to anyone. A model's
    is of the book alone: a training that has promoted nothing must not call its predictions unsynced.
    """
    lineage = step.manifest.lineage.of(step.ref)
    version = stable_id(lineage, content) if content and step.manifest.following.counts(step.ref) else lineage
    return dg.MaterializeResult(metadata=dict(metadata), data_version=dg.DataVersion(version))


def table_metadata(warehouse: Warehouse, ref: str, written: WriteResult) -> dict[str, Any]:
    """Return the standard metadata of a table just written: rows, bytes, version, place, columns."""
    return {
        "dagster/row_count": written.rows,
        "dagster/size_bytes": written.bytes,
        "dagster/uri": str(warehouse.path(ref)),
        "dagster/column_schema": column_schema(warehouse.schema(ref)),
        "delta_version": written.version,
    }


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """Return an Arrow schema in Dagster's words."""
    return dg.TableSchema(columns=[dg.TableColumn(name=column.name, type=str(column.type)) for column in schema])


def report_link(exports: Exports, html: str, *, name: str, part: str | None) -> dict[str, Any]:
    """Store a page and return the metadata that links to it; nothing if there is no page."""
    if not html:
        return {}
    page = exports.write_report(html, name=name, partition=part)
    return {"report": dg.MetadataValue.url(page.url) if page.url else dg.MetadataValue.path(str(page.path))}
