"""What a target is made of, through derived columns and queries: no feature may be made of it too."""

from collections.abc import Iterable, Mapping

from sqlglot import exp

from metaplatform.scaffolding.known_tables import KnownTable
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.rules.sql_texts import facts_of
from metaplatform.sql.expressions import shared_query

Made = dict[str, set[str]]
"""Column → the columns that it is made of, by name alone, lower case."""


def made_of_the_same(manifest: Manifest, spine: KnownTable, target: str) -> dict[str, str]:
    """Return the spine's columns that share with the target what it is made of, each with the reason.

    Names are followed through all that the spine is made of; one that means two things is one too many left out.
    """
    made = _made(manifest, (spine.ref, *behind(manifest, spine.ref)))
    identity = {name.lower() for name in spine.identity}
    parts = _closure(made, target) - identity
    found = {}
    for column in spine.kinds:
        shared = sorted((_closure(made, column) - identity) & parts)
        if column.lower() in identity or column == target or not shared:
            continue
        if column.lower() in parts:
            found[column] = "the target is made of it"
        elif target.lower() in shared:
            found[column] = "it is made of the target"
        else:
            found[column] = f"the target is made of {shared[0]} too"
    return found


def behind(manifest: Manifest, ref: str) -> tuple[str, ...]:
    """Return all that a table is made from, near and far."""
    found: dict[str, None] = {}
    pending = [ref]
    while pending:
        for other in manifest.upstream(pending.pop()):
            if other not in found and other in manifest.entities:
                found[other] = None
                pending.append(other)
    return tuple(found)


def _made(manifest: Manifest, refs: Iterable[str]) -> Made:
    made: Made = {}
    for ref in refs:
        entity = manifest.entities[ref]
        for name, sql in entity.derived.items():
            made.setdefault(name.lower(), set()).update(map(str.lower, facts_of(sql).columns))
        for select in shared_query(entity.book_query).find_all(exp.Select) if entity.book_query is not None else ():
            for each in select.expressions:
                made.setdefault(each.alias_or_name.lower(), set()).update(_read(each))
    return made


def _read(projection: exp.Expr) -> set[str]:
    """Return the columns whose values go into a projection: not those that only say which rows go together."""
    tree = projection.copy()
    for window in tree.find_all(exp.Window):
        window.set("partition_by", None)
        window.set("order", None)
    return {column.name.lower() for column in tree.find_all(exp.Column)}


def _closure(made: Mapping[str, set[str]], column: str) -> set[str]:
    found, pending = {column.lower()}, [column.lower()]
    while pending:
        new = made.get(pending.pop(), set()) - found
        found |= new
        pending += new
    return found
