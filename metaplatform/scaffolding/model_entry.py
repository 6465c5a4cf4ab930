"""A table's target column → a feature set, a model, its predictions and monitors, fit for the data there is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.resources.samples import Sample
from metaplatform.resources.sampling import sample_source
from metaplatform.scaffolding.feature_set_entry import own_features
from metaplatform.scaffolding.known_tables import known_tables
from metaplatform.scaffolding.yaml_text import commented, scalar, sql_column
from metaplatform.specs.ingestion import FileSource, SourceSpec
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.nearest import nearest_name
from metaplatform.specs.rules.sql_texts import facts_of

_NUMBERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT", "DOUBLE", "FLOAT", "REAL", "DECIMAL", "NUMERIC", "U")
_LEAST_ROWS = 50
_DAY = 86_400


@dataclass(frozen=True)
class _Target:
    """The label as SQL, the task, what it was told by, and the metric that judges it."""

    sql: str
    task: str
    note: str

    @property
    def metric(self) -> str:
        return "roc_auc" if self.task == "binary" else "rmse"

    @property
    def limit(self) -> str:
        return "roc_auc: {min: 0.55}" if self.task == "binary" else "r2: {min: 0.0}"


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
        f"features.{name}_features",
        f"models.{name}",
        f"predictions.{name}_predictions",
        f"monitoring.{name}_drift",
        f"monitoring.{name}_performance",
    )


def model_entries(manifest: Manifest, name: str, *, target: str, table: str) -> dict[str, tuple[str, ...]]:
    """Return the lines of a model's entries by chapter.

    Raises:
        DataError: if the table is not a source with key, event timestamp and declared columns, has no such column,
            or its data cannot be learnt from: too little, one value only, or text of many.
    """
    source = _source(manifest, table)
    columns = (*source.columns, *source.derive)
    if target not in columns:
        near = nearest_name(target, columns)
        hint = f"; did you mean '{near}'?" if near else ""
        raise DataError(owner=table, culprit=f"it has no column '{target}'{hint}", fix="name one of its columns")
    if target in {*source.key, source.event_timestamp}:
        fix = "name what is to be known of the row"
        raise DataError(owner=table, culprit=f"'{target}' says which row this is, or when", fix=fix)
    sample = sample_source(source, manifest.root, allowed=manifest.source_folders, twins_of=target)
    label = _label(source, sample, target)
    span = _span(source, sample)
    return {
        "feature_sets": tuple(_features(manifest, source, sample, name, target)),
        "models": tuple(_model(source, name, label, span, target)),
        "predictions": (f"  {name}_predictions: {{model: {name}, version: champion}}",),
        "monitors": tuple(_monitors(name, label, span)),
    }


def _source(manifest: Manifest, table: str) -> SourceSpec:
    source = manifest.source_at(table)
    if source is None:
        near = nearest_name(table, [f"raw.{each}" for each in manifest.sources])
        hint = f"; did you mean '{near}'?" if near else ""
        raise DataError(owner="new model", culprit=f"'{table}' is not a source{hint}", fix="name one as in raw.orders")
    lacking = [
        key
        for key, value in (
            ("columns", source.columns),
            ("key", source.key),
            ("event_timestamp", source.event_timestamp),
        )
        if not value
    ]
    if lacking:
        fix = "add it to the source: a model needs to know which row it is about, and when"
        raise DataError(owner=table, culprit=f"it declares no {' and no '.join(lacking)}", fix=fix)
    return source


def _label(source: FileSource, sample: Sample, target: str) -> _Target:
    """Return the label: by the target's declared type, and by its values."""
    owner = f"raw.{source.name}"
    column = sql_column(target)
    kind = source.columns.get(target, "").upper()
    facts = next((each for each in sample.columns if each.name == target), None)
    if facts is None:
        fix = "write the model by hand, or put the column into the files"
        raise DataError(owner=owner, culprit=f"'{target}' is derived: its values are not in the files", fix=fix)
    values = tuple(value for value in facts.few if value not in source_markers(source))
    if facts.values and facts.distinct < 2:  # noqa: PLR2004  # nothing to tell apart
        raise DataError(owner=owner, culprit=f"'{target}' has one value only", fix="name a column that varies")
    if not facts.values:
        raise DataError(owner=owner, culprit=f"'{target}' has no value in the sample", fix="name another column")
    if kind == "BOOLEAN":
        return _Target(column, "binary", "true or false")
    two = len(values) == 2  # noqa: PLR2004  # binary
    if kind.startswith(_NUMBERS):
        if two:
            less, more = sorted(values, key=float)
            return _Target(f"{column} = {more}", "binary", f"{less} or {more}")
        return _Target(column, "regression", f"numbers, {facts.distinct} different in the sample")
    if two:
        said = exp.Literal.string(values[-1]).sql("duckdb")
        return _Target(f"{column} = {said}", "binary", f"the other value is {values[0]!r}")
    culprit = f"'{target}' is {kind.lower() or 'of unknown type'} of {facts.distinct} different values"
    raise DataError(
        owner=owner,
        culprit=culprit,
        fix="name a number, a boolean, or a column of two values; "
        "of several classes, `derive` one against the rest in the source's entry",
    )


