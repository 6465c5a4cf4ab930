"""Gathers what the loop's decisions are made from: the warehouse, the registry, the ledger and the sources."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

import dagster as dg

from metaplatform.chapters import PREDICTIONS, SOURCES, STORED
from metaplatform.compute.policy.arrivals import ArrivalState
from metaplatform.compute.policy.quarantine import beyond_share
from metaplatform.compute.policy.ranges import Joining
from metaplatform.compute.policy.reading import Looked, unseen
from metaplatform.compute.policy.scoring import ScoringState, VersionState
from metaplatform.compute.policy.stale import Stale, made_of_rows, stale_of
from metaplatform.errors import MetaplatformError
from metaplatform.factories.contracts import CONTRACT, contract_op
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.naming import op_name, ref_name, ref_prefix
from metaplatform.resources.models.model_registry import ModelRegistry, ModelVersion
from metaplatform.resources.models.registered import Registered
from metaplatform.resources.process.remembered import Remembered
from metaplatform.resources.sinks.exports import lost_files
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.ledger import Grouped, Ledger
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.resources.storage.table_logs import TableLogs
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.builds import Built
from metaplatform.specs.book.fingerprints import Contents
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_contents import SourceContents, closed_until
from metaplatform.specs.entities.inference import PredictionSpec
from metaplatform.specs.records.ledger import Approval, Arrival, Decision, Observation, Promotion
from metaplatform.work.inference import redefined_features
from metaplatform.work.label_maturity import labels_known_at
from metaplatform.work.staging import mark_of

NOT_FINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
LOOP_RESOURCES = ("warehouse", "registry", "clock")
"""Keys of the resources that a loop is made of."""
_stale: Remembered[tuple[Path, str], Mapping[str, str]] = Remembered()
_redefined: Remembered[tuple[Path, str], tuple[str, ...]] = Remembered()


@dataclass(frozen=True)
class Loop:
    """The book and the resources that its loop reads, at one moment; of tables their logs alone.

    ``instance`` knows the runs at work, ``notifier`` tells people, ``mount`` which assets are the book's.
    """

    manifest: Manifest
    warehouse: TableLogs
    registry: ModelRegistry
    now: datetime
    replaying: bool = False
    instance: dg.DagsterInstance | None = None
    notifier: Notifier | None = None
    mount: Mount = STANDALONE

    @cached_property
    def busy(self) -> frozenset[str]:
        """Return the references that unfinished runs are making or reading."""
        made = (self.mount.ref(key) for run in self._unfinished for key in run.asset_selection or ())
        steps = {self.mount.named(op_name(ref)): ref for ref in self.manifest.assets}
        return frozenset(
            (
                *(ref for ref in made if ref),
                *(SOURCES.ref(name) for name in self.reading),
                *(steps[key] for key in self._steps_of_jobs & steps.keys()),
            )
        )

    @cached_property
    def reading(self) -> frozenset[str]:
        """Return the sources that unfinished runs are reading."""
        checks = (key for run in self._unfinished for key in run.asset_check_selection or ())
        read = (self.mount.ref(key.asset_key) for key in checks if key.name == CONTRACT)
        steps = {self.mount.named(contract_op(SOURCES.ref(name))): name for name in self.manifest.sources}
        return frozenset(
            (*(ref_name(ref) for ref in read if ref), *(steps[key] for key in self._steps_of_jobs & steps.keys()))
        )

    @cached_property
    def _steps_of_jobs(self) -> frozenset[str]:
        """Return the steps of unfinished runs that name no assets: of a whole job, a schedule's or the project's."""
        return frozenset(
            step
            for run in self._unfinished
            if self.instance and not run.asset_selection and not run.asset_check_selection
            for step in _steps(self.instance, run)
        )

    @cached_property
    def at_work(self) -> frozenset[str]:
        """Return the ids of the unfinished runs."""
        return frozenset(run.run_id for run in self._unfinished)

    @cached_property
    def contents(self) -> Mapping[str, SourceContents]:
        """Return what the sources that were ever read were found to hold."""
        records = ContentRecords(self.warehouse.root_path)
        found = {name: records.read(name) for name in self.manifest.sources}
        return {name: contents for name, contents in found.items() if contents is not None}

    @cached_property
    def _unfinished(self) -> Sequence[dg.DagsterRun]:
        if self.instance is None:
            return ()
        return self.instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED)))

    @cached_property
    def stale(self) -> Stale:
        """Return what was made of other contents than there are now, as the records of what was made tell."""
        manifest, made = self.manifest, self.made
        contents, found = Contents(manifest, made), dict[str, Mapping[str, str]]()
        for ref in made_of_rows(manifest, made):
            read = (made.get(other) for other in manifest.reads(ref))
            stale = _stale.of(
                (self.warehouse.root_path, ref),
                (manifest, made[ref], *read),
                partial(stale_of, ref, made[ref], manifest, contents),
            )
            if stale:
                found[ref] = stale
        return found

    @cached_property
    def lost(self) -> Stale:
        """Return the outputs whose files are gone, and which partitions of them."""
        return lost_files(self.manifest, self.made, self.warehouse.root_path)

    @cached_property
    def made(self) -> Mapping[str, Built]:
        """Return what is known of all that was made."""
        found = BuildRecords(self.warehouse.root_path).all()
        return {ref: found[ref] for ref in self.manifest.assets if ref in found}

    def made_again_for(self, ref: str) -> tuple[str, ...]:
        """Return what is stale of all that ``ref`` is computed from: whoever reads it now reads what is not so."""
        pending, read = [ref], dict[str, None]()
        while pending:
            found = [other for other in self.manifest.reads(pending.pop()) if other not in read]
            read.update(dict.fromkeys(found))
            pending.extend(found)
        return tuple(other for other in read if other in self.stale)

    @cached_property
    def registered(self) -> Registered:
        """Return the versions of all models."""
        return self.registry.registered()

    @cached_property
    def approved(self) -> frozenset[str]:
        """Return the findings that a person has approved."""
        return frozenset(kept.finding for kept in self.ledger.read(Approval))

    @cached_property
    def decisions(self) -> Grouped[Decision]:
        """Return what retrain policies have said, by model."""
        return self.ledger.by(Decision, "model")

    @cached_property
    def promotions(self) -> Grouped[Promotion]:
        """Return the verdicts on challengers, by model."""
        return self.ledger.by(Promotion, "model")

    @cached_property
    def verdicts(self) -> Grouped[Observation]:
        """Return what monitors have said of whole partitions, by model."""
        return self.ledger.by(Observation, "model", column="")

    @property
    def ledger(self) -> Ledger:
        """Return the loop's own tables."""
        return Ledger(self.warehouse)


