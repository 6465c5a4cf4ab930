"""Rules that look across entities: each returns issues as values; none reads files or raises."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from metaplatform.errors import Issue
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Looks
from metaplatform.specs.rules.book import Book, NoPlaces, Places, Rule
from metaplatform.specs.rules.cycles import dependency_cycles
from metaplatform.specs.rules.entity_faults import faults_of_entities
from metaplatform.specs.rules.features import misplaced_aggregates, unknown_features
from metaplatform.specs.rules.focus import FocusedManifest
from metaplatform.specs.rules.kinds import (
    conditions_that_are_none,
    impossible_targets,
    inexact_keys,
    joins_of_different_kinds,
    wrong_event_timestamps,
    wrong_kinds_in_sql,
)
from metaplatform.specs.rules.leakage import (
    early_labels,
    leaked_outcomes,
    leaked_targets,
    outcomes_in_identity,
    undeclared_outcomes,
)
from metaplatform.specs.rules.limits import impossible_conditions, impossible_limits, repeated_items
from metaplatform.specs.rules.names import label_clashes, name_clashes, reserved_names
from metaplatform.specs.rules.partitioning import unbounded_reads, wrong_partitions
from metaplatform.specs.rules.paths import impossible_paths, paths_of_another_kind
from metaplatform.specs.rules.presentation import invalid_tags, unused_entities
from metaplatform.specs.rules.references import unknown_references
from metaplatform.specs.rules.retraining import (
    impossible_schedules,
    impossible_versions,
    wrong_metrics,
    wrong_monitors,
)
from metaplatform.specs.rules.source_contents import contents_unlike_the_book, unreadable_sources
from metaplatform.specs.rules.sql_texts import broken_sql
from metaplatform.specs.rules.timing import (
    empty_spans,
    missing_event_timestamps,
    missing_label_delays,
    models_without_identity,
)
from metaplatform.specs.rules.too_few_rows import models_that_never_train, monitors_that_never_judge
from metaplatform.specs.rules.unknown_columns import (
    unknown_columns_of_features,
    unknown_columns_of_models,
    unknown_columns_of_queries,
    unknown_columns_of_reactions,
    unknown_columns_of_tables,
)
from metaplatform.specs.structure import Part
from metaplatform.specs.unknown import readable

_NO_PARTS: Mapping[str, Part] = MappingProxyType({})

DEFAULT_RULES: tuple[Rule, ...] = (
    broken_sql,
    unknown_references,
    dependency_cycles,
    unknown_columns_of_tables,
    unknown_columns_of_queries,
    unknown_columns_of_features,
    unknown_columns_of_models,
    unknown_columns_of_reactions,
    unknown_features,
    misplaced_aggregates,
    name_clashes,
    reserved_names,
    label_clashes,
    missing_event_timestamps,
    models_without_identity,
    missing_label_delays,
    empty_spans,
    outcomes_in_identity,
    leaked_outcomes,
    undeclared_outcomes,
    leaked_targets,
    early_labels,
    wrong_partitions,
    unbounded_reads,
    wrong_monitors,
    wrong_metrics,
    faults_of_entities,
    impossible_schedules,
    impossible_versions,
    impossible_limits,
    impossible_conditions,
    wrong_kinds_in_sql,
    conditions_that_are_none,
    impossible_targets,
    joins_of_different_kinds,
    wrong_event_timestamps,
    inexact_keys,
    impossible_paths,
    paths_of_another_kind,
    unreadable_sources,
    contents_unlike_the_book,
    monitors_that_never_judge,
    models_that_never_train,
    invalid_tags,
    repeated_items,
    unused_entities,
)
"""Every rule, in the order they run; each stands alone."""


WHOLE_BOOK: tuple[Rule, ...] = (dependency_cycles, unused_entities)
"""Rules that say of an entity what depends on all others."""


def check_book(
    manifest: Manifest,
    places: Places | None = None,
    *,
    looks: Looks | None = None,
    parts: Mapping[str, Part] = _NO_PARTS,
    whole: bool = True,
    rules: tuple[Rule, ...] = DEFAULT_RULES,
) -> tuple[Issue, ...]:
    """Return what ``rules`` find in the entities of ``manifest``, and in what ``looks`` found in its sources' files.

    ``manifest.locations`` may name more than its entities: what is defined but broken. ``parts`` are what can be
    read of such. ``whole`` is false where there is more in the book than can be told, so that nothing is unused.
    """
    if not parts:
        book = Book(manifest, places or NoPlaces(), looks or {}, whole=whole)
        return tuple(issue for rule in rules for issue in rule(book))
    focused = FocusedManifest.of(manifest, parts)
    book = Book(focused, places or NoPlaces(), looks or {}, parts, whole=whole)
    return tuple(_one_by_one(book, focused, rules))


def _one_by_one(book: Book, manifest: FocusedManifest, rules: tuple[Rule, ...]) -> Iterator[Issue]:
    """Yield what the rules find, of each entity as long as they meet nothing unknown."""
    for ref in tuple(manifest.entities):
        manifest.focus.ref = ref
        for rule in rules:
            if rule not in WHOLE_BOOK:
                yield from readable(rule(book))
    manifest.focus.ref = None
    for rule in WHOLE_BOOK:
        if rule in rules:
            yield from rule(book)
