"""The families of kinds of the book: those that are built in, and those of installed distributions."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from metaplatform.errors import MetaplatformError
from metaplatform.extensions import Extension, extensions
from metaplatform.specs.entities.csv_source import CsvSource
from metaplatform.specs.entities.databases import DuckDBSource, MysqlSource, PostgresSource, SqliteSource
from metaplatform.specs.entities.features import (
    AsOfFeatures,
    ExpressionFeatures,
    FeaturesBlock,
    LookupFeatures,
    WindowFeatures,
)
from metaplatform.specs.entities.ingestion import JsonSource, ParquetSource, Source
from metaplatform.specs.entities.monitoring import DriftMonitor, Monitor, PerformanceMonitor
from metaplatform.specs.entities.notifications import AppriseNotification, FileNotification, Notification
from metaplatform.specs.entities.outputs import FileOutput, Output, ReportOutput, ViewsOutput
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.entities.xgboost import XGBoostModel
from metaplatform.specs.fields.base import Spec
from metaplatform.specs.fields.spec_types import kinds_of, models_of

FAULTS: dict[tuple[str, str], MetaplatformError] = {}
"""Family and kind of what a distribution adds and what cannot be used → why: the book does without."""


def union_of(family: str, base: type[Spec], *built_in: type[Spec]) -> Any:
    """Return the union of a family's kinds, told apart by ``kind``.

    What an installed distribution adds and is not a kind of this family is left out; :data:`FAULTS` has the reason.
    """
    known = {kind: model for model in built_in for kind in kinds_of(model)}
    for kind, extension in extensions(family).items():
        try:
            known[kind] = _added(family, extension, base, known)
        except MetaplatformError as error:
            FAULTS[family, kind] = error
    models = tuple(dict.fromkeys(known.values()))
    return Annotated[reduce(or_, models), Field(discriminator="kind")] if len(models) > 1 else models[0]


def own_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the fields that a kind of an installed distribution adds to those of the platform's classes.

    A field of theirs that holds other specs with it is one of its own.
    """
    known = {"name", "kind", "columns"}
    for each in model.__mro__:
        if each.__module__.partition(".")[0] == __name__.partition(".")[0] and issubclass(each, BaseModel):
            known.update(
                name
                for name, field in each.model_fields.items()
                if models_of(model.model_fields[name].annotation) == models_of(field.annotation)
            )
    return frozenset(model.model_fields) - known


def _added(family: str, extension: Extension, base: type[Spec], known: dict[str, type[Spec]]) -> type[Spec]:
    if extension.kind in known:
        raise extension.refused("this kind is built in")
    found = extension.load()
    if not (isinstance(found, type) and issubclass(found, base)):
        raise extension.refused(f"it is not a class below {base.__module__}.{base.__name__}")
    if kinds_of(found) != (extension.kind,):
        raise extension.refused(f"its field 'kind' must be Literal['{extension.kind}']")
    if family == "features" and "columns" not in found.model_fields:
        raise extension.refused("it lacks the field 'columns', the features by name")
    return found


if TYPE_CHECKING:
    SourceSpec = Source
    FeatureBlock = FeaturesBlock
    ModelKind = ModelSpec
    OutputSpec = Output
    MonitorSpec = Monitor
    NotificationSpec = Notification
else:
    SourceSpec = union_of(
        "sources",
        Source,
        *(CsvSource, ParquetSource, JsonSource),
        *(PostgresSource, MysqlSource, SqliteSource, DuckDBSource),
    )
    FeatureBlock = union_of("features", FeaturesBlock, ExpressionFeatures, LookupFeatures, AsOfFeatures, WindowFeatures)
    ModelKind = union_of("models", ModelSpec, XGBoostModel)
    OutputSpec = union_of("outputs", Output, FileOutput, ViewsOutput, ReportOutput)
    MonitorSpec = union_of("monitors", Monitor, DriftMonitor, PerformanceMonitor)
    NotificationSpec = union_of("notifications", Notification, FileNotification, AppriseNotification)