@dataclass(frozen=True)
class WorkingLoop(Loop):
    """The loop with the warehouse itself, for what reads or writes data and is not a tick."""

    warehouse: Warehouse


def _steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterable[str]:
    if run.step_keys_to_execute:
        return run.step_keys_to_execute
    return (
        instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).step_keys_to_execute
        if run.execution_plan_snapshot_id
        else ()
    )


def loop_of(
    context: dg.SensorEvaluationContext | dg.ScheduleEvaluationContext,
    manifest: Manifest,
    mount: Mount,
    notifier: Notifier | None = None,
) -> Loop:
    """Return the loop that a sensor or a schedule looks at, with the resources of the book's mount."""
    warehouse, registry, clock = (mount.resource(context, key) for key in LOOP_RESOURCES)
    return Loop(
        manifest,
        warehouse.logs,
        registry,
        clock.now(),
        replaying=bool(clock.at),
        instance=context.instance,
        notifier=notifier,
        mount=mount,
    )


def look_at_sources(loop: Loop) -> tuple[dict[str, Looked], list[str]]:
    """Return what a look at each source's files finds, and why some cannot be looked at. No file is opened."""
    looks: dict[str, Looked] = {}
    faults: list[str] = []
    for name, source in loop.manifest.sources.items():
        known = loop.contents.get(name)
        if (every := source.asked_every) is not None:
            looks[name] = unseen(known, loop.manifest.spec_hash(SOURCES.ref(name)), every, loop.now)
            continue
        try:
            found = mark_of(loop.manifest, source)
        except MetaplatformError as error:
            # What one source lacks must not keep the others from arriving.
            faults.append(f"{error.owner}: {error.culprit} ({error.fix})")
            continue
        looks[name] = Looked(
            found.mark, found.changed_at, known.mark if known else None, known.arrived_at if known else None
        )
    return looks, faults


def arrival_state(loop: Loop, reading: Collection[str] = ()) -> ArrivalState:
    """Return what arrivals are planned from, while the sources ``reading`` are about to be read."""
    arrived: dict[tuple[str, str], str] = {}
    last: dict[tuple[str, str], str] = {}
    arrivals = loop.ledger.by(Arrival, "source")
    for source in arrivals:
        for arrival in arrivals.of(source):
            arrived[source, arrival.partition] = arrival.fingerprint
            last[source, arrival.partition] = arrival.arrival_id
    closed = closed_until(loop.manifest, loop.now)
    return ArrivalState(
        contents={
            name: contents.fingerprints(loop.manifest.sources[name], closed) for name, contents in loop.contents.items()
        },
        arrived=arrived,
        built=built_tables(loop),
        scorable=frozenset(wanted_versions(loop)),
        last=last,
        busy=loop.busy,
        reading=frozenset(reading),
        known=labels_known(loop),
        blocked=blocked_partitions(loop),
        stale=loop.stale,
        lost=loop.lost,
        joining=joining_of(loop),
    )


