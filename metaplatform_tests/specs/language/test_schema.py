"""The JSON Schema of the book: what it lets pass, what it does not, and that it is the one shipped."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from metaplatform.chapters import CHAPTERS
from metaplatform.specs.language.schema import book_schema
from metaplatform.specs.loading import read_book
from metaplatform.specs.structure import build_entity
from metaplatform.specs.yaml_source import read_yaml
from metaplatform_tests.scenario import BOOK
from metaplatform_tests.specs.language.books import write_book

ROOT = Path(__file__).parents[3]
SCHEMA = book_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
SHIPPED = sorted([*(ROOT / "metadata").glob("*.yaml"), *(ROOT / "examples").glob("*/metadata/*.yaml")])
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")
LANGUAGE = """\
spec_version: 2
x-anchors: {anything: [1]}
parameters:
  rounds: {type: integer, default: 50, env: SHOP_ROUNDS, description: Of boosting.}
  name: {type: text}
defaults:
  sources: {kind: csv, null_values: [NA]}
  models: {training: {rounds: "${rounds}", window: "${name} months"}, promotion: {metric: "${name}"}}
  monitors: {drift_share: "${rounds}", metrics: {roc_auc: {min: 0.5}}}
models:
  returns: {training: {rounds: null}, retrain: null}
  empty:
