"""Rows of files → typed rows of a raw table, and the rows turned away, each with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import ibis
import ibis.expr.datatypes as dt
from sqlglot import exp

from metaplatform.compute.instants import instant
from metaplatform.compute.sql_columns import ROW, Scope, Steps, all_columns, call, column, fresh, named, source, text
from metaplatform.specs.ingestion import FileSource
from metaplatform.specs.partitions import PartitionSpec

REASON = "_reason"
"""Column of quarantined rows that says why; no column of the book starts with an underscore."""
MOMENT = "_event_timestamp"
"""Column of quarantined rows that holds their event timestamp, null where it cannot be told."""
COPY = "_copy"
"""Column of quarantined rows of a source with a key: whether it is the stored row of its key once more."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE = {exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ}
_SHOWN, _STORED = 80, "_stored_moment"
_WIDER = {"int": "double", "decimal": "double", "date": "timestamp"}
"""Kinds of types that round what they are cast from → a type that holds it as it is."""


@dataclass(frozen=True)
class Conformed:
    """The rows of a source that are as declared, and those that are not.

    ``accepted`` has the declared columns, then new ones, then derived ones; the event timestamp is a
    TIMESTAMPTZ (UTC). ``quarantined`` has the columns of the file as text, ``_event_timestamp`` where the source has
    one, ``_copy`` where it has a key, and ``_reason``.
    """

    accepted: ibis.Table
    quarantined: ibis.Table


@dataclass(frozen=True)
class _Reading:
    """Where the reading of rows stands: the last step, the typed columns in scope, and the faults found so far.

    Each of ``faults`` is text for people where a row has the fault, and null elsewhere.
    """

    steps: Steps
    raw: ibis.Table
    current: str
    scope: Scope
    faults: tuple[exp.Expr, ...] = ()


def conform(raw: ibis.Table, spec: FileSource, *, arrived: datetime | None = None) -> Conformed:
    """Return the rows of ``raw`` as the source declares them, and those to quarantine.

    A row is turned away where a value is not of its declared type or would be rounded by it (1.5 as an
    integer), where a derived column fails, where a key column or the event timestamp is null, where that lies
    before the first partition or too far ahead of the moment at which the rows ``arrived``, or where an
    earlier row has its key; of rows with one key the first stays, in the order of all their columns. Of
    types, a timestamp without a time zone is taken as UTC. Without declared columns nothing is cast.

    Raises:
        DataError: if a declared column is missing, or an expression does not fit the types.
    """
    owner = f"raw.{spec.name}"
    steps = Steps(owner, {"file": raw})
    reading = _Reading(steps, raw, "file", Scope.of(raw.columns, owner))
    reading = _with_nulls(_with_derived(_with_types(reading, spec), spec), spec)
    reading = _with_misplaced(reading, spec, arrived)
    judgement = [*_event_moment(reading, spec), named(_joined(reading.faults), REASON)]
    present = exp.select(all_columns(ROW), *judgement).from_(source(reading.current))
    judged = steps.add("judged", present)
    fit = exp.select("*").from_(source(judged)).where(exp.EQ(this=column(REASON), expression=text("")))
    own = [named(exp.false(), COPY)] if spec.key else []
    unfit = exp.select(exp.Star(), *own).from_(source(judged)).where(exp.NEQ(this=column(REASON), expression=text("")))
    accepted, rejected = steps.add("fit", fit), [steps.add("unfit", unfit)]
    if spec.key:
        accepted, again = _first_of_each_key(reading, spec, _with_stored_moment(reading, spec, accepted))
        rejected.append(again)
    return Conformed(_accepted(reading, spec, accepted), _quarantined(reading, spec, rejected))


def _with_types(reading: _Reading, spec: FileSource) -> _Reading:
    """Add a column of the declared type for each declared column."""
    if not spec.columns:
        return reading
    typed, faults, behind = [], [], {}
    for index, (name, declared) in enumerate(spec.columns.items()):
        found = column(reading.scope.find(name))
        behind[name] = fresh(f"_typed_{index}", reading.scope.taken)
        typed.append(named(_cast(found, declared, reading.raw[found.name].type()), behind[name]))
        lost = exp.and_(_is_null(column(behind[name])), exp.Not(this=_is_null(found.copy())))
        shown = call("left", exp.cast(found.copy(), "varchar", dialect="duckdb"), exp.Literal.number(_SHOWN))
        faults.append(_fault(lost, text(f"{name}: '"), shown, text(f"' is no {declared}")))
    query = exp.select(all_columns(ROW), *typed).from_(source(reading.current))
    current, scope = reading.steps.add("typed", query), reading.scope.adding(behind)
    return replace(reading, current=current, scope=scope, faults=(*reading.faults, *faults))


