"""What each feature means: a version may score features only of the definitions that it learnt."""

import json
from collections.abc import Mapping

from metaplatform.naming import stable_id
from metaplatform.specs.book.manifest import Manifest
from metaplatform.sql.expressions import canonical_fields, canonical_sql, referenced_columns, referenced_tables


def definitions_of(manifest: Manifest, feature_set: str) -> dict[str, str]:
    """Return a hash of what each feature of a set means, with all that the book computes on the way to it.

    A feature more or less in the set, presentation, and how files are read change none of them.
    """
    spec, found = manifest.feature_sets[feature_set], dict[str, str]()
    spine = _table(manifest, spec.spine)
    above: dict[str, str] = {}
    for block in spec.features:
        facts = json.dumps(canonical_fields(block.model_dump(mode="json", exclude={"columns"})), sort_keys=True)
        if block.joined is not None:
            facts += stable_id(_table(manifest, block.joined), *(above.get(own.lower(), "") for own in block.matches))
        for name, sql in block.columns.items():
            reads_above = block.joined is None
            read = (above.get(column.lower(), "") for column in referenced_columns(sql)) if reads_above else ()
            found[name] = stable_id(spine, facts, canonical_sql(sql), *read)
            if reads_above:
                above[name.lower()] = found[name]
        above |= {name.lower(): found[name] for name in block.columns}
    return found


def redefined(learnt: Mapping[str, str], manifest: Manifest, feature_set: str) -> tuple[str, ...]:
    """Return the features that mean something else than when a version learnt them, or are gone.

    ``learnt`` gives their definitions then; it is empty where an earlier release has trained the version.
    """
    now = definitions_of(manifest, feature_set)
    return tuple(name for name, definition in learnt.items() if now.get(name) != definition)


def redefined_for(manifest: Manifest, model: str, learnt: Mapping[str, str]) -> tuple[str, ...]:
    """Return what ``redefined`` does of a version of ``model``; nothing where the book has no such model any more."""
    spec = manifest.models.get(model)
    known = spec is not None and spec.feature_set in manifest.feature_sets
    return redefined(learnt, manifest, spec.feature_set) if spec is not None and known else ()


def _table(manifest: Manifest, ref: str) -> str:
    """Return a hash of what the book computes of a table's columns, up to the sources."""
    entity = manifest.entities.get(ref)
    if entity is None or entity.computed is None:
        return ref
    fields = json.dumps(canonical_fields(dict(entity.computed)), sort_keys=True)
    read = referenced_tables(entity.book_query) if entity.book_query is not None else ()
    return stable_id(ref, fields, *(_table(manifest, other) for other in read))
