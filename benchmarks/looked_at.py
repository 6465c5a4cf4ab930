"""A storage root as years of runs leave it, written without them: records, logs and versions of models, no rows."""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from metaplatform.chapters import FEATURE_SETS, PREDICTIONS, SOURCES
from metaplatform.compute.policy.road import topological_order
from metaplatform.naming import stable_id
from metaplatform.resources.models.mlflow_logging import lineage_tags
from metaplatform.resources.models.model_bundle import ModelBundle, TrainingLineage
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.label_records import LabelRecords
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.match_records import MatchRecords
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.builds import Built, BuiltPartition
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.fingerprints import Contents
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_contents import PartitionContent, SourceContents
from metaplatform.specs.entities.monitoring import GATE
from metaplatform.specs.loading import load_book
from metaplatform.specs.records.encoding import FittedEncoding, FittedFeature
from metaplatform.specs.records.learnt import Learnt
from metaplatform.specs.records.ledger import Arrival, Decision, Observation, Promotion
from metaplatform.specs.records.matches import Matches
from metaplatform.specs.snapshots import entity_fields, snapshot_of
from metaplatform.work.label_counting import _definition
from metaplatform.work.staging import mark_of

START = datetime(2024, 1, 1, tzinfo=UTC)
BOOK = """\
sources:
  visits_#:
    kind: csv
    path: data/visits_#.csv
    columns: {visit: bigint, visitor: varchar, at: timestamptz, amount: double, bought: boolean}
    key: [visit]
    event_timestamp: at
    partitions: {every: hour, start: 2024-01-01T00}
    outcomes: {columns: [bought], delay: 2 days}

feature_sets:
  known_#:
    spine: raw.visits_#
    features:
      - {kind: expression, columns: {log_amount: ln(amount + 1)}}
      - {kind: window, table: raw.visits_#, on: {visitor: visitor}, window: 90 days, columns: {visits: count(*)}}

models:
  buys_#:
    kind: xgboost
    task: binary
    feature_set: known_#
    target: {sql: bought, exclude: bought is null}
    training: {window: 6 months, holdout: 1 month}
    promotion: {metric: roc_auc, min_gain: 0.002}
    retrain: {drift: {monitors: [drift_#]}, cooldown: 20 days}

predictions:
  buyers_#: {model: buys_#}

monitors:
  drift_#: {kind: drift, prediction: buyers_#}
  performance_#: {kind: performance, prediction: buyers_#, metrics: {roc_auc: {min: 0.6}}}

reactions:
  greet_#: {prediction: buyers_#, when: probability > 0.9, notify: [{kind: file}]}
"""


def hours(number: int) -> list[str]:
    """Return the keys of the first so many hours."""
    return [f"{START + timedelta(hours=hour):%Y-%m-%dT%H}" for hour in range(number)]


