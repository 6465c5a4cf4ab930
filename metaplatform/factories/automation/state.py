"""Gathers what the loop's decisions are made from: the warehouse, the registry, the ledger and the sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import dagster as dg

from metaplatform.compute.policy.arrivals import ArrivalState, SourceContents
from metaplatform.compute.policy.retraining import TrainingState
from metaplatform.compute.policy.scoring import ScoringState, VersionState
from metaplatform.factories.source_contents import settled_until, source_contents
from metaplatform.factories.staging import files_fingerprint
from metaplatform.naming import ref_of
from metaplatform.resources.ledger import Ledger
from metaplatform.resources.model_registry import ModelRegistry, ModelVersion
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.records import Arrival, Decision, Observation
from metaplatform.specs.training import ModelSpec

NOT_FINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
TABLE_PREFIXES = frozenset({"raw", "tables", "features", "predictions", "outputs"})
SeenContents = Mapping[str, tuple[str, Mapping[str, str]]]
"""Source → (fingerprint of its files and of ``now``'s reach, fingerprints by partition): kept between ticks."""


@dataclass(frozen=True)
class Loop:
    """The book and the resources that its loop reads, at one moment.

    ``instance`` knows the runs at work.
    """

    manifest: Manifest
    warehouse: Warehouse
    registry: ModelRegistry
    now: datetime
    replaying: bool = False
    instance: dg.DagsterInstance | None = None

    @cached_property
    def busy(self) -> frozenset[str]:
        """Return the references that unfinished runs are making; a run of everything names none."""
        if self.instance is None:
            return frozenset()
        unfinished = self.instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED)))
        return frozenset(ref_of(key.path) for run in unfinished for key in run.asset_selection or ())

    @property
    def ledger(self) -> Ledger:
        """Return the loop's own tables."""
        return Ledger(self.warehouse)


def seen_contents(loop: Loop, before: SeenContents) -> dict[str, tuple[str, Mapping[str, str]]]:
    """Return what each source holds; a source whose files and reach are as before is not read again."""
    seen: dict[str, tuple[str, Mapping[str, str]]] = {}
    for name, source in loop.manifest.sources.items():
        files = files_fingerprint(loop.manifest, source)
        reach = _reach(loop, name)
        mark = f"{files}/{reach}"
        if name in before and before[name][0] == mark:
            seen[name] = before[name]
            continue
        seen[name] = (mark, source_contents(loop.manifest, source, loop.warehouse, loop.now))
    return seen


def _reach(loop: Loop, name: str) -> str:
    """Return how far ``now`` lets one see into a source; partitions that are not closed wait elsewhere."""
    source = loop.manifest.sources[name]
    timeless = source.event_timestamp is None or source.partitions is not None
    return "" if timeless else settled_until(loop.manifest, loop.now).isoformat()


def arrival_state(loop: Loop, contents: SeenContents) -> ArrivalState:
    """Return what arrivals are planned from."""
    arrived: dict[tuple[str, str], str] = {}
    last: dict[tuple[str, str], str] = {}
    for arrival in loop.ledger.read(Arrival):
        arrived[arrival.source, arrival.partition] = arrival.fingerprint
        last[arrival.source, arrival.partition] = arrival.arrival_id
    return ArrivalState(
        contents={name: SourceContents(fingerprints) for name, (_, fingerprints) in contents.items()},
        arrived=arrived,
        built=built_tables(loop),
        scorable=frozenset(wanted_versions(loop)),
        last=last,
        busy=loop.busy,
    )


def wanted_version(loop: Loop, prediction: PredictionSpec) -> ModelVersion | None:
    """Return the model version that a prediction asks for, None if there is none yet."""
    if prediction.version == "champion":
        return loop.registry.champion(prediction.model)
    return next(
        (found for found in loop.registry.versions(prediction.model) if found.version == prediction.version), None
    )


def wanted_versions(loop: Loop) -> dict[str, ModelVersion]:
    """Return the model version of every prediction that has one."""
    found = {name: wanted_version(loop, spec) for name, spec in loop.manifest.predictions.items()}
    return {name: version for name, version in found.items() if version is not None}


