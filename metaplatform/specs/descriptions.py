"""What people are shown of an entity, also of one that its book does not describe."""

from metaplatform.specs.alerts import AlertSpec
from metaplatform.specs.base import Entity
from metaplatform.specs.expressions import referenced_tables
from metaplatform.specs.features import FeatureSetSpec
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.ingestion import FileSource, TableSpec
from metaplatform.specs.monitoring import DriftMonitor, PerformanceMonitor
from metaplatform.specs.outputs import FileOutput, OutputSpec, ReportOutput, ViewsOutput
from metaplatform.specs.plurals import counted
from metaplatform.specs.reactions import ReactionSpec
from metaplatform.specs.training import ModelSpec

_LONGEST = 200


def description_of(entity: Entity) -> str:
    """Return the description of an entity of a sound book, or what its fields say of it in one line."""
    return entity.description or _line(_told(entity))


def _told(entity: Entity) -> str:
    told = ""
    match entity:
        case FileSource():
            told = f"Rows of {entity.path}."
        case TableSpec():
            told = f"SQL over {_listed(referenced_tables(entity.sql))}."
        case FeatureSetSpec():
            told = f"{counted(len(entity.feature_names), 'feature')} of the rows of {entity.spine}."
        case ModelSpec():
            told = f"Learns {entity.target.sql} from features.{entity.feature_set}."
        case PredictionSpec():
            version = "the champion" if entity.version == "champion" else f"version {entity.version}"
            told = f"Scores of models.{entity.model}, by {version}."
        case DriftMonitor() | PerformanceMonitor():
            told = f"What the checks of {entity.kind} on predictions.{entity.prediction} have found."
        case FileOutput() | ViewsOutput() | ReportOutput():
            told = _told_of_output(entity)
        case ReactionSpec():
            told = f"Acts when new rows of predictions.{entity.prediction} meet {entity.when}."
        case AlertSpec():
            told = "Tells people of the platform's own troubles."
    return told


def _told_of_output(output: OutputSpec) -> str:
    match output:
        case FileOutput():
            return f"{output.table} as {output.kind.upper()}."
        case ViewsOutput():
            return f"Views of {_listed(output.tables)} in one DuckDB file."
        case ReportOutput():
            return f"Report: {output.title}."


def _listed(refs: tuple[str, ...]) -> str:
    return ", ".join(refs) or "nothing of the book"


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
