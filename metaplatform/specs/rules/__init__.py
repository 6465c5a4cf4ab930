"""Rules that look across entities: each returns issues as values; none reads files or raises."""

from metaplatform.errors import Issue
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.rules.book import Book, NoPlaces, Places, Rule
from metaplatform.specs.rules.cycles import dependency_cycles
from metaplatform.specs.rules.features import misplaced_aggregates, unknown_features
from metaplatform.specs.rules.leakage import (
    early_labels,
    leaked_outcomes,
    leaked_targets,
    outcomes_in_identity,
    undeclared_outcomes,
)
from metaplatform.specs.rules.names import name_clashes, reserved_names
from metaplatform.specs.rules.partitioning import wrong_partitions
from metaplatform.specs.rules.presentation import invalid_tags, unused_entities
from metaplatform.specs.rules.references import unknown_references
from metaplatform.specs.rules.retraining import (
    impossible_schedules,
    impossible_versions,
    wrong_metrics,
    wrong_monitors,
    wrong_parameters,
)
from metaplatform.specs.rules.sql_texts import broken_sql
from metaplatform.specs.rules.timing import (
    empty_spans,
    missing_event_timestamps,
    missing_label_delays,
    models_without_identity,
)
from metaplatform.specs.rules.unknown_columns import (
    unknown_columns_of_features,
    unknown_columns_of_models,
    unknown_columns_of_queries,
    unknown_columns_of_reactions,
    unknown_columns_of_tables,
)

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
    wrong_monitors,
    wrong_metrics,
    wrong_parameters,
    impossible_schedules,
    impossible_versions,
    invalid_tags,
    unused_entities,
)
"""Every rule, in the order they run; each stands alone."""


def check_book(
    manifest: Manifest, places: Places | None = None, rules: tuple[Rule, ...] = DEFAULT_RULES
) -> tuple[Issue, ...]:
    """Return what ``rules`` find in the entities of ``manifest``.

    ``manifest.locations`` may name more than its entities: what is defined but broken.
    """
    book = Book(manifest, places or NoPlaces())
    return tuple(issue for rule in rules for issue in rule(book))