def source_markers(source: FileSource) -> tuple[str, ...]:
    """Return the texts that a source reads as null."""
    return tuple(getattr(source, "null_values", ()))


def _span(source: FileSource, sample: Sample) -> _Span:
    owner = f"raw.{source.name}"
    facts = {each.name: each for each in sample.columns}.get(str(source.event_timestamp))
    timed = facts if facts and facts.first else next((each for each in sample.columns if each.first), None)
    if timed is None or timed.first is None or timed.last is None:
        fix = "declare an event_timestamp that the files hold, or write the model by hand"
        raise DataError(owner=owner, culprit="no moment is found in the files", fix=fix)
    span = _Span(timed.first, timed.last, sample.rows)
    if sample.rows < _LEAST_ROWS or span.seconds < 3_600:  # noqa: PLR2004  # an hour
        culprit = f"{sample.rows} rows over {span.last - span.first} are too few to train on and to hold some out"
        raise DataError(owner=owner, culprit=culprit, fix=f"bring {_LEAST_ROWS} rows or more, over an hour or more")
    return span


def _features(manifest: Manifest, source: FileSource, sample: Sample, name: str, target: str) -> Iterator[str]:
    """Yield a feature set of the columns that are known at the row's event timestamp."""
    yield f"  {name}_features:"
    yield "    # Columns of the row itself. Windows over the past, lookups and as-of joins of other tables:"
    yield f"    # metaplatform new feature-set NAME --spine raw.{source.name}"
    yield f"    spine: raw.{source.name}"
    yield "    features:"
    yield "      - kind: expression"
    yield "        columns:"
    spine = next(each for each in known_tables(manifest)[0] if each.ref == f"raw.{source.name}")
    made_of_it = {
        derived: "it is made of the target"
        for derived, sql in source.derive.items()
        if target.casefold() in {column.casefold() for column in facts_of(sql).columns}
    }
    same = dict.fromkeys(sample.twins, f"in the sample it says the same as {target}, in other words: a leak?")
    but = {**same, **made_of_it, target: "it is the target"}
    yield from own_features(spine, {each.name: each for each in sample.columns}, list(spine.identity), but)


def _model(source: FileSource, name: str, label: _Target, span: _Span, target: str) -> Iterator[str]:
    yield f"  {name}:"
    yield "    kind: xgboost"
    yield commented(f"    task: {label.task}", label.note)
    yield f"    feature_set: {name}_features"
    yield f"    target: {{sql: {scalar(label.sql)}}}"
    if source.outcomes is None or target not in source.outcomes.columns:
        later = f"raw.{source.name} does not say when {target} is known: declare it there under outcomes"
        yield commented("    label_delay: 1 day" if span.seconds > 3 * _DAY else "    label_delay: 1 minute", later)
    ends = f"{span.first:%Y-%m-%d} to {span.last:%Y-%m-%d}"
    rows = max(10, min(1_000, span.rows // 5))
    yield commented(
        f"    training: {{window: {span.share(0.5)}, holdout: {span.share(0.1)}, min_rows: {rows}}}",
        f"half of the data's span, {ends} in the sample",
    )
    yield f"    promotion: {{metric: {label.metric}, min_rows: {max(10, min(500, span.rows // 50))}}}"
    yield "    retrain:"
    yield f"      drift: {{monitors: [{name}_drift]}}"
    yield f"      performance: {{monitors: [{name}_performance]}}"
    yield f"      cooldown: {span.share(0.2)}"


def _monitors(name: str, label: _Target, span: _Span) -> Sequence[str]:
    least = max(10, min(300, span.rows // 50))
    prediction = f"prediction: {name}_predictions, min_rows: {least}"
    return (
        f"  {name}_drift: {{kind: drift, {prediction}, drift_share: 0.3}}",
        f"  {name}_performance: {{kind: performance, {prediction}, metrics: {{{label.limit}}}}}",
    )
