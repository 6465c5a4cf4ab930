"""Which columns a table of the book has, as far as the book itself can tell."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

from metaplatform.specs.expressions import shared_query
from metaplatform.specs.features import FeatureSetSpec
from metaplatform.specs.inference import SCORE_COLUMNS, STAMP_COLUMNS, PredictionSpec
from metaplatform.specs.ingestion import FileSource, TableSpec, TimedTable
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.outputs import ReportOutput
from metaplatform.specs.query_columns import Columns, QueryColumns, query_columns
from metaplatform.specs.sql_safety import SqlError


def columns_of(manifest: Manifest, ref: str) -> tuple[str, ...] | None:
    """Return the columns of a table in order, ``_partition`` left out; None where the book cannot tell.

    Sources that declare no columns are unknown, and so is what selects ``*`` from them. References to
    nothing, or to what is not a table, are unknown too.
    """
    return KnownColumns(manifest).of(ref)


class KnownColumns:
    """The columns of a manifest's tables, each query read once.

    ``real`` are those of sources that declare no columns, where they are known from elsewhere.
    """

    def __init__(self, manifest: Manifest, real: Mapping[str, Collection[str]] | None = None) -> None:
        """Know nothing yet."""
        self._manifest = manifest
        self._real = real or {}
        self._known: dict[str, Columns] = {}
        self._queries: dict[str, QueryColumns] = {}

    def of(self, ref: str) -> Columns:
        """Return the columns of ``ref``, as ``columns_of`` does; within a cycle they are unknown."""
        if ref not in self._known:
            self._known[ref] = None
            self._known[ref] = self._find(ref)
        return self._known[ref]

    def query(self, ref: str) -> QueryColumns:
        """Return the columns of the query of a table or report; unknown, without faults, if it does not parse."""
        if ref not in self._queries:
            entity = self._manifest.entities.get(ref)
            found = QueryColumns(None, ())
            if entity is not None and entity.query is not None:
                with suppress(SqlError):
                    found = query_columns(shared_query(entity.query), self.of)
            self._queries[ref] = found
        return self._queries[ref]

    def _find(self, ref: str) -> Columns:
        match self._manifest.entities.get(ref):
            case FileSource() as source:
                found = source.columns or self._real.get(source.name)
                return (*found, *source.derive) if found else None
            case TableSpec() | ReportOutput():
                return self.query(ref).output
            case FeatureSetSpec() as feature_set:
                spine = self._spine(feature_set)
                return (*_identity(spine), *feature_set.feature_names) if spine else None
            case PredictionSpec() as prediction:
                return self._prediction(prediction)
        return None

    def _prediction(self, prediction: PredictionSpec) -> Columns:
        model = self._manifest.models.get(prediction.model)
        feature_set = self._manifest.feature_sets.get(model.feature_set) if model else None
        spine = self._spine(feature_set) if feature_set else None
        if model is None or spine is None:
            return None
        return (*_identity(spine), *prediction.keep, SCORE_COLUMNS[model.task], *STAMP_COLUMNS)

    def _spine(self, feature_set: FeatureSetSpec) -> TimedTable | None:
        found = self._manifest.entities.get(feature_set.spine)
        return found if isinstance(found, TimedTable) else None


def _identity(spine: TimedTable) -> Iterator[str]:
    """Yield the spine's key columns, then its event timestamp if it is none of them."""
    yield from spine.key
    if spine.event_timestamp and spine.event_timestamp not in spine.key:
        yield spine.event_timestamp