def scoring_state(loop: Loop) -> ScoringState:
    """Return what re-scoring and performance checks are planned from."""
    manifest = loop.manifest
    stored = {name: loop.warehouse.partitions(f"predictions.{name}") for name in manifest.predictions}
    built = built_tables(loop)
    return ScoringState(
        wanted={
            name: VersionState(version.version, version.trained_until)
            for name, version in wanted_versions(loop).items()
        },
        features={
            name: built[f"features.{manifest.models[spec.model].feature_set}"]
            for name, spec in manifest.predictions.items()
        },
        scored={
            name: {key: state.model_version or 0 for key, state in states.items()} for name, states in stored.items()
        },
        judged=frozenset((seen.monitor, seen.partition) for seen in loop.ledger.read(Observation, kind="performance")),
        contents={name: {key: state.content for key, state in states.items()} for name, states in stored.items()},
        built=built,
        busy=loop.busy,
    )


def built_tables(loop: Loop) -> dict[str, frozenset[str]]:
    """Return the partitions that each table was made for, those without rows too; ``""`` where there are none."""
    tables = (ref for ref in loop.manifest.entities if ref.split(".")[0] in TABLE_PREFIXES)
    return {ref: frozenset(loop.warehouse.partitions(ref)) for ref in tables}


def training_state(loop: Loop, model: ModelSpec) -> TrainingState:
    """Return what the retrain policy of ``model`` is asked with."""
    champion = loop.registry.champion(model.name)
    versions = loop.registry.versions(model.name)
    span = _data_span(loop, model)
    delay = loop.manifest.label_delay(model)
    cut = min(delay.before(loop.now), span[1]) if span else None
    last_cut = max((version.cut for version in versions), default=None)
    return TrainingState(
        champion_version=champion.version if champion else None,
        data_start=span[0] if span else None,
        cut=cut,
        rows=_rows(loop, model, model.training.window.before(cut), cut) if cut else 0,
        new_rows=_rows(loop, model, last_cut, cut) if cut and last_cut else 0,
        retrains=loop.ledger.read(Decision, model=model.name, outcome="retrain"),
        observations=loop.ledger.read(Observation, model=model.name, column=""),
        training=f"models.{model.name}" in loop.busy,
        last_cut=last_cut,
    )


def _data_span(loop: Loop, model: ModelSpec) -> tuple[datetime, datetime] | None:
    """Return the first and last moment of the model's features, as half-open UTC bounds."""
    ref = f"features.{model.feature_set}"
    partitions = loop.warehouse.partitions(ref)
    if not partitions:
        return None
    if spec := loop.manifest.partitions(ref):
        keys = sorted(partitions)
        return spec.window(keys[0]).start, spec.window(keys[-1]).end
    column = loop.manifest.spine_of(model).event_timestamp
    with loop.warehouse.session() as session:
        moments = session.table(ref)[column]
        found = (
            session.reader(session.table(ref).aggregate(first=moments.min(), last=moments.max()))
            .read_all()
            .to_pylist()[0]
        )
    if found["first"] is None:
        return None
    return found["first"].astimezone(UTC), found["last"].astimezone(UTC) + timedelta(microseconds=1)


def _rows(loop: Loop, model: ModelSpec, start: datetime, end: datetime) -> int:
    """Count feature rows in ``[start, end)``; by whole partitions where there are some."""
    ref = f"features.{model.feature_set}"
    if spec := loop.manifest.partitions(ref):
        windows = ((spec.window(key), state.rows) for key, state in loop.warehouse.partitions(ref).items())
        return sum(rows for window, rows in windows if window.start < end and window.end > start)
    column = loop.manifest.spine_of(model).event_timestamp
    with loop.warehouse.session() as session:
        table = session.table(ref)
        inside = table.filter((table[column] >= start) & (table[column] < end))
        return int(session.reader(inside.aggregate(rows=inside.count())).read_all()["rows"][0].as_py())
