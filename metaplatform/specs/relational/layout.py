"""Which table and which column holds which value of the book; plain values, no database.

Names are those an analyst types: none is a reserved word of SQLite, PostgreSQL or SQL Server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from metaplatform.chapters import CHAPTERS
from metaplatform.specs.entities.families import (
    FeatureBlock,
    ModelKind,
    MonitorSpec,
    NotificationSpec,
    OutputSpec,
    SourceSpec,
    own_fields,
)
from metaplatform.specs.fields.spec_types import variants

Kind = Literal["name", "text", "integer", "number", "boolean", "mapping"]
"""What a column holds: a short name that can be looked up, any text, a number, a flag, a free-form map as JSON."""
Path = tuple[str, ...]
"""Keys from an entity's mapping down to a value; empty for the item of a list itself."""


@dataclass(frozen=True)
class Column:
    """A column and the value it holds; NULL is the value's default, which is ``when_null`` if that is given.

    ``own`` are, by kind, the fields that a column of many holds: they have no column of their own.
    """

    name: str
    path: Path
    kind: Kind = "text"
    when_null: str | None = None
    own: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class EntityTable:
    """One row per entity of ``chapter``, by ``name``, in book order of ``position``."""

    name: str
    chapter: str
    columns: tuple[Column, ...]
    owner: str = "name"


@dataclass(frozen=True)
class PartTable:
    """At most one row per entity: the mapping at ``path``, which is there if the row is."""

    name: str
    chapter: str
    owner: str
    path: Path
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class ListTable:
    """One row an item of the list or mapping at ``path``, in order of ``ordinal``.

    ``chapters`` whose entities have it; with more than one, ``owner`` holds references (``raw.orders``)
    instead of names. ``key`` is the column of a mapping's key. ``fixed`` is the column, and its value,
    that tells apart the lists of one table. ``empty`` is the kind of entity whose empty list differs from
    an absent one: it is kept as a row that holds NULL.
    """

    name: str
    chapters: tuple[str, ...]
    owner: str
    path: Path
    columns: tuple[Column, ...]
    key: Column | None = None
    fixed: tuple[str, str | bool] | None = None
    empty: bool = False

    @property
    def by_reference(self) -> bool:
        """Tell whether the owner is a reference."""
        return len(self.chapters) > 1


def _settings(spec: Any) -> tuple[Column, ...]:
    """Return the column for what kinds of installed distributions add, if there are any with fields of their own."""
    own = {kind: fields for kind, model in variants(spec).items() if (fields := own_fields(model))}
    return (Column(SETTINGS, (SETTINGS,), "mapping", own=own),) if own else ()


def _item(name: str, kind: Kind = "name") -> tuple[Column, ...]:
    return (Column(name, (), kind),)


_ALL = tuple(CHAPTERS)
_TIMED = tuple(chapter.name for chapter in CHAPTERS.values() if chapter.timed)
_SHOWN = (
    Column("description", ("description",)),
    Column("docs", ("docs",)),
    Column("tags", ("tags",), "mapping"),
)
_TIME = (
    Column("event_timestamp", ("event_timestamp",), "name"),
    Column("outcome_delay", ("outcomes", "delay"), "name"),
)

SETTINGS = "settings"
"""The column that holds the fields which only kinds of installed distributions have, as one JSON object."""
FEATURES = "Feature_Engineering"
"""One row per feature: its block's facts are repeated in each of the block's rows."""
JOINS = "Feature_Joins"
"""The columns by which a block's table is joined."""
FEATURE_COLUMNS = (Column("name", (), "name"), Column("expression", ()))
BLOCK_COLUMNS = (
    Column("block_kind", ("kind",), "name"),
    Column("block_table", ("table",), "name"),
    Column("block_window", ("window",), "name"),
    Column("block_delay", ("delay",), "name"),
    Column("block_within", ("within",), "name"),
    Column("block_filter", ("where",)),
    *_settings(FeatureBlock),
)
ALONE = frozenset(kind for kind, model in variants(FeatureBlock).items() if "on" not in model.model_fields)
"""The kinds of blocks that join no table by columns."""
JOIN_COLUMNS = (Column("spine_column", (), "name"), Column("table_column", (), "name"))

