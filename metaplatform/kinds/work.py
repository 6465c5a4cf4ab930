"""What the work of a kind is written with: the step and its resources, and what each family gives back."""

from metaplatform.compute.chosen_rows import in_partition
from metaplatform.compute.features.building import Described
from metaplatform.compute.features.joins import join_as_of, join_lookup
from metaplatform.compute.features.spine import Spine, Table
from metaplatform.compute.features.windows import join_windows
from metaplatform.compute.findings import Finding
from metaplatform.compute.sql_columns import project
from metaplatform.errors import DataError, MetaplatformError, StorageError
from metaplatform.resources.process.secrets import secret
from metaplatform.resources.sinks.exports import replacing
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.resources.sources.arrow_rows import batches, text_columns
from metaplatform.resources.sources.file_sources import FileReader
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.resources.sources.record_files import RecordFormat, Reject, numbered_lines
from metaplatform.resources.sources.row_sources import RowReader, RowSource
from metaplatform.resources.sources.source_reader import Place, SourceState
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.records.messages import Message
from metaplatform.sql.expressions import parse_expression
from metaplatform.work.drift import scoring_version
from metaplatform.work.judged import Judged
from metaplatform.work.steps import Markdown, Metadata, Step, Url

__all__ = [
    "DataError",
    "Described",
    "FeatureSetSpec",
    "FileReader",
    "Finding",
    "Judged",
    "Markdown",
    "Message",
    "Metadata",
    "MetaplatformError",
    "Notifier",
    "OpenedFile",
    "Place",
    "RecordFormat",
    "Reject",
    "RowReader",
    "RowSource",
    "SourceState",
    "Spine",
    "Step",
    "StorageError",
    "Table",
    "Url",
    "batches",
    "in_partition",
    "join_as_of",
    "join_lookup",
    "join_windows",
    "numbered_lines",
    "parse_expression",
    "project",
    "replacing",
    "scoring_version",
    "secret",
    "text_columns",
]
