"""What a distribution that adds kinds to the book is written with: the base of each family, and types of fields.

Beside it, :mod:`metaplatform.kinds.work` has what the work of a kind is written with, and
:mod:`metaplatform.kinds.learning` that of a model. A module that says what the
book may hold imports this one alone: it is loaded with every book, and Dagster, DuckDB and XGBoost are not.
"""

from metaplatform.chapters import STORED, TIMED
from metaplatform.specs.entities.entity import Entity, Neighbours
from metaplatform.specs.entities.features import FeaturesBlock, JoinedFeatures, WindowFeatures
from metaplatform.specs.entities.ingestion import FileSource, Source
from metaplatform.specs.entities.monitoring import GATE, MetricLimit, Monitor
from metaplatform.specs.entities.notifications import Notification
from metaplatform.specs.entities.outputs import Output, TableFile
from metaplatform.specs.entities.training import ModelSpec, TrainingSpec
from metaplatform.specs.fields.base import (
    ColumnName,
    EnvironmentVariable,
    Expression,
    Interval,
    Many,
    Name,
    Query,
    Ref,
    Spec,
)
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.fields.metrics import Task
from metaplatform.specs.fields.reads import AS_MADE, SAME, SAME_ONLY, WHOLE, Reach
from metaplatform.specs.fields.references import Path, Reference, named, texts_at, whole

__all__ = [
    "AS_MADE",
    "GATE",
    "SAME",
    "SAME_ONLY",
    "STORED",
    "TIMED",
    "WHOLE",
    "ColumnName",
    "Duration",
    "Entity",
    "EnvironmentVariable",
    "Expression",
    "Fault",
    "FeaturesBlock",
    "FileSource",
    "Interval",
    "JoinedFeatures",
    "Many",
    "MetricLimit",
    "ModelSpec",
    "Monitor",
    "Name",
    "Neighbours",
    "Notification",
    "Output",
    "Path",
    "Query",
    "Reach",
    "Ref",
    "Reference",
    "Source",
    "Spec",
    "TableFile",
    "Task",
    "TrainingSpec",
    "WindowFeatures",
    "named",
    "texts_at",
    "whole",
]