ENTITY_TABLES: tuple[EntityTable, ...] = (
    EntityTable(
        "Data_Sources",
        "sources",
        (
            Column("kind", ("kind",), "name"),
            Column("path", ("path",)),
            Column("package", ("package",)),
            Column("url_env", ("url_env",), "name"),
            Column("source_table", ("table",)),
            Column("source_query", ("query",)),
            Column("watermark", ("watermark",), "name"),
            Column("ask_every", ("ask_every",), "name"),
            Column("source_timeout", ("timeout",), "name"),
            Column("contract", ("contract",), "name"),
            Column("delimiter", ("delimiter",), "name"),
            Column("quote_mark", ("quote",), "text"),
            Column("escape_mark", ("escape",), "name"),
            Column("comment_mark", ("comment",), "name"),
            Column("text_encoding", ("encoding",), "name"),
            Column("skip_lines", ("skip_lines",), "integer"),
            Column("header_lines", ("header_lines",), "integer"),
            Column("footer_lines", ("footer_lines",), "integer"),
            Column("row_names", ("row_names",), "text"),
            Column("decimal_mark", ("decimal",), "name"),
            Column("thousands_mark", ("thousands",), "name"),
            *_TIME,
            Column("partition_every", ("partitions", "every"), "name"),
            Column("partition_start", ("partitions", "start"), "name"),
            Column("partition_timezone", ("partitions", "timezone"), "name"),
            Column("settle", ("settle",), "name"),
            Column("max_ahead", ("max_ahead",), "name"),
            Column("quarantine_share", ("quarantine_share",), "number"),
            Column("deletes", ("deletes",), "name"),
            *_settings(SourceSpec),
            *_SHOWN,
        ),
    ),
    EntityTable(
        "SQL_Tables",
        "tables",
        (
            Column("sql", ("sql",)),
            Column("partitioned_by", ("partitioned_by",), "name"),
            Column("look_back", ("look_back",), "name"),
            Column("look_ahead", ("look_ahead",), "name"),
            *_TIME,
            *_SHOWN,
        ),
    ),
    EntityTable("Feature_Sets", "feature_sets", (Column("spine", ("spine",), "name"), *_SHOWN)),
    EntityTable(
        "ML_Models",
        "models",
        (
            Column("kind", ("kind",), "name"),
            Column("task", ("task",), "name"),
            Column("feature_set", ("feature_set",), "name"),
            Column("target_sql", ("target", "sql")),
            Column("target_exclude", ("target", "exclude")),
            Column("label_delay", ("label_delay",), "name"),
            Column("training_window", ("training", "window"), "name"),
            Column("holdout", ("training", "holdout"), "name"),
            Column("validation_share", ("training", "validation_share"), "number"),
            Column("min_rows", ("training", "min_rows"), "integer"),
            Column("rounds", ("training", "rounds"), "integer"),
            Column("early_stopping_rounds", ("training", "early_stopping_rounds"), "integer"),
            Column("max_categories", ("training", "max_categories"), "integer"),
            Column("seed", ("training", "seed"), "integer"),
            Column("refit", ("training", "refit"), "boolean"),
            Column("parameters", ("training", "parameters"), "mapping"),
            *_settings(ModelKind),
            *_SHOWN,
        ),
    ),
    EntityTable(
        "ML_Predictions",
        "predictions",
        (
            Column("model", ("model",), "name"),
            Column("model_version", ("version",), "integer", when_null="champion"),
            Column("in_sample", ("in_sample",), "boolean"),
            *_SHOWN,
        ),
    ),
    EntityTable(
        "Output_Storage",
        "outputs",
        (
            Column("kind", ("kind",), "name"),
            Column("source_table", ("table",), "name"),
            Column("title", ("title",)),
            Column("sql", ("sql",)),
            Column("partitioned_by", ("partitioned_by",), "name"),
            *_settings(OutputSpec),
            *_SHOWN,
        ),
    ),
    EntityTable(
        "ML_Monitors",
        "monitors",
        (
            Column("kind", ("kind",), "name"),
            Column("prediction", ("prediction",), "name"),
            Column("threshold", ("threshold",), "number"),
            Column("drift_share", ("drift_share",), "number"),
            Column("min_rows", ("min_rows",), "integer"),
            Column("null_increase", ("profile", "null_increase"), "number"),
            Column("new_category_share", ("profile", "new_category_share"), "number"),
            *_settings(MonitorSpec),
            *_SHOWN,
        ),
    ),
    EntityTable(
        "Pipeline_Reactions",
        "reactions",
        (
            Column("prediction", ("prediction",), "name"),
            Column("condition", ("when",)),
            Column("min_rows", ("min_rows",), "integer"),
            Column("on_backfill", ("on_backfill",), "boolean"),
            Column("on_new_version", ("on_new_version",), "boolean"),
            Column("rank_by", ("rank_by",)),
            *_SHOWN,
        ),
    ),
    EntityTable("Platform_Alerts", "alerts", _SHOWN),
)
"""The table of each chapter, in the order of the road."""

