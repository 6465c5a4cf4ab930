"""What each result of the book is computed from, and one hash for all that decides it, up to the sources."""

from collections.abc import Mapping
from typing import Literal

from metaplatform.naming import stable_id
from metaplatform.specs.base import Entity
from metaplatform.specs.expressions import referenced_tables
from metaplatform.specs.features import FeatureSetSpec, JoinedFeatures, LookupFeatures
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.ingestion import TableSpec
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.outputs import FileOutput, ReportOutput, ViewsOutput
from metaplatform.specs.training import ModelSpec

Reach = Literal["same", "until", "whole"]
"""How much of an input a partition is made from: the same partition, that and those before it, or all there is."""


def reads(manifest: Manifest, ref: str) -> dict[str, Reach]:
    """Return what the result of ``ref`` is computed from, and how much of it.

    Unlike ``Manifest.upstream`` without what only comes first (``after``), and without a model whose pinned
    version scores: training it again changes nothing there.
    """
    reached = _reads(manifest, manifest.entities[ref])
    own = manifest.partitions(ref)
    if own is None:
        return dict.fromkeys(reached, "whole")
    return {other: reach if manifest.partitions(other) == own else "whole" for other, reach in reached.items()}


def _reads(manifest: Manifest, entity: Entity) -> dict[str, Reach]:
    match entity:
        case TableSpec() | ReportOutput():
            return {ref: "same" if ref == entity.partitioned_by else "whole" for ref in referenced_tables(entity.sql)}
        case FeatureSetSpec():
            return _reads_of_features(entity)
        case ModelSpec():
            return {f"features.{entity.feature_set}": "whole", manifest.feature_sets[entity.feature_set].spine: "whole"}
        case PredictionSpec():
            return _reads_of_prediction(manifest, entity)
        case FileOutput() | ViewsOutput():
            return dict.fromkeys(entity.tables if isinstance(entity, ViewsOutput) else (entity.table,), "same")
    return {}


def _reads_of_features(feature_set: FeatureSetSpec) -> dict[str, Reach]:
    """Features look back, never ahead; facts that are looked up are read whatever their time."""
    found: dict[str, Reach] = {feature_set.spine: "same"}
    for block in feature_set.features:
        if isinstance(block, JoinedFeatures):
            reach: Reach = "whole" if isinstance(block, LookupFeatures) else "until"
            before = found.get(block.table, "same")
            found[block.table] = "whole" if "whole" in (reach, before) else reach
    return found


def _reads_of_prediction(manifest: Manifest, prediction: PredictionSpec) -> dict[str, Reach]:
    model = manifest.models[prediction.model]
    spine = manifest.feature_sets[model.feature_set].spine
    found: dict[str, Reach] = {f"features.{model.feature_set}": "same"}
    if prediction.version == "champion":
        found[f"models.{prediction.model}"] = "whole"
    return {**found, spine: "same"} if prediction.keep else found


def lineage_hash(spec_hash: str, inputs: Mapping[str, str]) -> str:
    """Return one hash of an entity's own spec and of the lineage of all it is computed from."""
    return stable_id(spec_hash, *(f"{ref}={inputs[ref]}" for ref in sorted(inputs)))


class Lineage:
    """The lineage that everything in a book would have, were all of it made from this book."""

    def __init__(self, manifest: Manifest) -> None:
        """Know nothing yet."""
        self._manifest = manifest
        self._known: dict[str, str] = {}
        self._inputs: dict[str, dict[str, str]] = {}
        self._reach: dict[str, Mapping[str, Reach]] = {}

    def of(self, ref: str) -> str:
        """Return the lineage hash of ``ref``; a sound book has no cycles."""
        pending = [ref]
        while pending:
            current = pending[-1]
            wanted = [other for other in self._reads(current) if other not in self._known]
            if wanted:
                pending.extend(wanted)
                continue
            pending.pop()
            inputs = {other: self._known[other] for other in self._reads(current)}
            self._inputs[current] = inputs
            self._known[current] = lineage_hash(self._manifest.spec_hash(current), inputs)
        return self._known[ref]

    def inputs(self, ref: str) -> Mapping[str, str]:
        """Return the lineage hash of each input of ``ref``."""
        self.of(ref)
        return self._inputs[ref]

    def _reads(self, ref: str) -> Mapping[str, Reach]:
        if ref not in self._reach:
            self._reach[ref] = reads(self._manifest, ref)
        return self._reach[ref]
