"""References: every name an entity points to is defined, and of a kind that can stand there."""

from collections.abc import Iterator
from dataclasses import dataclass

from metaplatform.errors import Issue
from metaplatform.specs.base import Entity
from metaplatform.specs.features import FeatureSetSpec, JoinedFeatures
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.ingestion import TableSpec
from metaplatform.specs.manifest import CHAPTERS
from metaplatform.specs.monitoring import DriftMonitor, PerformanceMonitor
from metaplatform.specs.outputs import FileOutput, ReportOutput, ViewsOutput
from metaplatform.specs.reactions import ReactionSpec
from metaplatform.specs.rules.book import Book
from metaplatform.specs.rules.sql_texts import STORED, query_tables
from metaplatform.specs.structure import Path
from metaplatform.specs.training import ModelSpec

TIMED = ("raw", "tables")
MATERIALIZED = ("raw", "tables", "outputs")
ANY = tuple(prefix for chapter, prefix in CHAPTERS.items() if chapter != "alerts")


@dataclass(frozen=True)
class Use:
    """One reference as an entity writes it: where, and the prefixes that may stand there.

    ``sql`` is the line and column within an SQL text. ``written`` is the text in the book. ``orders`` is
    false where the one does not wait for the other (a retrain policy reads what monitors said before).
    """

    path: Path
    target: str
    prefixes: tuple[str, ...]
    written: str
    sql: tuple[int, int] | None = None
    orders: bool = True


def unknown_references(book: Book) -> Iterator[Issue]:
    """Yield references to what the book does not define, or that cannot stand where they do."""
    for ref, entity in book.entities():
        for use in uses_of(entity):
            if use.target.split(".", 1)[0] not in use.prefixes:
                message = f"'{use.written}' cannot stand here"
            elif use.target not in book.defined:
                message = f"'{use.written}' is not defined"
            elif use.prefixes == STORED and isinstance(
                book.manifest.entities.get(use.target), FileOutput | ViewsOutput
            ):
                message = f"'{use.written}' is a file, no table"
            else:
                continue
            near = book.nearest(use.target, use.prefixes)
            bare = near.split(".", 1)[1] if near and "." not in use.written else near
            yield book.issue(
                "unknown-reference",
                ref,
                use.path,
                culprit=use.written,
                message=message,
                fix=f"name one of: {', '.join(f'{prefix}.*' for prefix in use.prefixes)}, as the book defines them",
                nearest=bare,
                sql=use.sql,
            )


def uses_of(entity: Entity) -> Iterator[Use]:
    """Yield every reference an entity makes, in book order."""
    for index, target in enumerate(entity.after):
        yield Use(("after", index), target, ANY, target)
    match entity:
        case TableSpec() | ReportOutput():
            yield from _query_uses(entity)
        case FeatureSetSpec():
            yield from _feature_set_uses(entity)
        case ModelSpec():
            yield from _model_uses(entity)
        case PredictionSpec():
            yield _named(("model",), "models", entity.model)
        case FileOutput():
            yield _whole(("table",), entity.table, STORED)
        case ViewsOutput():
            yield from (_whole(("tables", i), table, STORED) for i, table in enumerate(entity.tables))
        case DriftMonitor() | PerformanceMonitor() | ReactionSpec():
            yield _named(("prediction",), "predictions", entity.prediction)
    if isinstance(entity, ReactionSpec):
        yield from (_whole(("materialize", i), made, MATERIALIZED) for i, made in enumerate(entity.materialize))


def _query_uses(entity: TableSpec | ReportOutput) -> Iterator[Use]:
    yield from (Use(("sql",), target, STORED, target, place) for target, place in query_tables(entity.sql))
    if entity.partitioned_by:
        yield _whole(("partitioned_by",), entity.partitioned_by, STORED)


def _feature_set_uses(feature_set: FeatureSetSpec) -> Iterator[Use]:
    yield _whole(("spine",), feature_set.spine, TIMED)
    for index, block in enumerate(feature_set.features):
        if isinstance(block, JoinedFeatures):
            yield _whole(("features", index, "table"), block.table, TIMED)


def _model_uses(model: ModelSpec) -> Iterator[Use]:
    yield _named(("feature_set",), "features", model.feature_set)
    for trigger in ("drift", "performance"):
        vote = getattr(model.retrain, trigger, None)
        for index, monitor in enumerate(vote.monitors if vote else ()):
            path = ("retrain", trigger, "monitors", index)
            yield Use(path, f"monitoring.{monitor}", ("monitoring",), monitor, orders=False)


def _whole(path: Path, target: str, prefixes: tuple[str, ...]) -> Use:
    return Use(path, target, prefixes, target)


def _named(path: Path, prefix: str, name: str) -> Use:
    return Use(path, f"{prefix}.{name}", (prefix,), name)
