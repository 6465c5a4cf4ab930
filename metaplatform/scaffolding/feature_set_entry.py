"""A spine → its feature set: the row's own columns, and blocks over the tables that it can be joined with."""

from collections.abc import Iterator, Mapping, Sequence

from metaplatform.chapters import TIMED
from metaplatform.errors import DataError
from metaplatform.resources.sources.samples import ColumnFacts, Sample
from metaplatform.resources.sources.sampling import sample_source
from metaplatform.scaffolding.columns import free_name, plain_name
from metaplatform.scaffolding.feature_blocks import joined_blocks
from metaplatform.scaffolding.known_tables import KnownTable, entity_at, known_tables
from metaplatform.scaffolding.tried_tables import sample_table
from metaplatform.scaffolding.yaml_text import commented, scalar, sql_column
from metaplatform.specs.book.manifest import Manifest
from metaplatform.sql.value_kinds import kind_of_type

CATEGORIES = 64
"""Text of more different values than that is proposed as no feature."""


def feature_set_entry(manifest: Manifest, name: str, *, spine: str) -> tuple[str, ...]:
    """Return the lines of a feature set's entry.

    Raises:
        DataError: if the spine is not a source or a table, or the book does not know its columns.
    """
    entity_at(manifest, spine, TIMED, owner="new feature-set")
    known, unknown = known_tables(manifest)
    table = next((each for each in known if each.ref == spine), None)
    if table is None:
        fix = "declare its `columns` (`metaplatform new source FILE --print` infers them), or name them in its SQL"
        raise DataError(owner=spine, culprit="the book does not know its columns", fix=fix)
    return tuple(_lines(manifest, name, table, known, unknown))


def _lines(
    manifest: Manifest, name: str, spine: KnownTable, known: Sequence[KnownTable], unknown: Sequence[str]
) -> Iterator[str]:
    sample = _sample(manifest, spine)
    facts = {each.name: each for each in sample.columns} if sample else {}
    taken = list(spine.identity)
    yield f"  {name}:"
    yield "    # Proposed from what the book's tables have in common: check, then edit freely. Keys of other names"
    yield "    # (customer, customer_id) are not seen; docs/book.md tells how to write such a block."
    if not spine.later:
        yield f"    # {spine.ref} declares no outcomes: take out what is known only after {_moment(spine)}."
    if sample is None:
        yield "    # Its files could not be looked at: texts of many different values may be among the features."
    yield f"    spine: {spine.ref}"
    yield "    features:"
    yield "      - kind: expression"
    yield "        columns:"
    yield from own_features(spine, facts, taken)
    others = [spine, *(each for each in known if each.ref != spine.ref)]
    yield from joined_blocks(spine, others, _groups(spine, facts, sample.rows if sample else 0), taken)
    if unknown:
        yield f"      # Not looked at, as the book does not know their columns: {', '.join(unknown)}"


def own_features(
    spine: KnownTable, facts: Mapping[str, ColumnFacts], taken: list[str], but: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield a feature for each of the row's own columns that is known when it happens, or why it is not one.

    ``facts`` are of a sample of the rows, where there is one. ``but`` are columns that are not features, with the
    reason. ``taken`` are names that features cannot have; those made are added.
    """
    if spine.spec.event_timestamp is not None:
        weekday = free_name("weekday", [*taken, *spine.kinds])
        taken.append(weekday)
        yield f"          {weekday}: {scalar(f'isodow({sql_column(spine.spec.event_timestamp)})')}"
    made = False
    for column, known in spine.kinds.items():
        # What SQL gives is not always known to the book; its rows tell.
        kind = known or (kind_of_type(facts[column].type) if column in facts else None)
        why = (but or {}).get(column) or _left_out(spine, column, kind, facts)
        if why:
            yield commented(f"          # {' '.join(column.split())} is left out:", why).replace(":  #", ":")
            continue
        feature = free_name(plain_name(column, otherwise="feature"), taken)
        taken.append(feature)
        made = True
        yield f"          {feature}: {scalar(sql_column(column))}"
    if not made and spine.spec.event_timestamp is None:
        yield '          nothing_known: "null::double"  # no column of the row can be a feature: replace it'


def _left_out(spine: KnownTable, column: str, kind: str | None, facts: Mapping[str, ColumnFacts]) -> str:
    """Return why a column is not a feature; empty if it is one."""
    if column in spine.identity:
        return "it says which row this is"
    if column in spine.later:
        return "it is known only later"
    if kind not in {"number", "text", "boolean"}:
        return f"{kind or 'it'} is neither a number nor a category: derive one from it"
    found = facts.get(column)
    if found is not None and not found.values:
        return "it has no value in the sample"
    if kind == "text" and found is not None and found.distinct > CATEGORIES:
        return f"text of {found.distinct} different values"
    return ""


def _sample(manifest: Manifest, spine: KnownTable) -> Sample | None:
    """Return a sample of the spine's rows; None where they, or the files behind them, cannot be looked at."""
    source = manifest.source_at(spine.ref)
    try:
        if source is None:
            return sample_table(manifest, spine.ref)
        return sample_source(source, manifest.root, allowed=manifest.source_folders)
    except DataError:
        return None


def _groups(spine: KnownTable, facts: Mapping[str, ColumnFacts], rows: int) -> list[str]:
    """Return columns of text whose values recur, most different ones first."""
    texts = [name for name, kind in spine.kinds.items() if kind == "text" and name not in spine.later]
    found = [name for name in texts if name in facts and 1 < facts[name].distinct <= rows / 2]
    return sorted(found, key=lambda name: -facts[name].distinct)


def _moment(spine: KnownTable) -> str:
    return str(spine.spec.event_timestamp or "the moment a row is about")
