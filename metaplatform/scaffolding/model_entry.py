"""A table's target column → a feature set, a model, its predictions and monitors, fit for the data there is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from metaplatform.chapters import FEATURE_SETS, MODELS, MONITORS, PREDICTIONS, TIMED
from metaplatform.errors import DataError
from metaplatform.resources.sources.samples import Sample
from metaplatform.resources.sources.sampling import sample_source
from metaplatform.scaffolding.defaults import with_fitted
from metaplatform.scaffolding.feature_blocks import blocks_beside
from metaplatform.scaffolding.feature_set_entry import own_features
from metaplatform.scaffolding.known_tables import KnownTable, entity_at, known_tables
from metaplatform.scaffolding.monitor_lines import drift_lines, performance_lines
from metaplatform.scaffolding.target_columns import made_of_the_same
from metaplatform.scaffolding.tried_tables import sample_table
from metaplatform.scaffolding.yaml_text import commented, scalar, sql_column
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.training import PromotionSpec, TrainingSpec
from metaplatform.specs.fields.metrics import Metric, Task, metrics_of
from metaplatform.sql.dialect import literal
from metaplatform.sql.value_kinds import kind_of_type, shown_kind
from metaplatform.text.nearest import nearest_name

_LEAST_ROWS = 50
_DAY = 86_400


@dataclass(frozen=True)
class _Target:
    """The label as SQL, the task, and what it was told by."""

    sql: str
    task: Task
    note: str

    @property
    def metric(self) -> Metric:
        """Return the metric that judges it: the first of the task."""
        return metrics_of(self.task)[0]


@dataclass(frozen=True)
class _Span:
    """The data's time: its ends, and rows a day in the sample."""

    first: datetime
    last: datetime
    rows: int

    @property
    def seconds(self) -> float:
        return (self.last - self.first).total_seconds()

    def share(self, part: float) -> str:
        """Return a share of the span as a duration of the book, at least one of its unit."""
        unit, size = ("days", _DAY) if self.seconds >= 10 * _DAY else ("minutes", 60)
        return f"{max(1, int(self.seconds * part / size))} {unit}"


def refs_of(name: str) -> tuple[str, ...]:
    """Return what is added to the book for a model of this name."""
    return (
        FEATURE_SETS.ref(f"{name}_features"),
        MODELS.ref(name),
        PREDICTIONS.ref(f"{name}_predictions"),
        MONITORS.ref(f"{name}_drift"),
        MONITORS.ref(f"{name}_performance"),
    )


def model_entries(manifest: Manifest, name: str, *, target: str, table: str) -> dict[str, tuple[str, ...]]:
    """Return the lines of a model's entries by chapter; ``table`` is the source or the SQL table with the target.

    Raises:
        DataError: if the table has no key, event timestamp or known columns, or no such column, or its data cannot be
            learnt from: too little, one value only, or text of many.
    """
    spine = _spine(manifest, table)
    if target not in spine.kinds:
        near = nearest_name(target, spine.kinds)
        hint = f"; did you mean '{near}'?" if near else ""
        raise DataError(owner=table, culprit=f"it has no column '{target}'{hint}", fix="name one of its columns")
    if target in spine.identity:
        fix = "name a column that is to be predicted"
        raise DataError(owner=table, culprit=f"'{target}' says which row this is, or when", fix=fix)
    sample = _sample(manifest, spine, target)
    label = _label(spine, sample, target)
    span = _span(spine, sample)
    return {
        "feature_sets": tuple(_features(manifest, spine, sample, name, target)),
        "models": tuple(_model(spine, name, label, span, target)),
        "predictions": (f"  {name}_predictions: {{model: {name}}}",),
        "monitors": tuple(_monitors(name, label, span)),
    }


def _spine(manifest: Manifest, table: str) -> KnownTable:
    found = entity_at(manifest, table, TIMED, owner="new model")
    spine = next((each for each in known_tables(manifest)[0] if each.ref == table), None)
    facts = (
        ("columns", spine is not None),
        ("key", getattr(found, "key", ())),
        ("event_timestamp", getattr(found, "event_timestamp", None)),
    )
    lacking = [fact for fact, there in facts if not there]
    if lacking or spine is None:
        unnamed = (
            "name its columns in its SQL instead of `*`"
            if lacking == ["columns"] and found.book_query is not None
            else ""
        )
        fix = unnamed or "add it there: a model needs to know which row it is about, and when"
        raise DataError(owner=table, culprit=f"it declares no {' and no '.join(lacking)}", fix=fix)
    return spine


def _sample(manifest: Manifest, spine: KnownTable, target: str) -> Sample:
    """Return a sample of the spine's rows: of the files, if they hold target and moment as they are."""
    source = manifest.source_at(spine.ref)
    if source is None or {target, spine.spec.event_timestamp} & {*source.derive}:
        return sample_table(manifest, spine.ref, twins_of=target)
    return sample_source(source, manifest.root, allowed=manifest.source_folders, twins_of=target)


