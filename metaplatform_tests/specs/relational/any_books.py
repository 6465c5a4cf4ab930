"""Hypothesis strategies of whole books: every field of every chapter, in any combination that its spec allows."""

from typing import Any, get_args

from hypothesis import strategies as st

from metaplatform.chapters import CHAPTERS
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.metrics import Task
from metaplatform.specs.structure import build_entity

names = st.from_regex(r"[a-z][0-9]{1,3}(_[a-z0-9]{1,4})?", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
_printable = st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="_")
columns = st.text(_printable, min_size=1, max_size=12).filter(str.isprintable)
units = st.sampled_from(["hours", "days", "months"])
spans = st.builds(lambda count, unit: f"{count} {unit}", st.integers(0, 400), units)
refs = st.builds(
    lambda prefix, name: f"{prefix}.{name}", st.sampled_from([chapter.prefix for chapter in CHAPTERS.values()]), names
)
versions = st.just("champion") | st.integers(-(2**62), 2**62)
shares = st.floats(0.01, 0.89)
counts = st.integers(10, 2**62)
scalars = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts


def mapping(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def lists(values: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=least, max_size=3)


def maps(keys: Any, values: Any, least: int = 0) -> st.SearchStrategy[dict[Any, Any]]:
    return st.dictionaries(keys, values, min_size=least, max_size=3)


SHOWN = {
    "description": texts,
    "docs": texts,
    "owners": lists(st.sampled_from(["team:shop", "a@b.example"])),
    "tags": maps(texts, texts),
    "after": lists(refs),
}
TIMED = {
    "key": lists(columns),
    "event_timestamp": columns,
    "outcomes": mapping({"columns": lists(columns), "delay": spans}, {}),
}
PARTITIONS = st.sampled_from(
    [{"every": "month", "start": "2024-01", "timezone": "Europe/Berlin"}, {"every": "hour", "start": "2024-01-01T00"}]
)
FILES = {
    **SHOWN,
    **TIMED,
    "package": texts,
    "columns": maps(columns, texts),
    "derive": maps(columns, texts),
    "contract": st.sampled_from(["freeze", "evolve"]),
    "hive_columns": lists(columns),
    "partitions": PARTITIONS,
}
CSV = {**FILES, "delimiter": st.just(";"), "null_values": lists(texts | st.just(""))}
JOINED = {"table": refs, "on": maps(columns, columns, 1), "columns": maps(names, texts, 1)}
blocks = st.one_of(
    mapping({"kind": st.just("expression"), "columns": maps(names, texts, 1)}, {}),
    mapping({"kind": st.just("lookup"), **JOINED}, {}),
    mapping({"kind": st.just("as_of"), **JOINED}, {"delay": spans, "within": spans}),
    mapping({"kind": st.just("window"), **JOINED, "window": spans}, {"delay": spans, "where": texts}),
)
votes = mapping({"monitors": lists(names, 1)}, {"failures": st.just(2), "of": st.integers(2, 9)}).filter(
    lambda vote: vote.get("failures", 1) <= vote.get("of", 1)
)
limits = mapping({}, {"min": scalars, "max": scalars, "max_loss": shares}).map(
    lambda limit: {key: float(value) for key, value in limit.items() if isinstance(value, int | float)} or {"min": 0.5}
)
TRAINING = {
    "validation_share": shares,
    "min_rows": counts,
    "rounds": st.integers(1, 900),
    "early_stopping_rounds": counts,
    "max_categories": st.integers(2, 99),
    "seed": counts,
    "parameters": maps(texts, scalars),
}
PROMOTION = {"min_gain": shares, "confidence": st.just(0.9), "resamples": st.just(200), "min_rows": counts}
RETRAIN = {
    "first_after": spans,
    "schedule": texts,
    "timezone": texts,
    "drift": votes,
    "performance": votes,
    "new_rows": counts,
}
channels = st.sampled_from([{"kind": "file"}, {"kind": "apprise", "url_env": "URL_A"}])
ENTITIES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "sources": st.one_of(
        mapping(
            {"kind": st.just("csv"), "path": texts},
            CSV,
        ),
        mapping({"kind": st.sampled_from(["parquet", "json"]), "path": texts}, FILES),
    ),
    "tables": mapping({"sql": texts}, {**SHOWN, **TIMED, "partitioned_by": refs}),
    "feature_sets": mapping({"spine": refs, "features": lists(blocks, 1)}, SHOWN),
    "models": mapping(
        {
            "kind": st.just("xgboost"),
            "task": st.sampled_from(get_args(Task)),
            "feature_set": names,
            "target": mapping({"sql": texts}, {"exclude": texts}),
            "training": mapping({"window": spans, "holdout": spans}, TRAINING),
            "promotion": mapping({"metric": st.just("rmse")}, PROMOTION),
        },
        {
            **SHOWN,
            "features": lists(names),
            "exclude": lists(names),
            "label_delay": spans,
            "retrain": mapping({"cooldown": spans}, RETRAIN),
        },
    ),
    "predictions": mapping(
        {"model": names},
        {**SHOWN, "version": versions, "keep": lists(columns)},
    ),
    "outputs": st.one_of(
        mapping({"kind": st.sampled_from(["parquet", "csv"]), "table": refs}, SHOWN),
        mapping({"kind": st.just("views"), "tables": lists(refs, 1)}, SHOWN),
        mapping({"kind": st.just("report"), "title": texts, "sql": texts}, {**SHOWN, "partitioned_by": refs}),
    ),
    "monitors": st.one_of(
        mapping(
            {"kind": st.just("drift"), "prediction": names},
            {
                **SHOWN,
                "threshold": shares,
                "drift_share": shares,
                "min_rows": counts,
                "exclude": lists(names),
                "profile": mapping({}, {"null_increase": shares, "new_category_share": shares}),
            },
        ),
        mapping(
            {
                "kind": st.just("performance"),
                "prediction": names,
                "metrics": maps(st.sampled_from(["roc_auc", "rmse", "r2"]), limits, 1),
            },
            {**SHOWN, "min_rows": counts},
        ),
    ),
    "reactions": mapping(
        {"prediction": names, "when": texts},
        {
            **SHOWN,
            "min_rows": counts,
            "materialize": lists(refs),
            "notify": lists(channels),
            "on_backfill": st.booleans(),
        },
    ),
    "alerts": mapping({"notify": lists(channels, 1)}, SHOWN),
}


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Draw a book; what its entities refer to need not exist, since keeping a book is not checking it."""
    chapters: dict[str, Any] = {}
    for chapter, bodies in ENTITIES.items():
        drawn = draw(st.dictionaries(names, bodies, max_size=2))
        made = {name: build_entity(chapter, name, body) for name, body in drawn.items()}
        chapters[chapter] = {name: entity for name, (entity, _) in made.items() if entity is not None}
    return Manifest(root="/", **chapters)
