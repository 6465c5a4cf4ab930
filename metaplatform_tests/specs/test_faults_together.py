"""Faults that have nothing to do with each other are told together, each as if it were the only one."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from metaplatform.chapters import CHAPTERS
from metaplatform.compute.ingestion import misfits
from metaplatform.errors import Issue
from metaplatform.resources.sources.source_looks import look_at_sources
from metaplatform.specs.language.book_files import BookFiles
from metaplatform.specs.loading import WrittenBook, load_book, read_book, read_written
from metaplatform.specs.relational.layout import FEATURES, JOINS, LIST_TABLES, PART_TABLES, ListTable
from metaplatform.specs.relational.reading import snapshot_of_rows
from metaplatform.specs.relational.rows import rows_of
from metaplatform.specs.snapshots import read_snapshot, snapshot_of
from metaplatform_tests.specs.sound_books import as_yaml, sound_books

ROOT = Path(__file__).parents[2]
FOLDERS = ("metadata", "examples/churn/metadata", "examples/retail/metadata")
OF_ONE_VALUE = frozenset(
    {"unknown-key", "wrong-type", "invalid-value", "unknown-value", "unknown-reference", "sql-syntax"}
)
"""Rules that look at one value, and at nothing that may be broken elsewhere."""
APART = frozenset(
    {
        *("description", "owners", "tags", "docs", "settle", "max_ahead", "quarantine_share", "deletes", "null_values"),
        *("validation_share", "max_categories", "seed", "refit", "confidence", "resamples", "cooldown", "first_after"),
        *("new_rows", "in_sample", "on_backfill", "on_new_version"),
    }
)
"""Keys whose values no rule holds against others."""
SQL = frozenset({"sql", "where", "when", "exclude"})
NAMES = frozenset({"table", "spine", "feature_set", "model", "prediction", "partitioned_by"})
relaxed = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))

Book = dict[str, dict[str, Any]]
Tables = dict[str, list[dict[str, Any]]]
Told = tuple[str, str, str]
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Damage:
    """One change of a book: where, and how."""

    place: Place
    how: str

    @property
    def owner(self) -> str:
        return f"{CHAPTERS[str(self.place[0])].prefix}.{self.place[1]}"

    def done_to(self, book: Book) -> Book:
        damaged = deepcopy(book)
        above: Any = damaged
        for part in self.place[:-1]:
            above = above[part]
        key = self.place[-1]
        new = f"zzz_{self.place[-2]}_{key}"
        match self.how:
            case "type":
                above[key] = {new: [1]}
            case "key":
                above[key][new] = 1
            case "name":
                above[key] = f"raw.{new}" if "." in above[key] else new
            case "sql":
                above[key] += " + ("
        return damaged


def damages_of(book: Book) -> list[Damage]:
    return [
        damage
        for chapter, entities in book.items()
        for name, body in entities.items()
        for damage in (Damage((chapter, name), "key"), *_below((chapter, name), body))
    ]


def _below(place: Place, value: Any) -> Iterator[Damage]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        here = (*place, key)
        if key != "kind":
            yield Damage(here, "type")
        if key in NAMES:
            yield Damage(here, "name")
        if isinstance(inner, str) and (key in SQL or place[-1] == "derive"):
            yield Damage(here, "sql")
        yield from _below(here, inner)


def apart(one: Damage, other: Damage) -> bool:
    shared = min(len(one.place), len(other.place))
    return one.place[:shared] != other.place[:shared] or {one.how, other.how} == {"key", "type"} != {
        one.place,
        other.place,
    }


def in_files(book: Book) -> tuple[Issue, ...]:
    return read_written(WrittenBook("/p", BookFiles({"book.yaml": as_yaml(book)})))[1]


def in_tables(book: Book) -> tuple[Issue, ...]:
    return read_snapshot(book, root="/p", origin="db")[1]


def told(issues: tuple[Issue, ...]) -> set[Told]:
    return {(issue.owner, issue.rule, issue.culprit) for issue in issues}


@cache
def written(folder: str) -> Book:
    snapshot: Book = json.loads(json.dumps(snapshot_of(load_book(ROOT / folder))))
    return snapshot


@cache
def tables_of(folder: str) -> Tables:
    tables: Tables = {}
    for rows in rows_of(load_book(ROOT / folder)).values():
        for table, found in rows.items():
            tables.setdefault(table, []).extend(found)
    return tables


books = st.sampled_from(FOLDERS).map(written) | sound_books().map(lambda book: json.loads(json.dumps(book)))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Book, Damage, Damage]:
    """Draw a sound book and two damages to it that do not touch, more often of one entity than not."""
    book = draw(books)
    damages = damages_of(book)
    one = draw(st.sampled_from(damages))
    near = [damage for damage in damages if damage.owner == one.owner and apart(one, damage)]
    other = draw(st.sampled_from(near if near and draw(st.integers(0, 3)) else damages))
    assume(apart(one, other))
    return book, one, other


@given(pairs())
@relaxed
def test_two_faults_are_told_together_and_nothing_that_is_told_of_neither(pair: tuple[Book, Damage, Damage]) -> None:
    book, *damages = pair
    both = book
    alone: set[Told] = set()
    of_values: set[Told] = set()
    for damage in damages:
        both = damage.done_to(both)
        found = told(in_files(damage.done_to(book)))
        alone |= found
        of_values |= {each for each in found if each[0] == damage.owner and each[1] in OF_ONE_VALUE}
    together = told(in_files(both))
    assert together <= alone
    assert of_values <= together
    assert told(in_tables(both)) == together


@given(books, st.data())
@relaxed
def test_beside_a_fault_that_nothing_hangs_on_all_is_told_that_would_be_without_it(
    book: Book, data: st.DataObject
) -> None:
    damages = damages_of(book)
    own = [
        damage for damage in damages if damage.how == "key" or (APART & set(damage.place[2:]) and damage.how == "type")
    ]
    one = data.draw(st.sampled_from(own))
    other = data.draw(st.sampled_from([damage for damage in damages if apart(one, damage)]))
    both = other.done_to(one.done_to(book))
    alone = told(in_files(one.done_to(book))) | told(in_files(other.done_to(book)))
    # Of what is not read, no more is said than is sure.
    assert {each for each in told(in_files(both)) ^ alone if each[1] != "unused"} == set()


@given(books, st.data())
@relaxed
def test_a_reader_that_is_broken_elsewhere_is_a_reader(book: Book, data: st.DataObject) -> None:
    own = [each for each in damages_of(book) if each.how == "key" or APART & set(each.place)]
    damage = data.draw(st.sampled_from(own))
    assert not [issue for issue in in_files(damage.done_to(book)) if issue.rule == "unused"]


def in_rows(tables: Tables) -> set[Told]:
    snapshot, issues = snapshot_of_rows(tables)
    return told((*issues, *read_snapshot(snapshot, root="/p", origin="db", whole=not issues)[1]))


def links_of(table: str) -> set[str]:
    """Return the columns of a table that say what its rows belong to, and of which kind they are."""
    parts = [each for each in (*PART_TABLES, *LIST_TABLES) if each.name == table]
    owners = {each.owner for each in parts} | ({"feature_set"} if table in {FEATURES, JOINS} else set())
    fixed = {each.fixed[0] for each in parts if isinstance(each, ListTable) and each.fixed}
    return {"name", "kind", "position", "ordinal", "block", "block_kind", *owners, *fixed}


def with_cells(tables: Tables, *cells: tuple[str, int, str]) -> Tables:
    damaged = deepcopy(tables)
    for table, row, column in cells:
        damaged[table][row][column] = f"zzz {column}"
    return damaged


@given(st.sampled_from(FOLDERS), st.data())
@relaxed
def test_two_wrong_cells_of_a_book_in_tables_are_told_together(folder: str, data: st.DataObject) -> None:
    tables = tables_of(folder)
    cells = [
        (table, number, column)
        for table, rows in tables.items()
        for number, row in enumerate(rows)
        for column in sorted(set(row) - links_of(table))
    ]
    one, other = data.draw(st.sampled_from(cells)), data.draw(st.sampled_from(cells))
    alone = [(cell, in_rows(with_cells(tables, cell))) for cell in (one, other)]
    together = in_rows(with_cells(tables, one, other))
    assert together <= alone[0][1] | alone[1][1]
    for _, found in alone:
        assert {each for each in found if each[1] in OF_ONE_VALUE and "zzz" in each[2]} <= together


SHOP = """\
spec_version: 2
sources:
  orders: {kind: csv, path: o.csv, columns: {id: bigint, at: timestamp, paid: boolean}, key: [id], event_timestamp: at}
