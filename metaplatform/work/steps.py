"""A step as its work sees it: its asset, run and partition, its ``now``, and the resources it works with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from metaplatform.naming import HIDDEN_TAG, asset_path, ref_name
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.sinks.exports import Exports
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse, WriteResult
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.partitions import Window

PLAN_TAG = f"{HIDDEN_TAG}plan"
"""Run tag with the key of the plan that asked for the run."""
APPLY_TAG = f"{HIDDEN_TAG}apply"
"""Run tag of an apply: to reactions what it scores again is a backfill."""
APPLY_TAGS = (APPLY_TAG, "metaplatform/apply")
"""Either is on each run of an apply: the second one is that of earlier releases."""
BACKFILL_TAGS = frozenset({*APPLY_TAGS, "dagster/backfill"})
"""Run tags of what is made again because somebody asked for it, not because something new has come."""
STAND_BY_TAG = f"{HIDDEN_TAG}reactions_stand_by"
"""Run tag of a replay without reactions: what it scores sets nothing in motion, then or later."""
NOW_TAG = f"{HIDDEN_TAG}now"
"""Run tag that holds the run's ``now``: a retry or a re-execution sees the same moment."""
REPLAY_TAG = f"{HIDDEN_TAG}replay"
"""Run tag of a replay: its predictions set nothing in motion later, and what it makes can be made again."""
REPLAY_TAGS = (REPLAY_TAG, "metaplatform/replay")
"""Either is on each run of a replay: the second one is that of earlier releases."""

Metadata = Mapping[str, Any]
"""What people are shown of what a step made, by Dagster's names: numbers, texts, and the values that follow here."""


class Url(str):
    """Metadata that is a link."""

    __slots__ = ()


class Markdown(str):
    """Metadata that is formatted text."""

    __slots__ = ()


@dataclass(frozen=True)
class Made:
    """What a step has made: what is shown of it, the version of a model that scored, and a token of its rows.

    ``content`` is ``""`` where nothing is stored, and until the record of the step is kept.
    """

    metadata: Metadata
    model_version: int | None = None
    content: str = ""


@dataclass(frozen=True)
class Step:
    """The facts of one step (the asset it makes, its run and partition, the run's ``now``) and its resources.

    ``partition`` is None where there are none, and for a step over a ``range`` of them, which follow one another.
    ``tags`` are the run's; ``log`` tells people what happens. ``holder`` is who works at the storage root, ``""`` for
    a deployment of its own; ``asset_path`` says where Dagster shows an asset.
    """

    manifest: Manifest
    ref: str
    run_id: str
    partition: str | None
    now: datetime
    warehouse: Warehouse
    registry: ModelRegistry
    exports: Exports
    notifier: Notifier
    clock: Clock = field(default_factory=Clock)
    tags: Mapping[str, str] = field(default_factory=dict)
    log: Callable[[str], None] = lambda _: None
    holder: str = ""
    asset_path: Callable[[str], Sequence[str]] = asset_path
    range: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name of the asset's entity in its chapter."""
        return ref_name(self.ref)

    @cached_property
    def ledger(self) -> Ledger:
        """Return the loop's memory."""
        return Ledger(self.warehouse)

    @property
    def partitions(self) -> tuple[str, ...]:
        """Return the partitions that the step makes, in order; none where there are none."""
        return self.range or ((self.partition,) if self.partition else ())

    @property
    def each(self) -> "tuple[Step, ...]":
        """Return a step for each partition of the range, or this one."""
        return tuple(replace(self, partition=key, range=()) for key in self.range) or (self,)

    def pieces(self, size: int) -> "tuple[Step, ...]":
        """Return steps over at most ``size`` partitions each, which together make what this one makes."""
        starts = range(0, len(self.range), size)
        return tuple(replace(self, range=self.range[start : start + size]) for start in starts) or (self,)

    @property
    def window(self) -> Window | None:
        """Return the window of the step's partition, or of all in its range, None where there is none."""
        spec = self.manifest.partitions(self.ref)
        if spec is None or not self.partitions:
            return None
        return Window(spec.window(self.partitions[0]).start, spec.window(self.partitions[-1]).end)

    @property
    def asked_by_person(self) -> bool:
        """Tell whether a person has started the run, and not the loop or a command."""
        return PLAN_TAG not in self.tags and BACKFILL_TAGS.isdisjoint(self.tags)

    @property
    def commit(self) -> dict[str, str]:
        """Return what each commit of this step says of its origin."""
        return {"dagster_run_id": self.run_id, "spec_hash": self.manifest.spec_hash(self.ref)}


def table_metadata(step: Step, written: WriteResult) -> dict[str, Any]:
    """Return the standard metadata of the step's table, just written: rows, bytes, version, place, columns."""
    return {
        "dagster/row_count": written.rows,
        "dagster/size_bytes": written.bytes,
        "dagster/uri": str(step.warehouse.path(step.ref)),
        "dagster/column_schema": step.warehouse.schema(step.ref),
        "delta_version": written.version,
    }


def report_link(step: Step, html: str, *, name: str, part: str | None) -> dict[str, Any]:
    """Store a page and return the metadata that links to it; nothing if there is no page."""
    if not html:
        return {}
    page = step.exports.write_report(html, name=name, partition=part)
    return {"report": Url(page.url) if page.url else page.path}


def picture_link(step: Step, draw: Callable[[], str], *, failed: bool, name: str, part: str) -> dict[str, Any]:
    """Return what links to the picture of what a monitor judged: drawn if it has failed, or a person asks for it."""
    if failed or step.asked_by_person:
        return report_link(step, draw(), name=name, part=part)
    return {"report": "is drawn when a check fails, and when a person runs the checks"}
