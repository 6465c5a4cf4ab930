"""What the result of one entity is computed from, and how much of it."""

from collections.abc import Mapping
from typing import Literal

from metaplatform.specs.base import Entity
from metaplatform.specs.expressions import referenced_tables
from metaplatform.specs.features import FeatureSetSpec, JoinedFeatures, LookupFeatures
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.ingestion import TableSpec
from metaplatform.specs.outputs import FileOutput, ReportOutput, ViewsOutput
from metaplatform.specs.training import ModelSpec

Reach = Literal["same", "until", "whole"]
"""How much of an input a partition is made from: the same partition, that and those before it, or all there is."""


def reads_of(
    entity: Entity, models: Mapping[str, ModelSpec], feature_sets: Mapping[str, FeatureSetSpec]
) -> dict[str, Reach]:
    """Return the references that an entity's result is computed from, as if all had its partitions.

    Raises:
        KeyError: if the entity names a model or a feature set that is not there.
    """
    match entity:
        case TableSpec() | ReportOutput():
            return {ref: "same" if ref == entity.partitioned_by else "whole" for ref in referenced_tables(entity.sql)}
        case FeatureSetSpec():
            return _reads_of_features(entity)
        case ModelSpec():
            return {f"features.{entity.feature_set}": "whole", feature_sets[entity.feature_set].spine: "whole"}
        case PredictionSpec():
            model = models[entity.model]
            return _reads_of_prediction(entity, model, feature_sets[model.feature_set])
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


def _reads_of_prediction(prediction: PredictionSpec, model: ModelSpec, feature_set: FeatureSetSpec) -> dict[str, Reach]:
    found: dict[str, Reach] = {f"features.{model.feature_set}": "same"}
    if prediction.version == "champion":
        found[f"models.{prediction.model}"] = "whole"
    return {**found, feature_set.spine: "same"} if prediction.keep else found