def _cast(found: exp.Expr, declared: str, dtype: dt.DataType) -> exp.Expr:
    """Return the value in its declared type, or null if it is no such value or would be rounded."""
    target = exp.DataType.build(declared, dialect="duckdb")
    cast: exp.Expr = exp.TryCast(this=found.copy(), to=target)
    if dtype.is_string() and target.this in _NAIVE:
        cast = _with_offset(found, target, cast)
    wider = next((wide for kind, wide in _WIDER.items() if _is_kind(target, kind)), None)
    if wider is None or dtype.is_integer() or dtype.is_date():
        return cast
    whole = exp.EQ(
        this=exp.cast(cast.copy(), wider, dialect="duckdb"),
        expression=exp.TryCast(this=found.copy(), to=exp.DataType.build(wider, dialect="duckdb")),
    )
    return exp.Case(ifs=[exp.If(this=whole, true=cast)])


def _with_offset(found: exp.Expr, target: exp.DataType, cast: exp.Expr) -> exp.Expr:
    """Return the moment that a text means: DuckDB's cast drops an offset from UTC without a word."""
    zoned = call("regexp_matches", call("substr", found.copy(), exp.Literal.number(len("2024-01-01T"))), text("[+-]"))
    moment = exp.TryCast(this=found.copy(), to=exp.DataType.build("timestamptz", dialect="duckdb"))
    return exp.Case(ifs=[exp.If(this=zoned, true=exp.TryCast(this=moment, to=target))], default=cast)


def _is_kind(target: exp.DataType, kind: str) -> bool:
    kinds = {
        "int": exp.DataType.INTEGER_TYPES,
        "decimal": {exp.DataType.Type.DECIMAL},
        "date": {exp.DataType.Type.DATE},
    }
    return target.this in kinds[kind]


def _with_derived(reading: _Reading, spec: FileSource) -> _Reading:
    """Add the derived columns, each in a step of its own: a later one may read an earlier one."""
    for index, (name, sql) in enumerate(spec.derive.items()):
        attempt, behind = (fresh(f"_{part}_{index}", reading.scope.taken) for part in ("attempt", "derived"))
        value = exp.Struct(
            expressions=[exp.PropertyEQ(this=exp.to_identifier("value"), expression=reading.scope.parse(sql))]
        )
        # A null inside the attempt is a value; a null in its place is a failure.
        tried = exp.select(all_columns(ROW), named(exp.Try(this=value), attempt)).from_(source(reading.current))
        got = named(exp.Dot(this=column(attempt), expression=exp.to_identifier("value")), behind)
        step = reading.steps.add("tried", tried)
        current = reading.steps.add("derived", exp.select(all_columns(ROW), got).from_(source(step)))
        fault = _fault(_is_null(column(attempt)), text(f"{name} cannot be derived"))
        scope = reading.scope.adding({name: behind, attempt: attempt})
        reading = replace(reading, current=current, scope=scope, faults=(*reading.faults, fault))
    return reading


def _with_nulls(reading: _Reading, spec: FileSource) -> _Reading:
    """Add the faults of keys and event timestamps that are not there."""
    moment = spec.event_timestamp
    faults = [
        _fault(_is_null(column(reading.scope.find(name))), text(f"key column {name} is null"))
        for name in spec.key
        if not _is_moment(name, spec)
    ]
    if moment:
        missing = _is_null(_moment(reading, moment))
        faults.append(_fault(missing, text(f"event timestamp {moment} is null or infinite")))
    return replace(reading, faults=(*reading.faults, *faults))


def _with_misplaced(reading: _Reading, spec: FileSource, arrived: datetime | None) -> _Reading:
    """Add the faults of event timestamps before the first partition, and of those that lie in the future."""
    if spec.event_timestamp is None:
        return reading
    moment = _moment(reading, spec.event_timestamp)
    shown = exp.cast(column(reading.scope.find(spec.event_timestamp)), "varchar", dialect="duckdb")
    told = [text(f"event timestamp {spec.event_timestamp}: '"), call("left", shown, exp.Literal.number(_SHOWN))]
    faults = []
    if spec.partitions is not None:
        early = exp.LT(this=moment.copy(), expression=_micros(first_moment(spec.partitions)))
        faults.append(_fault(early, *told, text(f"' lies before the first partition, {spec.partitions.start}")))
    if arrived is not None:
        late = exp.GT(this=moment.copy(), expression=_micros(spec.max_ahead.behind(arrived)))
        faults.append(_fault(late, *told, text(f"' lies more than {spec.max_ahead} ahead of its arrival")))
    return replace(reading, faults=(*reading.faults, *faults))


def first_moment(partitions: PartitionSpec) -> datetime:
    """Return the moment with which the first partition begins."""
    return partitions.window(partitions.start).start


