"""Whatever a book holds, reading it ends in a manifest or in issues, in bounded time: nothing else ever escapes."""

# ruff: noqa: S608 — the SQL is what is made here

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaplatform.errors import BookError
from metaplatform.specs.book.columns import columns_of
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book, read_book
from metaplatform.specs.yaml_source import read_yaml
from metaplatform_tests.specs.sound_books import Body, Columns, as_yaml, expressions, sound_books

FOLDERS = (Path(__file__).parents[2] / "metadata", Path(__file__).parent / "broken_books")
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*.yaml"))
DEFAULT = {path.name: path.read_text() for path in FILES if path.parent.name == "metadata"}
WORDS = sorted({word for text in DEFAULT.values() for word in text.replace(":", " ").split()})

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.sampled_from(WORDS), st.just("a; b")
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
)
LONGEST_SECONDS = 20
"""Far more than any small book takes on a busy machine, and far less than a search that explodes."""
relaxed = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def check(texts: dict[str, str]) -> None:
    """Read a book of these files, and ask its manifest everything there is to ask."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "metadata")
        folder.mkdir()
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", errors="replace", newline="")
        started = time.monotonic()
        manifest, issues = read_book(folder)
        assert time.monotonic() - started < LONGEST_SECONDS
        assert (manifest is None) == any(issue.severity == "error" for issue in issues)
        assert all(issue.location is not None and str(issue) for issue in issues)
        if manifest is None:
            with pytest.raises(BookError) as caught:
                load_book(folder)
            assert caught.value.issues == issues
        else:
            ask(manifest)


def ask(manifest: Manifest) -> None:
    for ref in manifest.entities:
        assert set(manifest.upstream(ref)) <= set(manifest.entities)
        assert manifest.spec_hash(ref) == manifest.spec_hash(ref)
        manifest.partitions(ref)
        columns_of(manifest, ref)


@st.composite
def mutated_books(draw: st.DrawFn) -> dict[str, str]:
    """Draw the default book with a few of its keys and values deleted, renamed or replaced."""
    books: dict[str, Any] = {name: _plain(text) for name, text in DEFAULT.items()}
    for _ in range(draw(st.integers(1, 4))):
        _mutate(draw, books[draw(st.sampled_from(sorted(books)))])
    return {name: yaml.safe_dump(book, allow_unicode=True, sort_keys=False) for name, book in books.items()}


def _plain(text: str) -> Any:
    root = read_yaml(text)
    assert root is not None
    return root.plain()


def _mutate(draw: st.DrawFn, node: Any) -> None:
    while isinstance(node, dict | list) and node:
        key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        inner = node[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.integers(0, 5)) == 0:
            _change(draw, node, key)
            return
        node = inner


def _change(draw: st.DrawFn, node: Any, key: Any) -> None:
    change = draw(st.sampled_from(["delete", "rename", "replace", "extend"]))
    if change == "delete":
        del node[key]
    elif change == "replace":
        node[key] = draw(values)
    elif change == "extend" and isinstance(node[key], str):
        node[key] += draw(st.sampled_from([" +", ")", " or 1", "_x", " -- x", "'", " from", "\n"]))
    elif isinstance(node, dict):
        node[draw(st.sampled_from(WORDS) | st.text(max_size=8))] = node.pop(key)


@given(mutated_books())
@relaxed
def test_no_mutated_book_raises_anything_but_a_book_error(texts: dict[str, str]):
    check(texts)


@given(st.data())
@relaxed
def test_no_damaged_text_raises_anything_but_a_book_error(data: st.DataObject):
    path = data.draw(st.sampled_from(FILES))
    text = path.read_text()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 30)))
        text = (
            text[:start]
            + data.draw(st.text(max_size=6) | st.sampled_from(list("{}[]:,&*!|>'\"%@`#-?\t\n")))
            + text[end:]
        )
    check({"book.yaml": text})


@given(st.binary(max_size=200))
@relaxed
def test_no_bytes_raise_anything_but_a_book_error(data: bytes):
    with tempfile.TemporaryDirectory() as root:
        Path(root, "metadata").mkdir()
        Path(root, "metadata", "book.yaml").write_bytes(data)
        read_book(Path(root, "metadata"))


@given(sound_books(), st.data())
@settings(relaxed, max_examples=80)
def test_no_sound_book_that_is_then_mutated_raises_anything_but_a_book_error(
    book: dict[str, dict[str, Body]], data: st.DataObject
):
    for _ in range(data.draw(st.integers(1, 4))):
        _mutate(data.draw, book)
    check({"book.yaml": as_yaml(book)})


PIECES = [
    *"(),.'\";[]{}?*\\\0€\n", "--", "/*", "::", "->", "$1", " select ", " from ", " join raw.source_0 ", " using (id)",
    " group by all", " over (order by 1)", " union ", " as x", " case when ", " end", " null ", " exclude (id)",
    " with a as (", " lateral ", " pivot ", " filter (where ", " in (", " between ", " is not ", " cast(", " try_cast(",
    " interval ", " values (1)", " columns(*)", " unnest(", " 1e999 ", " date '", " escape ", " collate ", " qualify ",
    " tablesample ", " grouping sets ", " for x in ", " lambda x: x ",
]  # fmt: skip


@st.composite
def damaged_sql(draw: st.DrawFn) -> str:
    """Draw an expression or a query with pieces put in, taken out or repeated."""
    columns = {"a": "number", "b": "text", "c": "boolean", "d": "moment"}
    kind = draw(st.sampled_from(["number", "text", "boolean", "moment"]))
    text = expressions(draw, Columns(columns), kind, 3)
    if draw(st.booleans()):
        picked = f"with p as (select {text} as x, * from raw.t)"
        text = f"{picked} select p.x from p left join raw.t on p.a = t.a where {text}"
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 8))
        text = text[:start] + draw(st.sampled_from(PIECES) | st.text(max_size=3)) + text[end:]
    return text * draw(st.sampled_from([1, 1, 1, 2]))


@given(damaged_sql(), st.sampled_from(["derive", "target", "when", "table", "window"]))
@settings(relaxed, max_examples=150)
def test_no_damaged_sql_raises_anything_but_a_book_error(sql: str, where: str):
    columns = {"a": "bigint", "b": "varchar", "c": "boolean", "d": "timestamp"}
    source = {"kind": "csv", "path": "x.csv", "columns": columns, "key": ["a"], "event_timestamp": "d"}
    window = {"kind": "window", "table": "raw.t", "on": {"b": "b"}, "window": "1 day", "columns": {"f": sql}}
    block = window if where == "window" else {"kind": "expression", "columns": {"f": "a"}}
    book: dict[str, dict[str, Any]] = {
        "sources": {"t": source | ({"derive": {"e": sql}} if where == "derive" else {})},
        "tables": {"q": {"sql": sql if where == "table" else "select a from raw.t"}},
        "feature_sets": {"s": {"spine": "raw.t", "features": [block]}},
        "models": {
            "m": {
                "kind": "xgboost",
                "task": "binary",
                "feature_set": "s",
                "target": {"sql": sql if where == "target" else "c"},
                "label_delay": "1 day",
                "training": {"window": "1 year", "holdout": "1 day"},
                "promotion": {"metric": "brier"},
            }
        },
        "predictions": {"p": {"model": "m"}},
        "reactions": {"r": {"prediction": "p", "when": sql if where == "when" else "probability > 0.5"}},
    }
    check({"book.yaml": as_yaml(book)})
