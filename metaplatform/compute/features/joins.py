"""Facts of another table, joined to the spine: by key (lookup) or by key and time (as of)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlglot import exp

from metaplatform.compute.features.spine import Spine, Table
from metaplatform.compute.instants import inside, shifted
from metaplatform.compute.sql_columns import ROW, all_columns, column, fresh, identifier, named, source, text
from metaplatform.specs.entities.features import AsOfFeatures, JoinedFeatures, LookupFeatures
from metaplatform.specs.fields.reads import looked_back
from metaplatform.sql.dialect import call, cast_to

FACTS = "_facts"
"""Alias of the joined side, whose columns are ``_key_0``, ``_key_1``, ... and the block's features."""
AT, KNOWN = "_at", "_known"
"""When a joined row happened, and from when on it counts, in microseconds since 1970."""


def key_pairs(spine: Spine, block: JoinedFeatures, table: Table) -> list[tuple[str, str]]:
    """Return the columns matched: of the spine's step, and of the table.

    A name on the spine's side means what it means in an expression: a feature above, or else the spine's own.
    """
    return [(spine.scope.find(own), table.scope.find(theirs)) for own, theirs in block.on.items()]


def key_name(index: int) -> str:
    """Return the name of a key column on the joined side; no feature starts with an underscore."""
    return f"_key_{index}"


def not_null(columns: list[exp.Expr]) -> list[exp.Expr]:
    """Return that none of the columns is null: a null key matches nothing, a null moment is not a moment."""
    return [exp.Not(this=exp.Is(this=tree.copy(), expression=exp.null())) for tree in columns]


def matching(pairs: list[tuple[str, str]]) -> list[exp.Expr]:
    """Return that a row of the spine and one of the joined side have one key."""
    return [
        exp.EQ(this=column(own, ROW), expression=column(key_name(index), FACTS)) for index, (own, _) in enumerate(pairs)
    ]


def attach(
    spine: Spine, joins: list[exp.Join], facts: Mapping[str, exp.Expr], *, reveal: Iterable[str] | None = None
) -> Spine:
    """Add a step that joins and selects ``facts``, by feature, for every row of the spine.

    Only the features in ``reveal`` (all, if None) can be read by later expressions.
    """
    behind: dict[str, str] = {}
    for name in facts:
        behind[name] = fresh(name, (*spine.scope.taken, *behind.values()))
    selected = [all_columns(ROW), *(named(tree, behind[name]) for name, tree in facts.items())]
    query = exp.select(*selected).from_(source(spine.current))
    query.set("joins", joins)
    scope = spine.scope.adding({name: behind[name] for name in (behind if reveal is None else reveal)})
    hidden = replace(scope, taken=scope.taken.union(behind.values()))
    joined = {**spine.joined, **behind}
    return replace(spine, current=spine.steps.add("spine", query), scope=hidden, joined=joined)


def left_join(step: str, match: list[exp.Expr], *, method: str | None = None) -> exp.Join:
    """Return a LEFT JOIN of a step of facts."""
    return exp.Join(this=source(step, FACTS), side="LEFT", method=method, on=exp.and_(*match))


def join_lookup(spine: Spine, block: LookupFeatures, table: Table) -> Spine:
    """Join the table's row with the same key; a row without one keeps nulls.

    Two rows with one key stop the query, with an error that names the table: a choice between them would
    be a guess, and both would double the spine's row.
    """
    pairs = key_pairs(spine, block, table)
    keys: list[exp.Expr] = [column(theirs) for _, theirs in pairs]
    facts = [named(call("any_value", table.scope.parse(sql)), name) for name, sql in block.columns.items()]
    query = exp.select(*_as_keys(keys), *facts).from_(source(table.ref)).where(*not_null(keys)).group_by(*keys)
    step = spine.steps.add(f"{table.ref} by key", query.having(_only_one(table, keys)))
    facts_of = {name: column(name, FACTS) for name in block.columns}
    return attach(spine, [left_join(step, matching(pairs))], facts_of)


def _as_keys(keys: list[exp.Expr]) -> list[exp.Expr]:
    return [named(tree.copy(), key_name(index)) for index, tree in enumerate(keys)]