sources:
"""


def plain(text: str) -> Any:
    root = read_yaml(text)
    return root.plain() if root else None


def faults(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(plain(text))]


def test_the_schema_is_one_of_its_dialect_and_the_one_shipped() -> None:
    """If not: `python -m metaplatform schema --write docs/book.schema.json`."""
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads((ROOT / "docs" / "book.schema.json").read_text(encoding="utf-8")) == SCHEMA


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_names_the_shipped_schema_and_passes_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = MODELINE.match(text)
    assert found is not None
    assert (path.parent / found[1]).resolve() == ROOT / "docs" / "book.schema.json"
    assert faults(text) == []


@pytest.mark.parametrize("text", [BOOK, LANGUAGE, "# nothing\n", "models:\n"])
def test_sound_books_pass(text: str) -> None:
    assert faults(text) == []


SOURCE = "sources: {a: {kind: csv, path: a, %s}}"
MODEL = "models: {a: {kind: xgboost, %s}}"


@pytest.mark.parametrize(
    "text",
    [
        "source: {}",
        "sources: [a]",
        "sources: {a: 3}",
        "sources: {1a: {kind: csv}}",
        "sources: {a__b: {kind: csv}}",
        "sources: {class: {kind: csv}}",
        "feature_sets: {a: {spine: raw.b, features: [{kind: expression, columns: {input: b}}]}}",
        "sources: {a: {kind: cvs}}",
        SOURCE % "pth: a",
        SOURCE % "key: a",
        SOURCE % "key: [1]",
        SOURCE % "key: [_a]",
        SOURCE % "contract: thaw",
        SOURCE % "delimiter: ab",
        SOURCE % "columns: {a: 3}",
        SOURCE % "owners: [jo]",
        SOURCE % "after: [flights]",
        SOURCE % "partitions: {evry: month}",
        SOURCE % "partitions: {every: week}",
        SOURCE % "outcomes: {delay: soon}",
        SOURCE % "name: a",
        "sources: {a: {kind: parquet, path: a, delimiter: ';'}}",
        "sources: {a: {kind: csv, path: null}}",
        MODEL % "task: ranking",
        MODEL % "target: returned",
        MODEL % "target: {sql: 3}",
        MODEL % "target: {sql: ''}",
        MODEL % "training: {rounds: many}",
        MODEL % "training: {rounds: 0}",
        MODEL % "training: {rounds: 1.5}",
        MODEL % "training: {validation_share: 0.95}",
        MODEL % "training: {windw: 1 day}",
        MODEL % "promotion: {metric: accuracy}",
        MODEL % "retrain: {drift: {monitors: []}}",
        MODEL % "retrain: {drift: {of: '2'}}",
        "feature_sets: {a: {spine: raw.b, features: []}}",
        "feature_sets: {a: {spine: raw.b, features: [{kind: window, columns: {c: d}}]}}",
        "feature_sets: {a: {spine: raw.b, features: [{kind: lookup, table: raw.b, on: {a: a}}]}}",
        "feature_sets: {a: {spine: raw.b, features: [{kind: expression, columns: {class: {}}}]}}",
        "predictions: {a: {model: b, version: newest}}",
        "outputs: {a: {kind: views, table: raw.b}}",
        "monitors: {a: {kind: drift, prediction: b, metrics: {roc_auc: {min: 1}}}}",
        "monitors: {a: {kind: performance, prediction: b, metrics: {auc: {min: 1}}}}",
        "reactions: {a: {prediction: b, when: c, notify: [{kind: apprise}]}}",
        "reactions: {a: {prediction: b, when: c, notify: [{kind: apprise, url_env: lower}]}}",
        "reactions: {a: {prediction: b, when: c, on_backfill: 'true'}}",
        "spec_version: 3",
        "spec_version: '2'",
        "parameters: {a: {type: secret}}",
        "parameters: {a: {type: text, defalt: b}}",
        "parameters: {a: text}",
        "defaults: {model: {}}",
        "defaults: {models: {trainig: {}}}",
        "defaults: {models: {training: {rounds: many}}}",
        "defaults: {sources: {null_value: [a]}}",
    ],
)
def test_misspelt_keys_wrong_types_and_unknown_kinds_do_not_pass(text: str) -> None:
    assert plain(text)
    assert faults(text) != []


def test_every_key_is_explained_where_it_is_pointed_at() -> None:
    unexplained = [
        f"{name}.{key}"
        for name, definition in SCHEMA["$defs"].items()
        for key, value in definition.get("properties", {}).items()
        if not value.get("description")
    ]
    assert unexplained == []
    rounds = SCHEMA["$defs"]["XGBoostTraining"]["properties"]["rounds"]
    assert rounds["default"] == 300
    assert "boosting" in rounds["description"]


def accepted(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return what a schema of ours accepts."""
    if "$ref" in schema:
        target: Any = SCHEMA
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return accepted(target)
    if "anyOf" in schema:
        return st.one_of([accepted(branch) for branch in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    return TYPES[schema["type"] if isinstance(schema["type"], str) else schema["type"][0]](schema)


def objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        names = schema.get("propertyNames", {})
        key = st.sampled_from(names["enum"]) if "enum" in names else st.sampled_from(["a", "b_1", "amount"])
        return st.dictionaries(key, accepted(inner), min_size=schema.get("minProperties", 0), max_size=2)
    required = schema.get("required", [])
    keys = {key: st.deferred(lambda value=value: accepted(value)) for key, value in schema["properties"].items()}
    return st.fixed_dictionaries(
        {key: keys[key] for key in required},
        optional={key: value for key, value in keys.items() if key not in required},
    )


TYPES: dict[str, Any] = {
    "null": lambda _: st.none(),
    "boolean": lambda _: st.booleans(),
    "integer": lambda schema: st.integers(schema.get("minimum", 0), schema.get("maximum", 10**6)),
    "number": lambda schema: st.sampled_from([0.5, 1, 0.75, 0.0, 0.89]).filter(
        lambda value: Draft202012Validator(schema).is_valid(value)
    ),
    "string": lambda schema: (
        st.from_regex(schema["pattern"], fullmatch=schema["pattern"].startswith("^"))
        if "pattern" in schema
        else st.text(min_size=schema.get("minLength", 0), max_size=min(8, schema.get("maxLength", 8)))
    ),
    "array": lambda schema: st.lists(accepted(schema["items"]), min_size=schema.get("minItems", 0), max_size=2),
    "object": objects,
}
ENTITIES = {chapter: accepted(SCHEMA["properties"][chapter]["additionalProperties"]) for chapter in CHAPTERS}


@given(st.sampled_from(sorted(ENTITIES)).flatmap(lambda chapter: st.tuples(st.just(chapter), ENTITIES[chapter])))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_schema_accepts_never_crashes_the_loader(drawn: tuple[str, Any]) -> None:
    chapter, body = drawn
    document = {"spec_version": 2, chapter: {"a": body}}
    assert VALIDATOR.is_valid(document)
    with tempfile.TemporaryDirectory() as root:
        # JSON is YAML, but for the characters that YAML forbids in a text as they are.
        book = write_book(Path(root), {"metadata/a.yaml": json.dumps(document)})
        manifest, issues = read_book(book)
    assert (manifest is None) == any(issue.severity == "error" for issue in issues)
    if isinstance(body, dict):
        # What is wrong beyond what a schema can say is never a key: it knows them all.
        _, found = build_entity(chapter, "a", body)
        assert not [fault for fault in found if fault.rule == "unknown-key"]
