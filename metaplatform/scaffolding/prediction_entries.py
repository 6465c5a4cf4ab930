"""A model → its predictions; predictions → what watches them, and what they set in motion."""

from collections.abc import Iterator

from metaplatform.scaffolding.defaults import fitted, told
from metaplatform.scaffolding.known_tables import KnownTable, entity_at, known_tables
from metaplatform.scaffolding.yaml_text import commented, listed
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.inference import SCORE_COLUMNS, PredictionSpec
from metaplatform.specs.entities.monitoring import DriftMonitor, PerformanceMonitor
from metaplatform.specs.entities.outputs import ReportOutput
from metaplatform.specs.entities.reactions import ReactionSpec
from metaplatform.specs.entities.training import Metric, ModelSpec, Task

_KEPT = 5
_FEWEST_JUDGED = 30
"""Fewer rows say too little of a share or a metric, however few there are in all."""


def prediction_entry(manifest: Manifest, name: str, *, model: str) -> tuple[str, ...]:
    """Return the lines of predictions by a model of the book.

    Raises:
        DataError: if the book has no such model.
    """
    entity_at(manifest, f"models.{model}", ("models",), owner="new prediction")
    return tuple(_prediction(manifest, name, model))


def monitor_entry(manifest: Manifest, name: str, *, prediction: str, kind: str) -> tuple[str, ...]:
    """Return the lines of a monitor of ``kind`` (drift or performance).

    Raises:
        DataError: if the book has no such prediction.
    """
    model = _model_of(manifest, prediction, owner="new monitor")
    performance = performance_lines(name, prediction, model.task, model.promotion.metric)
    lines = drift_lines(name, prediction) if kind == "drift" else performance
    return (*lines, *_votes(manifest, name, prediction, kind))


def reaction_entry(manifest: Manifest, name: str, *, prediction: str) -> tuple[str, ...]:
    """Return the lines of a reaction.

    Raises:
        DataError: if the book has no such prediction.
    """
    model = _model_of(manifest, prediction, owner="new reaction")
    return tuple(_reaction(manifest, name, prediction, model))


def _model_of(manifest: Manifest, prediction: str, *, owner: str) -> ModelSpec:
    entity_at(manifest, f"predictions.{prediction}", ("predictions",), owner=owner)
    return manifest.models[manifest.predictions[prediction].model]


def _prediction(manifest: Manifest, name: str, model: str) -> Iterator[str]:
    yield f"  {name}:"
    yield f"    model: {model}"
    yield told(PredictionSpec, "version", "or the number of a version, to pin it")
    spine = manifest.feature_sets[manifest.models[model].feature_set].spine
    table = next((each for each in known_tables(manifest)[0] if each.ref == spine), None)
    kept = _readable(table) if table else []
    if kept:
        yield commented(f"    keep: {listed(kept)}", f"columns of {spine} for readers: take those that they need")
    else:
        yield f"    # keep: []  # columns of {spine} for readers"


def _readable(spine: KnownTable) -> list[str]:
    """Return columns of the spine that tell readers more than its key does, and are known at once."""
    hidden = {*spine.identity, *spine.later}
    return [name for name, kind in spine.kinds.items() if name not in hidden and kind == "text"][:_KEPT]


def drift_lines(name: str, prediction: str, *, rows: int | None = None) -> Iterator[str]:
    """Yield a drift monitor; ``rows`` is how many rows a partition may be expected to have."""
    yield f"  {name}:"
    yield "    kind: drift"
    yield f"    prediction: {prediction}"
    yield _least(DriftMonitor, rows, "under so many rows a partition is not judged: what is usual is not known")
    yield told(DriftMonitor, "drift_share", "fails from this share of drifted columns on: check on a replay")
    yield "    # exclude: []  # features that move by themselves, such as counters and calendars"


def performance_lines(
    name: str, prediction: str, task: Task, metric: Metric, *, rows: int | None = None
) -> Iterator[str]:
    """Yield a performance monitor; ``rows`` is how many rows a partition may be expected to have."""
    yield f"  {name}:"
    yield "    kind: performance"
    yield f"    prediction: {prediction}"
    yield _least(PerformanceMonitor, rows, "under so many mature labels nothing is judged: what is usual is not known")
    yield "    metrics:"
    if task == "binary":
        loss = "0.05" if metric == "roc_auc" else "0.1"
        yield commented(f"      {metric}: {{max_loss: {loss}}}", "against the version's holdout: check on a replay")
        return
    yield commented("      r2: {min: 0.0}", "0 is as good as the mean; a max_loss of rmse is in the target's unit")


def _least(monitor: type[DriftMonitor | PerformanceMonitor], rows: int | None, note: str) -> str:
    number = None if rows is None else fitted(monitor, "min_rows", rows, least=_FEWEST_JUDGED)
    return told(monitor, "min_rows", note) if number is None else commented(f"    min_rows: {number}", note)


def _votes(manifest: Manifest, name: str, prediction: str, trigger: str) -> Iterator[str]:
    model = manifest.predictions[prediction].model
    yield f"    # To train {model} again when it fails, name it there: retrain.{trigger}.monitors: [{name}]"


def _reaction(manifest: Manifest, name: str, prediction: str, model: ModelSpec) -> Iterator[str]:
    score = SCORE_COLUMNS[model.task]
    limit = "0.5" if model.task == "binary" else "0"
    reports = [
        f"outputs.{each}"
        for each, output in manifest.outputs.items()
        if isinstance(output, ReportOutput) and output.partitioned_by == f"predictions.{prediction}"
    ]
    yield f"  {name}:"
    yield f"    prediction: {prediction}"
    yield commented(f"    when: {score} > {limit}", "from where on someone should act is not known: check")
    yield told(ReactionSpec, "min_rows", "so many rows must meet it")
    if reports:
        yield commented(f"    materialize: {listed(reports)}", "made again before anyone is told")
    else:
        yield "    # materialize: []  # what to make again first, such as a report: metaplatform new output"
    yield "    notify:"
    yield commented("      - kind: file", "a line below notifications/ of the storage root")
    yield "      # - {kind: apprise, url_env: ALERTS_URL}  # a chat, a mail or a webhook, its URL in the environment"