def _only_one(table: Table, keys: list[exp.Expr]) -> exp.Expr:
    values = call("concat_ws", text(", "), *(cast_to(key.copy(), "varchar") for key in keys))
    names = ", ".join(key.name for key in keys)
    message = call(
        "concat", text(f"{table.ref} has several rows with {names} = "), values, text("; a lookup needs one")
    )
    one = exp.EQ(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1))
    return exp.Case(ifs=[exp.If(this=one, true=exp.true())], default=call("error", message))


def join_as_of(spine: Spine, block: AsOfFeatures, table: Table) -> Spine:
    """Join the latest row that was known before the spine row's moment, unless it is older than ``within``.

    Of rows that share key and moment, the one with the greatest row key counts; of a table without a row
    key, the one with the greatest facts.
    """
    pairs = key_pairs(spine, block, table)
    keys: list[exp.Expr] = [column(theirs) for _, theirs in pairs]
    moment = table.event_microseconds()
    selected = [
        *_as_keys(keys),
        named(moment.copy(), AT),
        named(shifted(moment.copy(), block.delay, sign=1), KNOWN),
        *(named(table.scope.parse(sql), name) for name, sql in block.columns.items()),
        *(named(column(name), f"_order_{index}") for index, name in enumerate(_ties(block, table))),
    ]
    query = exp.select(*selected).from_(source(table.ref))
    query = query.where(*not_null([*keys, moment]), *_reachable(spine, block, table))
    step = spine.steps.add(f"{table.ref} as known", query)
    if block.delay.months or not _unique_in_time(block, table):
        step = spine.steps.add(f"{table.ref} latest", _latest(step, block, table, keys))
    after = exp.GT(this=column(spine.moment, ROW), expression=column(KNOWN, FACTS))
    facts = {name: _young(spine, block, column(name, FACTS)) for name in block.columns}
    return attach(spine, [left_join(step, [*matching(pairs), after], method="ASOF")], facts)


def _unique_in_time(block: AsOfFeatures, table: Table) -> bool:
    """Tell whether the declared row key already says that no two rows share join key and moment."""
    matched = {name.lower() for name in (*block.on.values(), str(table.spec.event_timestamp))}
    return bool(table.spec.key) and matched.issuperset(name.lower() for name in table.spec.key)


def _ties(block: AsOfFeatures, table: Table) -> list[str]:
    matched = {name.lower() for name in (*block.on.values(), str(table.spec.event_timestamp))}
    return [table.scope.find(name) for name in table.spec.key if name.lower() not in matched]


def _latest(step: str, block: AsOfFeatures, table: Table, keys: list[exp.Expr]) -> exp.Select:
    """Return one row for each key and moment of becoming known."""
    groups = [column(key_name(index)) for index in range(len(keys))] + [column(KNOWN)]
    orders = [f"_order_{index}" for index in range(len(_ties(block, table)))] if table.spec.key else list(block.columns)
    kept = _struct([AT, *block.columns])
    best = named(call("arg_max", kept, _struct([AT, *orders])), "_best")
    grouped = exp.select(*groups, best).from_(source(step)).group_by(*(group.copy() for group in groups))
    fields = [named(exp.Dot(this=column("_best"), expression=identifier(name)), name) for name in (AT, *block.columns)]
    return exp.select(*(group.copy() for group in groups), *fields).from_(grouped.subquery(identifier("_grouped")))


def _struct(names: list[str]) -> exp.Expr:
    return exp.Struct(expressions=[exp.PropertyEQ(this=identifier(name), expression=column(name)) for name in names])


def _reachable(spine: Spine, block: AsOfFeatures, table: Table) -> list[exp.Expr]:
    """Return that a row can matter at all to the spine's window, which lets the engine skip files."""
    if spine.window is None:
        return []
    within = inside(*table.event_timestamp, looked_back(spine.window, back=(block.within,) if block.within else ()))
    return [within] if block.within else [within.expression]


def _young(spine: Spine, block: AsOfFeatures, fact: exp.Expr) -> exp.Expr:
    if block.within is None:
        return fact
    last = shifted(column(AT, FACTS), block.within, sign=1)
    young = exp.GTE(this=last, expression=column(spine.moment, ROW))
    return exp.Case(ifs=[exp.If(this=young, true=fact)])
