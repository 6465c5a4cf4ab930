"""Aggregates over the rows of another table in a span of time before each row of the spine.

One sort of the history answers every block that has the same table and keys: each aggregate of the book
becomes a window function whose frame is the block's span. Narrow columns are sorted, and joined back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from metaplatform.compute.features.joins import FACTS, KNOWN, attach, key_name, key_pairs, left_join, matching, not_null
from metaplatform.compute.features.spine import Spine, Table
from metaplatform.compute.instants import MICROSECONDS, inside, shifted
from metaplatform.compute.sql_columns import ROW, Scope, column, identifier, named, source
from metaplatform.specs.entities.features import WindowFeatures
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.reads import looked_back
from metaplatform.sql.dialect import call, sql_text
from metaplatform.sql.expressions import column_uses, parse_expression
from metaplatform.sql.sql_safety import is_aggregate

PROBE = "_probe"
"""True in the rows that stand for rows of the spine, among the rows of the history."""
EMPTY = "_empty"
"""Alias of the one row that holds aggregates over no rows."""
ZERO_OVER_NO_ROWS = frozenset({"approx_count_distinct", "count", "count_star", "entropy", "regr_count"})
"""Aggregates that are 0 where there is nothing; all others are null."""


@dataclass(frozen=True)
class History:
    """A table's rows as the blocks of one group read them.

    ``own`` says that the history is the spine's own table, joined to itself by its own keys: each row is then
    its own probe, and half the rows are sorted.
    """

    table: Table
    blocks: Sequence[WindowFeatures]
    pairs: list[tuple[str, str]]
    own: bool

    @property
    def keys(self) -> list[exp.Expr]:
        """Return the table's key columns."""
        return [column(theirs) for _, theirs in self.pairs]

    @property
    def delay(self) -> Duration:
        """Return how long after its event timestamp a row of the history is known, where ``own`` is false."""
        return Duration() if self.own else self.blocks[0].delay


def sorted_together(spine: Spine, block: WindowFeatures, table: Table) -> object:
    """Return what blocks must share to be answered by one sort."""
    pairs = tuple(key_pairs(spine, block, table))
    return (block.table, pairs, None if is_own(spine, block) else block.delay)


def is_own(spine: Spine, block: WindowFeatures) -> bool:
    """Tell whether the block looks back on the spine's own table by the spine's own columns."""
    same = all(spine.is_own(own) and own.lower() == theirs.lower() for own, theirs in block.on.items())
    return same and block.table == spine.table.ref and not block.delay.months


def join_windows(spine: Spine, blocks: Sequence[WindowFeatures], table: Table) -> Spine:
    """Join the aggregates of blocks that are sorted together; only the first block's can be read already."""
    own = is_own(spine, blocks[0])
    history = History(table, blocks, key_pairs(spine, blocks[0], table), own)
    values = _values(history)
    history_rows = rows = spine.steps.add(f"{table.ref} history", _rows(spine, history, values))
    if not own:
        rows = spine.steps.add(f"{table.ref} history and probes", _with_probes(spine, history, values, rows))
    step = spine.steps.add(f"{table.ref} windows", _windowed(spine, history, values, rows))
    same_moment = exp.EQ(this=column(spine.moment, ROW), expression=column(KNOWN, FACTS))
    joins = [left_join(step, [*matching(history.pairs), same_moment])]
    trees = {name: _aggregates(values, sql) for block in blocks for name, sql in block.columns.items()}
    mixed = {name: tree for name, tree in trees.items() if not _is_bare(tree)}
    if mixed:
        no_rows = exp.select(*(named(tree, name) for name, tree in mixed.items()))
        no_rows = no_rows.from_(source(history_rows)).where(exp.false())
        joins.append(exp.Join(this=source(spine.steps.add(f"{table.ref} no rows", no_rows), EMPTY), kind="CROSS"))
    facts = {name: _or_empty(name, None if name in mixed else tree) for name, tree in trees.items()}
    return attach(spine, joins, facts, reveal=blocks[0].columns)


def _aggregates(values: Scope, sql: str) -> exp.Expr:
    """Return a feature's expression; what counts is written so that it is 0 over no rows, as every count is.

    DuckDB's ``count_if`` is null there, and where the condition is null in every row.
    """
    holder = exp.Paren(this=values.parse(sql))
    for node in list(holder.find_all(exp.CountIf)):
        if isinstance(node.this, exp.Distinct):
            continue
        filtered = node.parent if isinstance(node.parent, exp.Filter) else None
        conditions = [node.this, *([filtered.expression.this] if filtered else [])]
        kept = exp.Where(this=exp.and_(*(condition.copy() for condition in conditions)))
        (filtered or node).replace(exp.Filter(this=exp.Count(this=exp.Star()), expression=kept))
    tree: exp.Expr = holder.this
    return tree


def _is_bare(tree: exp.Expr) -> bool:
    """Tell whether the expression is one aggregate, whose value over no rows needs no query."""
    return is_aggregate(tree.this if isinstance(tree, exp.Filter) else tree)


def _or_empty(name: str, bare: exp.Expr | None) -> exp.Expr:
    """Return the fact, or what it is where there is no history: a count is 0, a mean null."""
    fact = column(name, FACTS)
    empty: exp.Expr = column(name, EMPTY)
    if bare is not None:
        if sql_text(bare).partition("(")[0].lower() not in ZERO_OVER_NO_ROWS:
            return fact
        empty = exp.Literal.number(0)
    return exp.Case(ifs=[exp.If(this=not_null([column(KNOWN, FACTS)])[0], true=fact)], default=empty)


