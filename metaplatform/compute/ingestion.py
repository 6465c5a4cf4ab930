"""Rows of files → typed rows of a raw table, and the rows turned away, each with its reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
from sqlglot import exp

from metaplatform.compute.instants import instant
from metaplatform.compute.sql_columns import (
    ROW,
    Scope,
    Steps,
    all_columns,
    column,
    fresh,
    fresh_stem,
    named,
    source,
    text,
)
from metaplatform.naming import FILE
from metaplatform.specs.book.source_looks import Misfit, MisfitKind
from metaplatform.specs.entities.ingestion import Source
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.sql.dialect import call, cast_to, type_of

REASON = "_reason"
"""Column of quarantined rows that says why; no column of the book starts with an underscore."""
MOMENT = "_event_timestamp"
"""Column of quarantined rows that holds their event timestamp, null where it cannot be told."""
COPY = "_copy"
"""Column of quarantined rows of a source with a key: whether it is the stored row of its key once more."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN, _STORED = 80, "_stored_moment"


Keep = Callable[[ibis.Table], ibis.Table]
"""Computes a table, and returns it to be read as often as needed."""


@dataclass(frozen=True)
class Conformed:
    """The rows of a source that are as declared, and those that are not.

    ``accepted`` has the declared columns, then new ones, then derived ones; the event timestamp is a
    TIMESTAMPTZ (UTC). ``quarantined`` has the columns of the file as text, ``_event_timestamp`` where the source has
    one, ``_copy`` where it has a key, and ``_reason``. Both have ``_source_file`` where the rows are read from files.
    """

    accepted: ibis.Table
    quarantined: ibis.Table


@dataclass(frozen=True)
class _Fault:
    """What may be wrong with a row: its kind, its column, the condition, and the parts of a text for people."""

    kind: MisfitKind
    column: str
    condition: exp.Expr
    parts: tuple[exp.Expr, ...]

    def told(self) -> exp.Expr:
        """Return the text where a row has the fault, and null elsewhere."""
        return exp.Case(ifs=[exp.If(this=self.condition.copy(), true=call("concat", *self.parts))])


@dataclass(frozen=True)
class _Reading:
    """Where the reading of rows stands: the last step, the typed columns in scope, and the faults found so far."""

    steps: Steps
    raw: ibis.Table
    current: str
    scope: Scope
    faults: tuple[_Fault, ...] = ()


def conform(raw: ibis.Table, spec: Source, *, arrived: datetime | None = None, keep: Keep | None = None) -> Conformed:
    """Return the rows of ``raw`` as the source declares them, and those to quarantine.

    A row is turned away where a value is not of its declared type or would be changed by it (1.5 as an
    integer, a microsecond's tenth as a timestamp), where a derived column fails, where a key column or the event
    timestamp is null, where that lies before the first partition or too far ahead of the moment at which the rows
    ``arrived``, or where an earlier row has its key; of rows with one key the first stays, in the order of all
    their columns. Of types, a timestamp without a time zone is taken as UTC. Without declared columns nothing is
    cast. ``keep`` computes a table once, where both results are to be read: the keys that repeat.

    Raises:
        DataError: if a declared column is missing, or an expression does not fit the types.
    """
    reading, repeats = _read(raw, spec, arrived), ""
    if spec.key and keep is not None:
        reading, repeats = _with_repeats_kept(reading, spec, keep)
    accepted, unfit = _parted(reading, spec)
    rejected = [unfit]
    if spec.key:
        accepted, again = _first_of_each_key(reading, spec, _with_stored_moment(reading, spec, accepted), repeats)
        rejected.append(again)
    return Conformed(_accepted(reading, spec, accepted), _quarantined(reading, spec, rejected))