PART_TABLES: tuple[PartTable, ...] = (
    PartTable(
        "Promotion_Policies",
        "models",
        "model",
        ("promotion",),
        (
            Column("metric", ("metric",), "name"),
            Column("min_gain", ("min_gain",), "number"),
            Column("confidence", ("confidence",), "number"),
            Column("resamples", ("resamples",), "integer"),
            Column("min_rows", ("min_rows",), "integer"),
        ),
    ),
    PartTable(
        "Retrain_Policies",
        "models",
        "model",
        ("retrain",),
        (
            Column("cooldown", ("cooldown",), "name"),
            Column("first_after", ("first_after",), "name"),
            Column("cron", ("schedule",), "name"),
            Column("timezone", ("timezone",), "name"),
            Column("new_rows", ("new_rows",), "integer"),
            Column("min_new_rows", ("min_new_rows",), "integer"),
            Column("drift_failures", ("drift", "failures"), "integer"),
            Column("drift_of", ("drift", "of"), "integer"),
            Column("performance_failures", ("performance", "failures"), "integer"),
            Column("performance_of", ("performance", "of"), "integer"),
        ),
    ),
)
"""What an entity has once, or not at all, and is looked for by its own name."""

LIST_TABLES: tuple[ListTable, ...] = (
    ListTable(
        "Source_Columns",
        ("sources",),
        "source",
        ("columns",),
        _item("data_type", "text"),
        key=Column("column_name", (), "name"),
    ),
    ListTable(
        "Derived_Columns",
        ("sources",),
        "source",
        ("derive",),
        _item("expression", "text"),
        key=Column("column_name", (), "name"),
    ),
    ListTable("Null_Values", ("sources",), "source", ("null_values",), _item("null_text", "text"), empty=True),
    ListTable(
        "Column_Formats",
        ("sources",),
        "source",
        ("formats",),
        _item("format", "text"),
        key=Column("column_name", (), "name"),
    ),
    ListTable(
        "Name_Columns",
        ("sources",),
        "source",
        ("name_columns",),
        _item("pattern", "text"),
        key=Column("column_name", (), "name"),
    ),
    ListTable("Hive_Columns", ("sources",), "source", ("hive_columns",), _item("column_name")),
    ListTable("Key_Columns", _TIMED, "table_ref", ("key",), _item("column_name")),
    ListTable("Outcome_Columns", _TIMED, "table_ref", ("outcomes", "columns"), _item("column_name")),
    ListTable("Model_Features", ("models",), "model", ("features",), _item("feature"), fixed=("enabled", True)),
    ListTable("Model_Features", ("models",), "model", ("exclude",), _item("feature"), fixed=("enabled", False)),
    ListTable(
        "Retrain_Monitors",
        ("models",),
        "model",
        ("retrain", "drift", "monitors"),
        _item("monitor"),
        fixed=("vote", "drift"),
    ),
    ListTable(
        "Retrain_Monitors",
        ("models",),
        "model",
        ("retrain", "performance", "monitors"),
        _item("monitor"),
        fixed=("vote", "performance"),
    ),
    ListTable("Prediction_Columns", ("predictions",), "prediction", ("keep",), _item("column_name")),
    ListTable("Output_Tables", ("outputs",), "output_name", ("tables",), _item("table_ref")),
    ListTable("Monitor_Exclusions", ("monitors",), "monitor", ("exclude",), _item("feature")),
    ListTable(
        "Monitor_Metrics",
        ("monitors",),
        "monitor",
        ("metrics",),
        (
            Column("min_value", ("min",), "number"),
            Column("max_value", ("max",), "number"),
            Column("max_loss", ("max_loss",), "number"),
        ),
        key=Column("metric", (), "name"),
    ),
    ListTable("Reaction_Columns", ("reactions",), "reaction", ("columns",), _item("column_name")),
    ListTable("Reaction_Assets", ("reactions",), "reaction", ("materialize",), _item("asset")),
    ListTable(
        "Reaction_Notifications",
        ("reactions",),
        "reaction",
        ("notify",),
        (Column("kind", ("kind",), "name"), Column("url_env", ("url_env",)), *_settings(NotificationSpec)),
    ),
    ListTable(
        "Alert_Notifications",
        ("alerts",),
        "alert",
        ("notify",),
        (Column("kind", ("kind",), "name"), Column("url_env", ("url_env",)), *_settings(NotificationSpec)),
    ),
    ListTable("Pipeline_Dependencies", _ALL, "dependent", ("after",), _item("depends_on")),
    ListTable("Entity_Owners", _ALL, "entity", ("owners",), _item("owner_name", "text")),
)
"""What an entity has a list of."""
