"""Does what a plan says, through the same assets that the loop runs: in order, a range of partitions per run."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import dagster as dg

from metaplatform.chapters import MODELS, SOURCES
from metaplatform.composition import definitions_of
from metaplatform.compute.changes.plan import Change, Plan
from metaplatform.compute.policy.ranges import MOST_PARTITIONS, ranges_of
from metaplatform.errors import MetaplatformError, StorageError
from metaplatform.execution import RunFailedError, deployment_instance, end_dead_runs, run_in_process, sole_apply
from metaplatform.factories.automation.run_requests import REASON_TAG, range_tags
from metaplatform.factories.automation.state import Loop, WorkingLoop
from metaplatform.factories.contracts import contract_key
from metaplatform.factories.mount import STANDALONE
from metaplatform.naming import ref_name, stable_id
from metaplatform.planning.state import plan_of
from metaplatform.resources.process.quiet import hush_loggers
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.snapshots import entity_fields
from metaplatform.work.builds import keep_book
from metaplatform.work.steps import APPLY_TAG, APPLY_TAGS, NOW_TAG, REPLAY_TAGS
from metaplatform.work.training import DECISION_TAG

_LONGEST_TAG = 500


class Progress(Protocol):
    """Where an apply reports how far it is."""

    def start(self, total: int) -> None:
        """Take the number of assets to make."""

    def asset(self, ref: str, partitions: int) -> None:
        """Take the asset that is made now, and in how many partitions."""

    def partition(self, key: str) -> None:
        """Take the partition that is made now, ``""`` where there are none."""


@dataclass(frozen=True)
class Applied:
    """What an apply did: the assets it made, in how many runs; and what the book still changes."""

    made: tuple[str, ...]
    runs: int
    left: Plan


@dataclass(frozen=True)
class _Work:
    """One apply at work: the book, what runs it, and where it stands."""

    manifest: Manifest
    repository: dg.RepositoryDefinition
    instance: dg.DagsterInstance
    loop: WorkingLoop
    records: BuildRecords
    progress: Progress
    allow_breaking: bool


def apply_plan(
    manifest: Manifest,
    deployment: Deployment,
    *,
    only: Collection[str],
    allow_breaking: bool,
    progress: Progress,
) -> Applied:
    """Make everything the plan calls stale; with ``only``, these and what they read.

    The plan is made once more when nobody else can be at work. A failure leaves what is made made, and the
    rest stale: applying again goes on from there.

    Raises:
        StorageError: if a replay or another apply is at work there, or a run of the loop on the same assets.
        MetaplatformError: if the plan breaks readers and ``allow_breaking`` is not given, or a run fails.
    """
    hush_loggers()
    with sole_apply(deployment.root):
        chosen = selected(plan_of(manifest, deployment), manifest, only)
        if not allow_breaking:
            _refuse_breaking(chosen)
        definitions = definitions_of(manifest, deployment.in_process)
        with deployment_instance(deployment) as instance:
            resources = dict(definitions.resources or {})
            loop = WorkingLoop(
                manifest, resources["warehouse"], resources["registry"], resources["clock"].now(), instance=instance
            )
            # The sole apply, while no replay is at work, knows that no run of either lives.
            end_dead_runs(instance, *APPLY_TAGS, *REPLAY_TAGS)
            _refuse_busy(loop, chosen)
            records = BuildRecords(loop.warehouse.root_path)
            work = _Work(manifest, definitions.get_repository_def(), instance, loop, records, progress, allow_breaking)
            progress.start(len(chosen.work))
            runs = sum(_make(work, change) for change in chosen.work)
        left = plan_of(manifest, deployment)
        if not left.work:
            keep_book(manifest, records)
            left = plan_of(manifest, deployment)
    return Applied(tuple(change.ref for change in chosen.work), runs, left)


def selected(plan: Plan, manifest: Manifest, only: Collection[str]) -> Plan:
    """Return the plan cut down to ``only`` and what of the plan it reads; all of it if ``only`` is empty.

    Raises:
        MetaplatformError: if the plan does not make one of them.
    """
    if not only:
        return plan
    unknown = sorted(set(only) - {change.ref for change in plan.work})
    if unknown:
        raise MetaplatformError(
            owner="apply",
            culprit=f"the plan does not make {', '.join(unknown)}",
            fix="name references that `metaplatform plan` lists",
        )
    wanted, pending = set(only), list(only)
    while pending:
        fresh = set(manifest.reads(pending.pop())) - wanted
        wanted |= fresh
        pending.extend(fresh)
    return replace(plan, changes=tuple(change for change in plan.work if change.ref in wanted), automation=())


def _refuse_breaking(plan: Plan) -> None:
    if plan.breaking:
        told = "; ".join(f"{change.ref}: {', '.join(change.breaking)}" for change in plan.breaking)
        raise MetaplatformError(
            owner="apply", culprit=f"readers would break: {told}", fix="tell them, then add --allow-breaking"
        )


def _refuse_busy(loop: Loop, plan: Plan) -> None:
    busy = sorted(loop.busy & {change.ref for change in plan.work})
    if busy:
        raise StorageError(
            owner="apply",
            culprit=f"unfinished runs are making {', '.join(busy)}",
            fix="wait for them, then apply again",
        )


def _make(work: _Work, change: Change) -> int:
    """Make one asset; return in how many runs."""
    if SOURCES.holds(change.ref):
        _read(work, change)
    keys = change.partitions or tuple(_all_keys(work.loop, change.ref))
    work.progress.asset(change.ref, len(keys))
    if change.anew and keys != ("",):
        _from_nothing(work, change.ref)
    ranges = ranges_of(work.manifest.partitions(change.ref), keys, MOST_PARTITIONS)
    for number, (first, last) in enumerate(ranges):
        work.progress.partition(first if first == last else f"{first} to {last}")
        try:
            _run(work, change, first, last)
        except RunFailedError as error:
            if error.kind != "ColumnTypeError" or number or change.anew:
                raise
            if not work.allow_breaking:
                raise MetaplatformError(
                    owner=change.ref, culprit=error.culprit, fix="tell its readers, then add --allow-breaking"
                ) from error
            return _make(work, replace(change, anew=True, partitions=()))
    work.records.finish(change.ref)
    return len(ranges)


def _read(work: _Work, change: Change) -> None:
    """Read a source's files, if they or its contract have changed: they tell in which partitions it is made."""
    check = contract_key(ref_name(change.ref))
    run_in_process(work.repository, work.instance, assets=(), checks=[check], tags=_tags(work, change))