def misfits(raw: ibis.Table, spec: Source) -> tuple[Misfit, ...]:
    """Return what :func:`conform` would turn rows away for, by kind and column, each with an example.

    Raises:
        DataError: as :func:`conform` does.
    """
    reading = _read(raw, spec)
    typed = {fault.column.lower(): fault.condition for fault in reading.faults if fault.kind == "type"}
    counted = []
    for fault in reading.faults:
        condition = fault.condition
        if fault.kind == "null" and fault.column.lower() in typed:
            # A value that is not of its type has become null: that is said already.
            condition = exp.and_(condition, exp.not_(typed[fault.column.lower()]))
        told = replace(fault, condition=condition).told()
        counted.append((fault.kind, fault.column, _counted(reading.current, told)))
    if spec.key:
        again = _first_of_each_key(reading, spec, _with_stored_moment(reading, spec, _parted(reading, spec)[0]))[1]
        counted.append(("key", spec.key[0], _counted(again, column(REASON))))
    if not counted:
        return ()
    every = exp.select(*(named(query.subquery(), f"_{number}") for number, (_, _, query) in enumerate(counted)))
    (found,) = reading.steps.finish(every).to_pyarrow().to_pylist()
    each = zip(counted, found.values(), strict=True)
    return tuple(Misfit(kind, name, seen["rows"], seen["example"]) for (kind, name, _), seen in each if seen["rows"])


def _counted(step: str, told: exp.Expr) -> exp.Select:
    """Return a query of one value: how many rows of a step have a fault told of, and what is said of one."""
    parts = {"rows": exp.Count(this=told), "example": call("min", told.copy())}
    both = [exp.PropertyEQ(this=exp.to_identifier(name), expression=part) for name, part in parts.items()]
    return exp.select(exp.Struct(expressions=both)).from_(source(step))


def _parted(reading: _Reading, spec: Source) -> tuple[str, str]:
    """Return the steps of the rows without any fault, and of those with some, each with ``_reason``."""
    told = call("concat_ws", text("; "), *(fault.told() for fault in reading.faults)) if reading.faults else text("")
    judgement = [*_event_moment(reading, spec), named(told, REASON)]
    present = exp.select(all_columns(ROW), *judgement).from_(source(reading.current))
    judged = reading.steps.add("judged", present)
    fit = exp.select("*").from_(source(judged)).where(exp.EQ(this=column(REASON), expression=text("")))
    own = [named(exp.false(), COPY)] if spec.key else []
    unfit = exp.select(exp.Star(), *own).from_(source(judged)).where(exp.NEQ(this=column(REASON), expression=text("")))
    return reading.steps.add("fit", fit), reading.steps.add("unfit", unfit)


def _read(raw: ibis.Table, spec: Source, arrived: datetime | None = None) -> _Reading:
    """Return the rows with every typed and derived column, and what may be wrong with one."""
    owner = spec.ref
    reading = _Reading(Steps(owner, {"file": raw}), raw, "file", Scope.of(_columns(raw), owner))
    reading = _with_nulls(_with_derived(_with_types(reading, spec), spec), spec)
    return _with_misplaced(reading, spec, arrived)


def _with_types(reading: _Reading, spec: Source) -> _Reading:
    """Add a column of the declared type for each declared column."""
    if not spec.columns:
        return reading
    mapper: Any = reading.raw.get_backend().compiler.type_mapper
    typed, faults, behind, written = [], [], {}, spec.written
    stem = fresh_stem("_typed", reading.scope.taken)
    for index, (name, declared) in enumerate(spec.columns.items()):
        found = column(reading.scope.find(name))
        behind[name] = f"{stem}_{index}"
        target = type_of(declared)
        has = mapper.from_ibis(reading.raw[found.name].type())
        typed.append(named(written.cast(name, found, target, has), behind[name]))
        lost = exp.and_(_is_null(column(behind[name])), exp.Not(this=_is_null(found.copy())))
        shown = call("left", cast_to(found.copy(), "varchar"), exp.Literal.number(_SHOWN))
        faults.append(
            _Fault(
                "type",
                name,
                lost,
                (text(f"{name}: '"), shown, text(f"' is not a valid {declared}{written.told(name, target)}")),
            )
        )
    query = exp.select(all_columns(ROW), *typed).from_(source(reading.current))
    current, scope = reading.steps.add("typed", query), reading.scope.adding(behind)
    return replace(reading, current=current, scope=scope, faults=(*reading.faults, *faults))