feature_sets:
  f: {spine: raw.orders, features: [{kind: expression, columns: {a: id}}]}
models:
  m:
    kind: xgboost
    task: binary
    feature_set: f
    target: {sql: paid}
    label_delay: 1 day
    training: {window: 1 year, holdout: 1 month}
    promotion: {metric: roc_auc}
predictions:
  p: {model: m}
"""
PAIRS = {
    "prediction": ("p: {model: m}", "p: {model: nope, in_sample: 3}", ["unknown-reference nope", "wrong-type 3"]),
    "kind": ("kind: csv, path: o", "kind: csw, path: ../o", ["invalid-path ../o.csv", "unknown-kind csw"]),
    "name": ("p: {model: m}", "p: {model: mm, name: q}", ["unknown-key name", "unknown-reference mm"]),
    "own check": (
        "path: o.csv",
        "path: o.csv, hive_columns: [x], settle: 1",
        ["invalid-value 1", "invalid-value orders"],
    ),
    "second of a list": ("key: [id]", "key: [1, idd]", ["unknown-column idd", "wrong-type 1"]),
    "misspelt key": ("path: o.csv", "paht: o.csv, derive: {b: c}", ["unknown-column c", "unknown-key paht"]),
    "kind of block": (
        "kind: expression, columns: {a: id}",
        "kind: expresion, columns: {a: ix}",
        ["unknown-column ix", "unknown-kind expresion"],
    ),
    "other entity": (
        "sources:\n",
        "sources:\n  more: {kind: csv, path: 3, columns: {a: int}, key: [b]}\n",
        ["unknown-column b", "unused raw.more", "wrong-type 3"],
    ),
    "downstream": (
        "event_timestamp: at}",
        "event_timestamp: at, settle: 1}\ntables:\n  t: {sql: select x from raw.orders}",
        ["invalid-value 1", "unknown-column x", "unused tables.t"],
    ),
    "parameter": (
        "p: {model: m}",
        "p: {model: nope, version: '${v}', keep: [x, '${w}']}",
        ["unknown-parameter v", "unknown-parameter w", "unknown-reference nope"],
    ),
    "reader without its reference": ("p: {model: m}", "p:", ["missing-key model"]),
    "reader of a misspelt key": ("p: {model: m}", "p: {modl: m}", ["unknown-key modl"]),
    "reader that is no mapping": ("p: {model: m}", "p: [m]", ["wrong-type p"]),
    "reader whose SQL is broken": (
        "sources:\n",
        "tables: {t: {sql: select 1 as x}}\noutputs: {o: {kind: report, title: T, sql: from tables.t (}}\nsources:\n",
        ["sql-syntax ("],
    ),
    "reader of nothing": ("model: m}", "model: mm}", ["unknown-reference mm"]),
    "chapter misspelt": ("predictions:\n", "predictons:\n", ["unknown-chapter predictons"]),
}
"""What is changed in the shop, to what, and all that is told of it."""


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_told_of_two_faults(name: str) -> None:
    old, new, wanted = PAIRS[name]
    assert old in SHOP
    text = SHOP.replace(old, new, 1)
    _, issues = read_written(WrittenBook("/p", BookFiles({"book.yaml": text})))
    assert sorted(f"{issue.rule} {issue.culprit}" for issue in issues) == wanted


def test_files_are_looked_at_whatever_is_wrong_with_what_says_nothing_of_them(tmp_path: Path) -> None:
    wrong = {"tags": 1, "owners": 2, "docs": 3, "after": 4, "settle": 5, "quarantine_share": 6, "deletes": 7, "zzz": 8}
    source = {"kind": "csv", "path": "o.csv", "columns": {"id": "bigint", "day": "date"}, "key": ["id"], **wrong}
    looked_at = {"sources": {"orders": source, "others": {**source, "columns": 9}}}
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "book.yaml").write_text(as_yaml(looked_at))
    (tmp_path / "o.csv").write_text("id,day\n1,never\n")
    manifest, issues = read_book(tmp_path / "metadata", look=partial(look_at_sources, judge=misfits))
    assert manifest is None
    assert ("raw.orders", "misfit", "day") in told(issues)
    assert {culprit for owner, _, culprit in told(issues) if owner == "raw.others"} == {*"12345679", "zzz"}