class LookedAt:
    """A project in ``folder``: a book of so many chains from source to reaction, all made for the same hours."""

    def __init__(self, folder: Path) -> None:
        """Read the book that :meth:`write` has left there."""
        self.deployment = Deployment(book=folder / "book", root=folder / "root")
        self.manifest: Manifest = load_book(folder / "book")
        self.warehouse = Warehouse(root=str(self.deployment.root))
        self.registry = ModelRegistry(
            tracking_uri=self.deployment.tracking_uri, artifact_root=str(self.deployment.model_files)
        )

    @classmethod
    def write(cls, folder: Path, *, chains: int, partitions: int) -> "LookedAt":
        """Write book and files, and what is kept of each of so many hours."""
        (folder / "book").mkdir(parents=True)
        (folder / "data").mkdir()
        for chain in range(chains):
            (folder / "book" / f"chain_{chain}.yaml").write_text(BOOK.replace("#", str(chain)), encoding="utf-8")
            (folder / "data" / f"visits_{chain}.csv").write_text("visit,visitor,at,amount,bought\n", encoding="utf-8")
        made = cls(folder)
        made._keep(hours(partitions))
        return made

    @property
    def root(self) -> Path:
        """Return the storage root."""
        return self.deployment.root

    def arrive(self, names: Sequence[str], keys: Sequence[str], content: str) -> list[Arrival]:
        """Keep what the sources were found to hold, and return that it has arrived."""
        contents = {key: PartitionContent(1, content) for key in keys}
        fingerprint, now = PartitionContent(1, content).fingerprint, START + timedelta(hours=len(keys))
        records, arrivals = ContentRecords(self.root), []
        for name in names:
            source = self.manifest.sources[name]
            mark, spec_hash = mark_of(self.manifest, source).mark, self.manifest.spec_hash(source.ref)
            number = len(keys)
            records.keep(name, SourceContents(mark, spec_hash, number, number, 0, 0, 0, now, contents))
            arrivals += [Arrival(stable_id(name, key, content), name, key, fingerprint, 1, 0, now, "r") for key in keys]
        return arrivals

    def built(self, ref: str, keys: Sequence[str], built: dict[str, Built]) -> dict[str, BuiltPartition]:
        """Return the records of partitions as if they were made now."""
        contents, spec_hash = Contents(self.manifest, built), self.manifest.spec_hash(ref)
        inputs = dict(self.manifest.lineage.inputs(ref))
        version = 1 if PREDICTIONS.holds(ref) else None
        return {
            key: BuiltPartition(
                spec_hash, inputs, 0.1, "r", version, contents.read(ref, key), stable_id(ref, key, "content")
            )
            for key in keys
        }

    def _keep(self, keys: list[str]) -> None:
        manifest, records, built = self.manifest, BuildRecords(self.root), dict[str, Built]()
        arrivals = self.arrive(list(manifest.sources), keys, "content")
        for ref in topological_order(manifest):
            if ref not in manifest.assets or ref.startswith(("monitoring.", "reactions.")):
                continue
            made = self.built(ref, keys if manifest.partitions(ref) else [""], built)
            built[ref] = Built(entity_fields(manifest.entities[ref]), made)
            records.keep(ref, built[ref].fields, made)
            if SOURCES.holds(ref) or FEATURE_SETS.holds(ref) or PREDICTIONS.holds(ref):
                write_log(self.warehouse.path(ref), keys, predictions=PREDICTIONS.holds(ref))
        records.apply(manifest.identity, lambda: snapshot_of(manifest))
        Ledger(self.warehouse).append(*arrivals, *self._seen(keys))
        for name, model in manifest.models.items():
            counted = {
                key: {473_352 + number: (1, float(number % 2), float(number % 2))} for number, key in enumerate(keys)
            }
            LabelRecords(self.root).keep(name, _definition(manifest, model), counted)
        for name, reaction in manifest.reactions.items():
            MatchRecords(self.root).keep(name, {keys[-1]: Matches(reaction.prediction, 0, 1, "r")})
        self._train(keys)

    def _seen(self, keys: Sequence[str]) -> Iterator[Observation | Decision | Promotion]:
        """Yield what monitors have seen of each hour, and the decision that led to the first version."""
        for name, monitor in self.manifest.monitors.items():
            model = self.manifest.predictions[monitor.prediction].model
            performance = monitor.waits_for_labels
            check = "roc_auc" if performance else "data_drift"
            for key in keys:
                now = datetime.strptime(key, "%Y-%m-%dT%H").replace(tzinfo=UTC) + timedelta(hours=1)
                for each in (check,) if performance else (check, GATE):
                    yield Observation(
                        stable_id(name, key, each), name, "performance" if performance else "drift", model, 1, each,
                        "", key, 0.1, 0.5, 100, "passed", "", now, "r",
                    )  # fmt: skip
        for name in self.manifest.models:
            now = START + timedelta(hours=1)
            decision = stable_id("first", name)
            yield Decision(decision, name, "retrain", "first", "it has no version yet", now, number=0)
            yield Promotion(decision, name, 1, None, "promoted", "roc_auc", None, 0.7, None, None, 9, "first", now, "r")

    def _train(self, keys: Sequence[str]) -> None:
        """Register a first version of each model, the champion: one through the registry, the others as copies."""
        from mlflow import MlflowClient

        end = START + timedelta(hours=len(keys))
        encoding = FittedEncoding((FittedFeature("log_amount", "number", "float64"),))
        first, *others = self.manifest.models
        lineage = TrainingLineage(START, end, end, end, 9, 0, 9, 0, 0, self.manifest.spec_hash(f"models.{first}"), 0)
        bundle = ModelBundle(Learnt("xgboost", {"model.ubj": b""}), encoding, "binary", "bought", lineage)
        version = self.registry.new_version(first, bundle, params={}, metrics={}, tags={})
        self.registry.promote(first, 1)
        client = MlflowClient(self.deployment.tracking_uri, self.deployment.tracking_uri)

        files = Path(version.source.removeprefix("file://"))
        for name in others:
            copy = self.deployment.model_files / name / "models" / f"m-{name}" / "artifacts"
            shutil.copytree(files, copy)
            client.create_registered_model(name)
            client.create_model_version(name, source=copy.as_uri(), run_id=version.run_id, tags=lineage_tags(bundle))
            client.set_registered_model_alias(name, "champion", "1")


def write_log(folder: Path, keys: Sequence[str], *, predictions: bool) -> None:
    """Write the log of a table that nobody reads a row of."""
    names = ("visit", "_partition")
    fields: list[dict[str, object]] = [
        {"name": name, "type": "string", "nullable": True, "metadata": {}} for name in names
    ]
    if predictions:
        fields.append({"name": "model_version", "type": "long", "nullable": True, "metadata": {}})
    schema = json.dumps({"type": "struct", "fields": fields})
    table = {"id": "t", "format": {"provider": "parquet", "options": {}}, "schemaString": schema, "configuration": {}}
    actions: list[dict[str, object]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {**table, "partitionColumns": ["_partition"]}},
    ]
    bounds = {name: {"model_version": 1} for name in ("minValues", "maxValues")} if predictions else {}
    stats = json.dumps({"numRecords": 1, **bounds})
    for key in keys:
        file = {"path": f"{key}.parquet", "partitionValues": {"_partition": key}, "size": 1, "modificationTime": 0}
        actions.append({"add": {**file, "dataChange": True, "stats": stats}})
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)), encoding="utf-8")