def _with_derived(reading: _Reading, spec: Source) -> _Reading:
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
        fault = _Fault("derive", name, _is_null(column(attempt)), (text(f"{name} cannot be derived"),))
        scope = reading.scope.adding({name: behind, attempt: attempt})
        reading = replace(reading, current=current, scope=scope, faults=(*reading.faults, fault))
    return reading


def _with_nulls(reading: _Reading, spec: Source) -> _Reading:
    """Add the faults of keys and event timestamps that are not there."""
    moment = spec.event_timestamp
    faults = [
        _Fault("null", name, _is_null(column(reading.scope.find(name))), (text(f"key column {name} is null"),))
        for name in spec.key
        if not _is_moment(name, spec)
    ]
    if moment:
        missing = _is_null(_moment(reading, moment))
        told = text(f"event timestamp {moment} is null or infinite")
        faults.append(_Fault("null", moment, missing, (told,)))
    return replace(reading, faults=(*reading.faults, *faults))


def _with_misplaced(reading: _Reading, spec: Source, arrived: datetime | None) -> _Reading:
    """Add the faults of event timestamps before the first partition, and of those that lie in the future."""
    if spec.event_timestamp is None:
        return reading
    moment = _moment(reading, spec.event_timestamp)
    shown = cast_to(column(reading.scope.find(spec.event_timestamp)), "varchar")
    name = spec.event_timestamp
    told = [text(f"event timestamp {name}: '"), call("left", shown, exp.Literal.number(_SHOWN))]
    faults = []
    if spec.partitions is not None:
        early = exp.LT(this=moment.copy(), expression=_micros(first_moment(spec.partitions)))
        first = text(f"' lies before the first partition, {spec.partitions.start}")
        faults.append(_Fault("time", name, early, (*told, first)))
    if arrived is not None:
        late = exp.GT(this=moment.copy(), expression=_micros(spec.max_ahead.behind(arrived)))
        ahead = text(f"' lies more than {spec.max_ahead} ahead of its arrival")
        faults.append(_Fault("time", name, late, (*told, ahead)))
    return replace(reading, faults=(*reading.faults, *faults))


def repeats_key(spec: Source) -> str:
    """Return the reason of a row that has no fault, and whose key an earlier row has."""
    return f"key ({', '.join(spec.key)}) repeats an earlier row's"


def first_moment(partitions: PartitionSpec) -> datetime:
    """Return the moment with which the first partition begins."""
    return partitions.window(partitions.start).start


def _micros(moment: datetime) -> exp.Expr:
    return exp.Literal.number((moment - _EPOCH) // timedelta(microseconds=1))


def _event_moment(reading: _Reading, spec: Source) -> list[exp.Expr]:
    return [named(instant(_moment(reading, spec.event_timestamp)), MOMENT)] if spec.event_timestamp else []


def _moment(reading: _Reading, name: str) -> exp.Expr:
    return call("epoch_us", column(reading.scope.find(name)))


def _is_null(tree: exp.Expr) -> exp.Expr:
    return exp.Is(this=tree, expression=exp.null())


def _with_stored_moment(reading: _Reading, spec: Source, fit: str) -> str:
    """Add the event timestamp as it will be stored, if it is part of the key: finer moments are one there."""
    for name in (name for name in spec.key if _is_moment(name, spec)):
        query = exp.select(all_columns(ROW), named(_moment(reading, name), _STORED))
        return reading.steps.add("stored", query.from_(source(fit)))
    return fit


def _is_moment(name: str, spec: Source) -> bool:
    return spec.event_timestamp is not None and name.lower() == spec.event_timestamp.lower()


def _keys(reading: _Reading, spec: Source) -> list[exp.Column]:
    return [column(_STORED if _is_moment(name, spec) else reading.scope.find(name)) for name in spec.key]


def _repeated(step: str, keys: Sequence[exp.Expr]) -> exp.Select:
    """Return a query of the keys that several rows of a step have."""
    many = exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1))
    query = exp.select(*(key.copy() for key in keys)).from_(source(step))
    return query.group_by(*(key.copy() for key in keys)).having(many)


