"""Blocks of a feature set proposed from what tables of the book have in common, none of which knows the future."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from metaplatform.scaffolding.columns import free_name, plain_name
from metaplatform.scaffolding.known_tables import KnownTable, known_tables
from metaplatform.scaffolding.target_columns import behind
from metaplatform.scaffolding.yaml_text import commented, scalar, sql_column
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.duration import Duration

_WINDOW = Duration.parse("30 days")
_MOST_BLOCKS = 12
_MOST_FEATURES = 8
"""So many features a block proposes: more are named in a comment."""


@dataclass(frozen=True)
class _Block:
    """A proposal: its kind, spine column → the table's, why it is made, and the features of its table's columns."""

    kind: str
    table: KnownTable
    on: Mapping[str, str]
    why: str
    features: Sequence[tuple[str, str]]
    delay: str = ""


def joined_blocks(
    spine: KnownTable, others: Sequence[KnownTable], groups: Sequence[str], taken: list[str]
) -> Iterator[str]:
    """Yield the lines of a block for each table that a row of the spine can be joined with.

    ``groups`` are the spine's columns of text whose values recur, most telling first. ``taken`` are names of
    features that are there; those made are added.
    """
    entities = {key[0].casefold() for key in (table.entity_key for table in others) if len(key) == 1}
    proposed = [_proposal(spine, table, entities, groups) for table in others]
    blocks = [block for block in proposed if block is not None and block.features]
    for block in blocks[:_MOST_BLOCKS]:
        yield from _lines(block, taken)
    left = [block.table.ref for block in blocks[_MOST_BLOCKS:]]
    if left:
        yield f"      # {len(left)} more tables share a column with it: {', '.join(left)[:200]}"


def blocks_beside(manifest: Manifest, spine: KnownTable, hidden: Collection[str], taken: list[str]) -> Iterator[str]:
    """Yield the lines of blocks over tables that have nothing of the spine's own rows in them.

    Those that share an event table with the spine are left out, as they may say what becomes of the very row.
    ``hidden`` are columns that no feature may read; ``taken`` as for :func:`joined_blocks`.
    """
    own = {spine.ref, *behind(manifest, spine.ref)}
    timed = {ref for ref in own if ref == spine.ref or manifest.event_timestamp(ref)}
    secret = {name.casefold() for name in hidden}
    others, related = [], []
    for table in known_tables(manifest)[0]:
        if table.ref == spine.ref:
            continue
        if timed & {table.ref, *behind(manifest, table.ref)}:
            related.append(table.ref)
            continue
        later = table.later | {name for name in table.kinds if name.casefold() in secret}
        others.append(replace(table, later=frozenset(later)))
    yield from joined_blocks(spine, others, (), taken)
    if related:
        yield f"      # Not joined, as they may tell the target: {', '.join(related)[:200]}"


def _proposal(spine: KnownTable, table: KnownTable, entities: set[str], groups: Sequence[str]) -> _Block | None:
    shared = _shared(spine, table)
    key = [name for name in table.entity_key if name in shared.values()]
    whole = bool(key) and len(key) == len(table.entity_key)
    by_key = {own: theirs for own, theirs in shared.items() if theirs in key}
    if whole and table.ref != spine.ref and table.spec.event_timestamp is None:
        why = f"{table.ref} is keyed by {_and(key)}: its facts as they stand now, not as they were"
        return _Block("lookup", table, by_key, why, _facts(table, by_key))
    if spine.spec.event_timestamp is None or table.spec.event_timestamp is None:
        return None
    if whole and table.ref != spine.ref:
        why = f"{table.ref} is keyed by {_and(key)}: its latest row known by then"
        return _Block("as_of", table, by_key, why, _facts(table, by_key))
    if whole and table.spec.event_timestamp in table.spec.key:
        return _window(table, by_key, f"earlier rows of the same {_and(key)}")
    return _of_a_group(table, shared, entities, groups)


def _of_a_group(
    table: KnownTable, shared: Mapping[str, str], entities: set[str], groups: Sequence[str]
) -> _Block | None:
    """Return a window over the rows that have a column in common with the spine's row, which is not a key of theirs."""
    for own, theirs in shared.items():
        if own.casefold() in entities and theirs not in table.spec.key:
            return _window(table, {own: theirs}, f"rows of the same {own}, which is a key of the book")
    grouping = next((own for own in groups if own in shared), None)
    if grouping is None:
        return None
    return _window(table, {grouping: shared[grouping]}, f"check: is {grouping} whom or what a row is about?")


def _shared(spine: KnownTable, table: KnownTable) -> dict[str, str]:
    """Return the columns that both have, by the spine's name: of one kind, known at once, and no moments."""
    theirs = {name.casefold(): name for name in table.kinds if name not in table.later}
    found = {}
    for own, kind in spine.kinds.items():
        other = theirs.get(own.casefold())
        if other is None or own in spine.later or kind != table.kinds[other] or kind not in {"number", "text"}:
            continue
        found[own] = other
    return found


def _facts(table: KnownTable, on: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the table's columns that can be features as they are: those known at once."""
    hidden = {*table.identity, *on.values(), *table.later}
    kinds = ("number", "text", "boolean")
    return [
        (f"{table.name}_{name}", sql_column(name))
        for name, kind in table.kinds.items()
        if name not in hidden and kind in kinds
    ]


def _window(table: KnownTable, on: Mapping[str, str], why: str) -> _Block:
    """Return aggregates of past rows; those of outcomes wait until they are known."""
    outcomes = table.spec.outcomes
    waiting = set(outcomes.columns) if outcomes and outcomes.delay.longest < _WINDOW.shortest else set()
    # Derived from an outcome: what hides behind the expression is not proposed.
    hidden = {*table.identity, *on.values(), *(table.later - waiting)}
    features = [(f"{table.name}_count_30d", "count(*)")]
    for name, kind in table.kinds.items():
        if name in hidden or kind not in {"number", "boolean"}:
            continue
        value = sql_column(name) if kind == "number" else f"{sql_column(name)}::integer"
        features.append((f"{table.name}_{name}_30d", f"avg({value})"))
    return _Block("window", table, on, why, features, str(outcomes.delay) if outcomes and waiting else "")


def _lines(block: _Block, taken: list[str]) -> Iterator[str]:
    yield f"      # {' '.join(block.why.split())}"
    yield f"      - kind: {block.kind}"
    yield f"        table: {block.table.ref}"
    yield f"        on: {{{', '.join(f'{scalar(own)}: {scalar(theirs)}' for own, theirs in block.on.items())}}}"
    if block.kind == "window":
        yield commented(f"        window: {_WINDOW}", "how far back is not known: check")
    if block.delay:
        yield commented(f"        delay: {block.delay}", f"the outcomes of {block.table.ref} are not known before")
    yield "        columns:"
    for wanted, sql in block.features[:_MOST_FEATURES]:
        name = free_name(plain_name(wanted, otherwise="feature"), taken)
        taken.append(name)
        yield f"          {name}: {scalar(sql)}"
    left = [sql for _, sql in block.features[_MOST_FEATURES:]]
    if left:
        yield f"          # and {len(left)} more: {' '.join(', '.join(left).split())[:200]}"


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)