def _from_nothing(work: _Work, ref: str) -> None:
    """Take away what is stored, having noted that the asset is not whole until it is made to the end."""
    work.records.begin(ref, entity_fields(work.manifest.entities[ref]))
    if work.loop.warehouse.exists(ref):
        work.loop.warehouse.clear(ref, metadata={"spec_hash": work.manifest.spec_hash(ref)})


def _all_keys(loop: Loop, ref: str) -> Iterator[str]:
    """Yield the partitions that an asset is made in: those closed that a source holds, or those of its parent."""
    scheme = loop.manifest.partitions(ref)
    parent = loop.manifest.partition_parent(ref)
    if scheme is None:
        yield ""
    elif parent is not None:
        yield from sorted(key for key in loop.warehouse.partitions(parent) if key)
    else:
        held = replace(loop).contents.get(ref_name(ref))
        keys = held.partitions if held else ()
        yield from sorted(key for key in keys if scheme.start <= key < scheme.key_of(loop.now))


def _tags(work: _Work, change: Change) -> dict[str, str]:
    return {
        NOW_TAG: work.loop.now.isoformat(),
        REASON_TAG: f"apply: {'; '.join(change.reasons)}"[:_LONGEST_TAG],
        APPLY_TAG: "true",
    }


def _run(work: _Work, change: Change, first: str, last: str) -> None:
    tags = _tags(work, change)
    if MODELS.holds(change.ref):
        tags[DECISION_TAG] = _training_id(work, change.ref)
    if first != last:
        tags |= range_tags(first, last)
    run_in_process(
        work.repository,
        work.instance,
        assets=[STANDALONE.key(change.ref)],
        partition=first if first and first == last else None,
        tags=tags,
    )


def _training_id(work: _Work, ref: str) -> str:
    """Return what names this training: a second apply finds the version that a killed one had trained."""
    before = work.records.read(ref)
    runs = [made.run_id for made in before.partitions.values()] if before else []
    return stable_id("apply", ref, work.manifest.lineage.of(ref), *runs)