def _with_repeats_kept(reading: _Reading, spec: Source, keep: Keep) -> tuple[_Reading, str]:
    """Return the reading with the keys that repeat computed, and the step that has them.

    They are looked for in all rows, also those with a fault: then nothing but the keys is computed, and of a key that
    only one sound row has, that row is the first.
    """
    every = _with_stored_moment(reading, spec, reading.current)
    repeats = keep(reading.steps.finish(_repeated(every, _keys(reading, spec))))
    name = reading.steps.add("repeated keys", exp.select("*").from_(source("repeats")))
    steps = replace(reading.steps, tables={**reading.steps.tables, "repeats": repeats})
    return replace(reading, steps=steps), name


def _first_of_each_key(reading: _Reading, spec: Source, fit: str, repeats: str = "") -> tuple[str, str]:
    """Return the steps of the rows that stay, and of those that repeat a key; ``repeats`` has the keys, if known.

    Only rows whose key repeats are ranked: where there are none, nothing is sorted.
    """
    steps, keys = reading.steps, _keys(reading, spec)
    repeats = repeats or steps.add("repeated keys", _repeated(fit, keys))
    unique = steps.add("unique", _by_presence(fit, repeats, keys, kind="ANTI"))
    candidates = steps.add("candidates", _by_presence(fit, repeats, keys, kind="SEMI"))
    every = [exp.Ordered(this=column(name)) for name in _columns(reading.raw)]
    last = [exp.Ordered(this=column(FILE))] if FILE in reading.raw.columns else []
    rank = exp.Window(
        this=call("row_number"), partition_by=[key.copy() for key in keys], order=exp.Order(expressions=[*every, *last])
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
    message = text(repeats_key(spec))
    known = [*reading.raw.columns, *([MOMENT] if spec.event_timestamp else [])]
    copy = named(exp.EQ(this=column("_alike"), expression=exp.Literal.number(1)), COPY)
    again = exp.select(*(column(name) for name in known), copy, named(message, REASON)).from_(source(ranked))
    return stay, steps.add("repeating", again.where(exp.Not(this=first.copy())))


def _by_presence(fit: str, repeats: str, keys: Sequence[exp.Expr], *, kind: str) -> exp.Select:
    same = [exp.EQ(this=column(key.name, ROW), expression=column(key.name, "_repeat")) for key in keys]
    query = exp.select(all_columns(ROW)).from_(source(fit))
    query.append("joins", exp.Join(this=source(repeats, "_repeat"), kind=kind, on=exp.and_(*same)))
    return query


def _accepted(reading: _Reading, spec: Source, step: str) -> ibis.Table:
    declared = {name.lower() for name in (*spec.columns, *spec.derive)}
    new = [name for name in _columns(reading.raw) if name.lower() not in declared]
    derived = [name for name in spec.derive if name.lower() not in {column.lower() for column in spec.columns}]
    names = [*spec.columns, *new, *derived]
    selected: dict[str, exp.Expr] = {name: column(reading.scope.find(name)) for name in names}
    if spec.event_timestamp:
        moment = next(name for name in names if name.lower() == spec.event_timestamp.lower())
        selected[moment] = instant(_moment(reading, moment))
    if FILE in reading.raw.columns:
        selected[FILE] = column(FILE)
    query = exp.select(*(named(tree, name) for name, tree in selected.items())).from_(source(step))
    return reading.steps.finish(query)


def _columns(raw: ibis.Table) -> list[str]:
    """Return the columns that the files themselves have."""
    return [name for name in raw.columns if name != FILE]


def _quarantined(reading: _Reading, spec: Source, rejected: Sequence[str]) -> ibis.Table:
    facts = ((MOMENT, spec.event_timestamp), (COPY, spec.key), (REASON, True))
    told = [column(name) for name, there in facts if there]
    parts = [
        exp.select(
            *(named(cast_to(column(name), "varchar"), name) for name in reading.raw.columns),
            *(each.copy() for each in told),
        ).from_(source(step))
        for step in rejected
    ]
    whole = parts[0] if len(parts) == 1 else exp.union(parts[0], parts[1], distinct=False)
    return reading.steps.finish(exp.select("*").from_(whole.subquery("_rejected")))