def joining_of(loop: Loop) -> Joining:
    """Return what tells which partitions may be made in one run."""
    counted = (model.name for model in loop.manifest.models.values() if model.retrain and model.retrain.new_rows)
    rows = {
        SOURCES.ref(name): {key: held.rows for key, held in contents.partitions.items()}
        for name, contents in loop.contents.items()
    }
    return Joining(rows, frozenset(name for name in counted if loop.registry.champion(name)))


def blocked_partitions(loop: Loop) -> dict[tuple[str, str], str]:
    """Return the partitions of sources (``""``: the whole) with too much in quarantine, and what is told of each."""
    told: dict[tuple[str, str], str] = {}
    for name, contents in loop.contents.items():
        for each in beyond_share(loop.manifest.sources[name], contents, loop.approved):
            so_far = told.get((name, each.partition))
            told[name, each.partition] = f"{so_far}; {each}" if so_far else str(each)
    return told


def wanted_version(loop: Loop, prediction: PredictionSpec) -> ModelVersion | None:
    """Return the model version that a prediction asks for, None if there is none yet."""
    if prediction.version == "champion":
        return loop.registered.champion(prediction.model)
    return loop.registered.version(prediction.model, int(prediction.version))


def wanted_versions(loop: Loop) -> dict[str, ModelVersion]:
    """Return the model version of every prediction that has one."""
    found = {name: wanted_version(loop, spec) for name, spec in loop.manifest.predictions.items()}
    return {
        name: version for name, version in found.items() if version is not None and not unfit_features(loop, version)
    }


def held_predictions(loop: Loop) -> dict[str, str]:
    """Return the predictions that wait for a version of the book's definitions, and why."""
    found = ((name, wanted_version(loop, spec)) for name, spec in loop.manifest.predictions.items())
    return {
        name: f"version {version.version} of {version.model} learnt another definition of {', '.join(unfit)}"
        for name, version in found
        if version is not None and (unfit := unfit_features(loop, version))
    }


def unfit_features(loop: Loop, version: ModelVersion) -> tuple[str, ...]:
    """Return the features of a version that the book defines otherwise than when the version learnt them."""
    return _redefined.of(
        (loop.warehouse.root_path, version.model),
        (loop.manifest, loop.registry.definitions(version)),
        partial(redefined_features, loop.manifest, version, loop.registry),
    )


def scoring_state(loop: Loop) -> ScoringState:
    """Return what re-scoring and performance checks are planned from."""
    manifest = loop.manifest
    stored = {name: loop.warehouse.partitions(PREDICTIONS.ref(name)) for name in manifest.predictions}
    built = built_tables(loop)
    asked = {name: _versions_asked(loop, name) for name in manifest.predictions}
    judged = loop.ledger.by(Observation, "monitor", kind="performance")
    return ScoringState(
        wanted={
            name: VersionState(version.version, version.trained_until, manifest.predictions[name].in_sample)
            for name, version in wanted_versions(loop).items()
        },
        features={
            name: built[manifest.models[spec.model].feature_set_ref] for name, spec in manifest.predictions.items()
        },
        scored={
            name: {key: asked[name].get(key) or state.model_version or 0 for key, state in states.items()}
            for name, states in stored.items()
        },
        judged=frozenset((monitor, seen.partition) for monitor in judged for seen in judged.of(monitor)),
        contents={name: {key: state.content for key, state in states.items()} for name, states in stored.items()},
        built=built,
        busy=loop.busy,
        known=labels_known(loop),
    )


def _versions_asked(loop: Loop, prediction: str) -> dict[str, int | None]:
    """Return the version that was asked to score each partition; it may have learnt from all that is stored there."""
    kept = loop.made.get(PREDICTIONS.ref(prediction))
    return {key: made.model_version for key, made in kept.partitions.items()} if kept else {}


def labels_known(loop: Loop) -> dict[str, datetime]:
    """Return the moment as of which labels are known, by model."""
    models = loop.manifest.models
    return {name: labels_known_at(loop.manifest, spec, loop.warehouse, loop.now) for name, spec in models.items()}


def built_tables(loop: Loop) -> dict[str, frozenset[str]]:
    """Return the partitions that each table was made for, those without rows too; ``""`` where there are none."""
    tables = (ref for ref in loop.manifest.entities if ref_prefix(ref) in STORED)
    return {ref: frozenset(loop.warehouse.partitions(ref)) for ref in tables}