def _label(spine: KnownTable, sample: Sample, target: str) -> _Target:
    """Return the label: by the target's declared type, and by its values."""
    column, kind = sql_column(target), spine.kinds[target]
    facts = next((each for each in sample.columns if each.name == target), None)
    if facts is None or not facts.values:
        raise DataError(owner=spine.ref, culprit=f"'{target}' has no value in the sample", fix="name another column")
    kind = kind or kind_of_type(facts.type)
    markers = () if facts.type != "VARCHAR" else tuple(getattr(spine.spec, "null_values", ()))
    values = tuple(value for value in facts.few if value not in markers)
    if facts.distinct < 2:  # noqa: PLR2004  # nothing to tell apart
        raise DataError(owner=spine.ref, culprit=f"'{target}' has one value only", fix="name a column that varies")
    if kind == "boolean":
        return _Target(column, "binary", "true or false")
    two = len(values) == 2  # noqa: PLR2004  # binary
    if kind == "number":
        if two:
            less, more = sorted(values, key=float)
            return _Target(f"{column} = {more}", "binary", f"{less} or {more}")
        return _Target(column, "regression", f"numbers, {facts.distinct} different in the sample")
    if two and kind == "text":
        said = literal(values[-1])
        return _Target(f"{column} = {said}", "binary", f"the other value is {values[0]!r}")
    culprit = f"'{target}' is {shown_kind(kind)} of {facts.distinct} different values"
    raise DataError(
        owner=spine.ref,
        culprit=culprit,
        fix="name a number, a boolean, or a column of two values; "
        "of several classes, `derive` one against the rest in the source's entry",
    )


def _span(spine: KnownTable, sample: Sample) -> _Span:
    moment = str(spine.spec.event_timestamp)
    timed = next((each for each in sample.columns if each.name.lower() == moment.lower()), None)
    if timed is None or timed.first is None or timed.last is None:
        fix = "declare an event_timestamp that the rows have, or write the model by hand"
        raise DataError(owner=spine.ref, culprit=f"no moment is found in '{moment}'", fix=fix)
    span = _Span(timed.first, timed.last, sample.rows)
    if sample.rows < _LEAST_ROWS or span.seconds < 3_600:  # noqa: PLR2004  # an hour
        culprit = f"{sample.rows} rows over {span.last - span.first} are too few to train on and to hold some out"
        raise DataError(owner=spine.ref, culprit=culprit, fix=f"bring {_LEAST_ROWS} rows or more, over an hour or more")
    return span


def _features(manifest: Manifest, spine: KnownTable, sample: Sample, name: str, target: str) -> Iterator[str]:
    """Yield a feature set of the columns that are known at the row's event timestamp, and of the tables beside."""
    yield f"  {name}_features:"
    yield "    # Columns of the row itself, and what other tables say of it by then. Windows over the past too:"
    yield f"    # metaplatform new feature-set NAME --spine {spine.ref}"
    yield f"    spine: {spine.ref}"
    yield "    features:"
    yield "      - kind: expression"
    yield "        columns:"
    same = dict.fromkeys(sample.twins, f"in the sample it says the same as {target}, in other words: a leak?")
    but = {**same, **made_of_the_same(manifest, spine, target), target: "it is the target"}
    taken = list(spine.identity)
    yield from own_features(spine, {each.name: each for each in sample.columns}, taken, but)
    yield from blocks_beside(manifest, spine, {target, *but}, taken)


def _model(spine: KnownTable, name: str, label: _Target, span: _Span, target: str) -> Iterator[str]:
    yield f"  {name}:"
    yield "    kind: xgboost"
    yield commented(f"    task: {label.task}", label.note)
    yield f"    feature_set: {name}_features"
    yield f"    target: {{sql: {scalar(label.sql)}}}"
    if target not in spine.later:
        later = f"{spine.ref} does not say when {target} is known: declare it there under outcomes"
        yield commented("    label_delay: 1 day" if span.seconds > 3 * _DAY else "    label_delay: 1 minute", later)
    promotion = with_fitted(PromotionSpec, "min_rows", span.rows // 50)
    ends = f"{span.first:%Y-%m-%d} to {span.last:%Y-%m-%d}"
    training = with_fitted(TrainingSpec, "min_rows", span.rows // 5)
    yield commented(
        f"    training: {{window: {span.share(0.5)}, holdout: {span.share(0.1)}{training}}}",
        f"half of the data's span, {ends} in the sample",
    )
    yield f"    promotion: {{metric: {label.metric}{promotion}}}"
    yield "    retrain:"
    yield f"      drift: {{monitors: [{name}_drift]}}"
    yield f"      performance: {{monitors: [{name}_performance]}}"
    yield f"      cooldown: {span.share(0.2)}"


def _monitors(name: str, label: _Target, span: _Span) -> Iterator[str]:
    least = span.rows // 50
    yield from drift_lines(f"{name}_drift", f"{name}_predictions", rows=least)
    yield from performance_lines(f"{name}_performance", f"{name}_predictions", label.task, label.metric, rows=least)