def _micros(moment: datetime) -> exp.Expr:
    return exp.Literal.number((moment - _EPOCH) // timedelta(microseconds=1))


def _event_moment(reading: _Reading, spec: FileSource) -> list[exp.Expr]:
    return [named(instant(_moment(reading, spec.event_timestamp)), MOMENT)] if spec.event_timestamp else []


def _moment(reading: _Reading, name: str) -> exp.Expr:
    return call("epoch_us", column(reading.scope.find(name)))


def _is_null(tree: exp.Expr) -> exp.Expr:
    return exp.Is(this=tree, expression=exp.null())


def _fault(condition: exp.Expr, *parts: exp.Expr) -> exp.Expr:
    return exp.Case(ifs=[exp.If(this=condition, true=call("concat", *parts))])


def _joined(faults: Sequence[exp.Expr]) -> exp.Expr:
    return call("concat_ws", text("; "), *faults) if faults else text("")


def _with_stored_moment(reading: _Reading, spec: FileSource, fit: str) -> str:
    """Add the event timestamp as it will be stored, if it is part of the key: finer moments are one there."""
    for name in (name for name in spec.key if _is_moment(name, spec)):
        query = exp.select(all_columns(ROW), named(_moment(reading, name), _STORED))
        return reading.steps.add("stored", query.from_(source(fit)))
    return fit


def _is_moment(name: str, spec: FileSource) -> bool:
    return spec.event_timestamp is not None and name.lower() == spec.event_timestamp.lower()


def _first_of_each_key(reading: _Reading, spec: FileSource, fit: str) -> tuple[str, str]:
    """Return the steps of the rows that stay, and of those that repeat a key.

    Only rows whose key repeats are ranked: where there are none, nothing is sorted.
    """
    steps = reading.steps
    keys = [column(_STORED if _is_moment(name, spec) else reading.scope.find(name)) for name in spec.key]
    repeated = exp.select(*(key.copy() for key in keys)).from_(source(fit)).group_by(*(key.copy() for key in keys))
    many = exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1))
    repeats = steps.add("repeated keys", repeated.having(many))
    unique = steps.add("unique", _by_presence(fit, repeats, keys, kind="ANTI"))
    candidates = steps.add("candidates", _by_presence(fit, repeats, keys, kind="SEMI"))
    every = [exp.Ordered(this=column(name)) for name in reading.raw.columns]
    rank = exp.Window(
        this=call("row_number"), partition_by=[key.copy() for key in keys], order=exp.Order(expressions=every)
    )
    alike = exp.Window(
        this=call("dense_rank"),
        partition_by=[key.copy() for key in keys],
        order=exp.Order(expressions=[each.copy() for each in every]),
    )
    ranks = [named(rank, "_rank"), named(alike, "_alike")]
    ranked = steps.add("ranked", exp.select(all_columns(ROW), *ranks).from_(source(candidates)))
    first = exp.EQ(this=column("_rank"), expression=exp.Literal.number(1))
    own = exp.Star(except_=[exp.to_identifier(name) for name in ("_rank", "_alike")])
    kept = exp.select(own).from_(source(ranked)).where(first)
    stay = steps.add("accepted", exp.union(exp.select("*").from_(source(unique)), kept, distinct=False))
    message = text(f"key ({', '.join(spec.key)}) repeats an earlier row's")
    known = [*reading.raw.columns, *([MOMENT] if spec.event_timestamp else [])]
    copy = named(exp.EQ(this=column("_alike"), expression=exp.Literal.number(1)), COPY)
    again = exp.select(*(column(name) for name in known), copy, named(message, REASON)).from_(source(ranked))
    return stay, steps.add("repeating", again.where(exp.Not(this=first.copy())))


def _by_presence(fit: str, repeats: str, keys: Sequence[exp.Expr], *, kind: str) -> exp.Select:
    same = [exp.EQ(this=column(key.name, ROW), expression=column(key.name, "_repeat")) for key in keys]
    query = exp.select(all_columns(ROW)).from_(source(fit))
    query.append("joins", exp.Join(this=source(repeats, "_repeat"), kind=kind, on=exp.and_(*same)))
    return query


def _accepted(reading: _Reading, spec: FileSource, step: str) -> ibis.Table:
    declared = {name.lower() for name in (*spec.columns, *spec.derive)}
    new = [name for name in reading.raw.columns if name.lower() not in declared]
    derived = [name for name in spec.derive if name.lower() not in {column.lower() for column in spec.columns}]
    names = [*spec.columns, *new, *derived]
    selected: dict[str, exp.Expr] = {name: column(reading.scope.find(name)) for name in names}
    if spec.event_timestamp:
        moment = next(name for name in names if name.lower() == spec.event_timestamp.lower())
        selected[moment] = instant(_moment(reading, moment))
    query = exp.select(*(named(tree, name) for name, tree in selected.items())).from_(source(step))
    return reading.steps.finish(query)


def _quarantined(reading: _Reading, spec: FileSource, rejected: Sequence[str]) -> ibis.Table:
    facts = ((MOMENT, spec.event_timestamp), (COPY, spec.key), (REASON, True))
    told = [column(name) for name, there in facts if there]
    parts = [
        exp.select(
            *(named(exp.cast(column(name), "varchar", dialect="duckdb"), name) for name in reading.raw.columns),
            *(each.copy() for each in told),
        ).from_(source(step))
        for step in rejected
    ]
    whole = parts[0] if len(parts) == 1 else exp.union(parts[0], parts[1], distinct=False)
    return reading.steps.finish(exp.select("*").from_(whole.subquery("_rejected")))