def _values(history: History) -> Scope:
    """Return the columns of the history that aggregates read, under names no column of the book can have."""
    texts = [
        sql for block in history.blocks for sql in (*block.columns.values(), *([block.where] if block.where else []))
    ]
    names = dict.fromkeys(
        history.table.scope.find(part.name) for sql in texts for part in column_uses(parse_expression(sql))
    )
    return Scope(
        history.table.scope.owner,
        {name.lower(): f"_value_{index}" for index, name in enumerate(names)},
        history.table.scope.taken,
    )


def _rows(spine: Spine, history: History, values: Scope) -> exp.Select:
    """Return keys, moment of becoming known, and values of the history's rows that can matter."""
    table = history.table
    known = shifted(table.event_microseconds(), history.delay, sign=1)
    selected = [
        *_named_keys(history.keys),
        named(known, KNOWN),
        *(named(column(table.scope.find(name)), behind) for name, behind in values.columns.items()),
    ]
    conditions = not_null([*history.keys, table.event_microseconds()])
    if spine.window:
        reaches = [looked_back(spine.window, back=(block.window, block.delay)) for block in history.blocks]
        conditions.append(inside(*table.event_timestamp, min(reaches, key=lambda window: window.start)))
    return exp.select(*selected).from_(source(table.ref)).where(*conditions)


def _named_keys(keys: Sequence[exp.Expr]) -> list[exp.Expr]:
    return [named(tree.copy(), key_name(index)) for index, tree in enumerate(keys)]


def _with_probes(spine: Spine, history: History, values: Scope, rows: str) -> exp.Query:
    """Return the history's rows, and among them one row for each key and moment of the spine."""
    keys = [column(own) for own, _ in history.pairs]
    plain = all(spine.is_own(own) for own in history.blocks[0].on)
    probes = exp.select(
        *_named_keys(keys),
        named(column(spine.moment), KNOWN),
        *(named(exp.null(), behind) for behind in values.columns.values()),
        named(exp.true(), PROBE),
    )
    if not plain:
        spine.steps.kept.add(spine.current)
    probes = probes.from_(source(spine.base if plain else spine.current))
    probes = probes.where(*not_null([*keys, column(spine.moment)])).distinct()
    past = exp.select("*", named(exp.false(), PROBE)).from_(source(rows))
    return exp.union(past, probes, distinct=False)


def _windowed(spine: Spine, history: History, values: Scope, rows: str) -> exp.Select:
    """Return the aggregates at each key and moment that a row of the spine can have."""
    groups = [*(column(key_name(index)) for index in range(len(history.pairs))), column(KNOWN)]
    features = [
        named(_framed(_aggregates(values, sql), block, history, values), name)
        for block in history.blocks
        for name, sql in block.columns.items()
    ]
    probe = [] if history.own else [column(PROBE)]
    framed = exp.select(*groups, *probe, *features).from_(source(rows)).subquery(identifier(ROW))
    if not history.own:
        return exp.select("*").from_(framed).where(column(PROBE))
    # Rows of one key and moment share a frame, so that any of them has the value of all.
    names = [feature.alias for feature in features]
    one = exp.select(*groups, *(named(call("any_value", column(name)), name) for name in names)).from_(framed)
    if spine.window:
        start = int(spine.window.start.timestamp()) * MICROSECONDS
        one = one.where(exp.GTE(this=column(KNOWN), expression=exp.Literal.number(start)))
    return one.group_by(*(group.copy() for group in groups))


def _framed(tree: exp.Expr, block: WindowFeatures, history: History, values: Scope) -> exp.Expr:
    """Return the expression with each aggregate in it taken over the block's frame."""
    conditions: list[exp.Expr] = [] if history.own else [exp.Not(this=column(PROBE))]
    if block.where:
        conditions.append(values.parse(block.where))
    holder = exp.Paren(this=tree)
    for node in [node for node in holder.find_all(exp.Func) if is_aggregate(node)]:
        whole: exp.Expr = node
        while isinstance(whole.parent, exp.Filter | exp.WithinGroup | exp.IgnoreNulls):
            whole = whole.parent
        whole.replace(_over(whole, conditions, block, history))
    return holder


def _over(whole: exp.Expr, conditions: list[exp.Expr], block: WindowFeatures, history: History) -> exp.Window:
    function = whole.copy()
    wanted = list(conditions)
    if isinstance(function, exp.Filter):
        wanted.append(function.expression.this)
        function = function.this
    if wanted:
        function = exp.Filter(this=function, expression=exp.Where(this=exp.and_(*wanted)))
    return exp.Window(
        this=function,
        partition_by=[column(key_name(index)) for index in range(len(history.pairs))],
        order=exp.Order(expressions=[exp.Ordered(this=column(KNOWN))]),
        spec=_frame(block, own=history.own),
    )


def _frame(block: WindowFeatures, *, own: bool) -> exp.WindowSpec:
    """Return the frame: the moments in ``[t - window, t)``, earlier by the delay where rows are their own probes."""
    delay = block.delay.seconds * MICROSECONDS if own else 0
    now: exp.Expr = column(KNOWN)
    if block.window.months:
        known = exp.Sub(this=now.copy(), expression=exp.Literal.number(delay))
        first: exp.Expr = exp.Sub(this=now, expression=shifted(known, block.window, sign=-1))
    else:
        first = exp.Literal.number(delay + block.window.seconds * MICROSECONDS)
    return exp.WindowSpec(
        kind="RANGE",
        start=first,
        start_side="PRECEDING",
        end=exp.Literal.number(delay + 1),
        end_side="PRECEDING",
    )
