"""Values written with other libraries and read with ours: what is accepted is what was written, and the rest is kept.

For each declared type and each kind of file; a value that its type can hold is accepted, any other goes to
quarantine, and nothing lies between.
"""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlglot import exp

from metaplatform.compute.ingestion import REASON, conform
from metaplatform.resources.sources.readers import read_rows
from metaplatform.resources.sources.source_reader import Place
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.sql.exact_casts import exact_cast

SOURCES: TypeAdapter[SourceSpec] = TypeAdapter(SourceSpec)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Declared:
    """A declared type: whether it can hold a written value, and whether a value read is the one written."""

    written: str
    holds: Callable[[str], bool]
    same: Callable[[str, Any], bool]


def fits_decimal(digits: int, scale: int) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        with localcontext() as context:
            context.prec = 200
            scaled = Decimal(text).scaleb(scale)
            return scaled == scaled.to_integral_value() and abs(scaled) < Decimal(10) ** digits

    return holds


def fits_integer(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: Decimal(text) == int(Decimal(text)) and low <= Decimal(text) <= high


def same_number(text: str, value: Any) -> bool:
    return Decimal(text) == Decimal(value)


def moment_of(text: str) -> tuple[int, int]:
    """Return whole seconds since 1970 and nanoseconds of a moment in ISO 8601, without a time zone in UTC."""
    head, _, rest = text.partition(".")
    fraction, zone = (rest.rstrip("Z"), "Z" if rest.endswith("Z") else "") if rest else ("", "")
    moment = datetime.fromisoformat(f"{head}{zone}")
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH
    return seconds // timedelta(seconds=1), int(fraction.ljust(9, "0") or 0)


def same_moment(text: str, value: datetime) -> bool:
    since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH
    return moment_of(text) == (
        since // timedelta(seconds=1),
        since % timedelta(seconds=1) // timedelta(microseconds=1) * 1000,
    )


NUMBERS = [
    Declared("tinyint", fits_integer(-128, 127), same_number),
    Declared("integer", fits_integer(-(2**31), 2**31 - 1), same_number),
    Declared("bigint", fits_integer(-(2**63), 2**63 - 1), same_number),
    Declared("ubigint", fits_integer(0, 2**64 - 1), same_number),
    Declared("decimal(18,2)", fits_decimal(18, 2), same_number),
    Declared("decimal(38,10)", fits_decimal(38, 10), same_number),
    Declared("double", lambda _: True, lambda text, value: float(text) == value),
    Declared("varchar", lambda _: True, lambda text, value: Decimal(text) == Decimal(value)),
]
MOMENTS = [
    Declared("timestamp", lambda text: moment_of(text)[1] % 1000 == 0, same_moment),
    Declared("timestamptz", lambda text: moment_of(text)[1] % 1000 == 0, same_moment),
    Declared(
        "date",
        lambda text: moment_of(text)[0] % 86_400 == 0 and moment_of(text)[1] == 0,
        lambda text, value: date.fromisoformat(text[:10]) == value,
    ),
]
sizes = st.sampled_from([2**7, 2**31, 2**53, 2**63, 2**64, 10**16, 10**18])
integers = st.builds(lambda size, by, sign: sign * (size + by), sizes, st.integers(-2, 2), st.sampled_from([1, -1]))
decimals = st.builds(
    lambda digits, scale: f"{Decimal(digits).scaleb(-scale):f}", st.integers(-(10**19), 10**19), st.integers(0, 12)
)
powers = st.builds("{}e{}".format, st.integers(-(10**17), 10**17), st.integers(-20, 4))
numbers = st.one_of(integers.map(str), decimals, powers, integers.map(lambda value: f"{value}.5"))
seconds_since_1970 = st.integers(-(2 * 10**9), 7 * 10**9) | st.integers(-20_000, 80_000).map(lambda day: day * 86_400)
moments = st.builds(
    lambda seconds, fraction, zone: f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}{fraction}{zone}",
    seconds_since_1970,
    st.sampled_from(["", ".5", ".123456", ".1234567", ".123456000", ".000000001"]),
    st.sampled_from(["", "Z"]),
)
Cell = tuple[Declared, str]
"""A value as it is written, and the type that its column declares."""


def cells(declared: Sequence[Declared], values: st.SearchStrategy[str]) -> st.SearchStrategy[list[Cell]]:
    """Return strategies of a dozen values for each type."""
    return st.tuples(*(st.lists(values, min_size=12, max_size=12) for _ in declared)).map(
        lambda lists: [(each, text) for each, texts in zip(declared, lists, strict=True) for text in texts]
    )


def read(folder: Path, kind: str, columns: dict[str, str]) -> tuple[dict[int, Any], dict[int, str]]:
    """Return the accepted values, and the reasons of those that were not, by the number of their row.

    A row has a value in one of the columns, so that no other decides about it.
    """
    declared = {"n": "integer", **columns}
    spec = SOURCES.validate_python({"kind": kind, "name": "s", "path": f"s.{kind}", "columns": declared})
    with Warehouse(root=str(folder / "root")).session() as session:
        conformed = conform(read_rows(session, spec, Place(str(folder))).rows, spec)
        accepted = session.stream(conformed.accepted).read_all().to_pylist()
        turned_away = session.stream(conformed.quarantined).read_all().to_pylist()
    values = {row["n"]: [value for name, value in row.items() if name != "n"] for row in accepted}
    return (
        {number: next(value for value in each if value is not None) for number, each in values.items()},
        {int(row["n"]): row[REASON] for row in turned_away},
    )


@pytest.mark.parametrize("kind", ["csv", "json"])
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(written=st.builds(lambda one, other: [*one, *other], cells(NUMBERS, numbers), cells(MOMENTS, moments)))
def test_what_is_read_is_what_was_written_or_is_kept_aside(
    tmp_path_factory: pytest.TempPathFactory, kind: str, written: list[Cell]
):
    folder = tmp_path_factory.mktemp("project")
    names = [each.written for each in (*NUMBERS, *MOMENTS)]
    if kind == "csv":
        with (folder / "s.csv").open("w", newline="", encoding="utf-8") as file:
            rows = [
                [n, *(text if each.written == name else "" for name in names)] for n, (each, text) in enumerate(written)
            ]
            csv.writer(file).writerows([["n", *names], *rows])
    else:
        shown = [json.dumps(text) if each in MOMENTS else text for each, text in written]
        lines = [f'{{"n": {n}, "{each.written}": {shown[n]}}}' for n, (each, _) in enumerate(written)]
        (folder / "s.json").write_text("\n".join(lines))
    accepted, turned_away = read(folder, kind, {name: name for name in names})
    assert sorted([*accepted, *turned_away]) == list(range(len(written)))
    for number, (declared, text) in enumerate(written):
        assert (number in accepted) == declared.holds(text), (declared.written, text, turned_away.get(number))
        assert number not in accepted or declared.same(text, accepted[number]), (declared.written, text)


def test_a_number_with_a_power_of_ten_is_held_to_what_it_is_not_to_its_digits():
    texts = [f"{sign}{10**zeros}e-{power}" for sign in ("", "-") for zeros in range(18) for power in range(21)]
    for declared in NUMBERS[:6]:
        cast = exact_cast(exp.column("text"), exp.DataType.build(declared.written, dialect="duckdb")).sql("duckdb")
        with duckdb.connect() as connection:
            found = connection.execute(f"select text, {cast} from (select unnest($1) as text)", [texts]).fetchall()  # noqa: S608
        assert [text for text, value in found if (value is not None) != declared.holds(text)] == [], declared.written
        assert all(declared.same(text, value) for text, value in found if value is not None), declared.written


TYPED: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), integers.filter(lambda value: -(2**63) <= value < 2**63)),
    (pa.uint64(), integers.filter(lambda value: 0 <= value < 2**64)),
    (pa.float64(), st.floats(allow_nan=False, allow_infinity=False) | integers.map(float)),
    (pa.decimal128(38, 10), st.builds(lambda digits: Decimal(digits).scaleb(-10), st.integers(-(10**24), 10**24))),
]
TYPED_MOMENTS = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC")]
TYPED_MOMENTS.remove(pa.timestamp("ns", "UTC"))  # DuckDB has no such type, and reads whole microseconds of it.
Typed = tuple[Declared, pa.DataType, Any, str]
"""A value in a column of Parquet's own type, and the same as text."""


def moment_cells() -> list[Typed]:
    """Return moments at and beside whole days, in every unit of Parquet's."""
    found: list[Typed] = []
    for declared, typed in product(MOMENTS, TYPED_MOMENTS):
        size = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[typed.unit]
        for value in (0, 1, -1, 86_400 * size, 86_400 * size + 1, size // 1_000_000 or 1):
            seconds, rest = divmod(value, size)
            moment = EPOCH + timedelta(seconds=seconds)
            found.append((declared, typed, value, f"{moment:%Y-%m-%dT%H:%M:%S}.{rest * 10**9 // size:09d}Z"))
    return found


def number_cells() -> st.SearchStrategy[list[Typed]]:
    pairs = list(product(NUMBERS[:-1], TYPED))
    lists = st.tuples(*(st.lists(values, min_size=8, max_size=8) for _, (_, values) in pairs))
    return lists.map(
        lambda drawn: [
            (declared, typed, value, repr(value) if isinstance(value, float) else str(value))
            for (declared, (typed, _)), values in zip(pairs, drawn, strict=True)
            for value in values
        ]
    )


def comes_back(text: str) -> bool:
    return Decimal(repr(float(text))) == Decimal(text)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(drawn=number_cells())
def test_typed_values_are_read_as_they_are_or_kept_aside(tmp_path_factory: pytest.TempPathFactory, drawn: list[Typed]):
    folder = tmp_path_factory.mktemp("project")
    written = [*drawn, *moment_cells()]
    columns = {f"{declared.written} of {typed}": (declared, typed) for declared, typed, _, _ in written}
    arrays = {
        name: pa.array([value if (each, kind) == column else None for each, kind, value, _ in written], column[1])
        for name, column in columns.items()
    }
    pq.write_table(pa.table({"n": list(range(len(written))), **arrays}), folder / "s.parquet")
    accepted, turned_away = read(folder, "parquet", {name: each.written for name, (each, _) in columns.items()})
    assert sorted([*accepted, *turned_away]) == list(range(len(written)))
    for number, (declared, typed, _, text) in enumerate(written):
        must = comes_back if declared.written == "double" else declared.holds
        assert number in accepted or not must(text), (typed, declared.written, text, turned_away.get(number))
        assert number not in accepted or declared.same(text, accepted[number]), (typed, declared.written, text)


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from("\"\\',[]{}: \n\t"))
nested = st.fixed_dictionaries(
    {"tags": st.lists(words, max_size=4), "place": st.fixed_dictionaries({"a b": words, "n": decimals})}
)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(rows=st.lists(nested, min_size=1, max_size=5))
def test_text_and_digits_inside_lists_and_structs_of_json_are_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
):
    folder = tmp_path_factory.mktemp("project")
    shown = [
        {**row, "place": {"a b": row["place"]["a b"], "n": f"\x01{row['place']['n']}\x01"}, "words": row["tags"]}
        for row in rows
    ]
    text = "\n".join(json.dumps(row) for row in shown)
    (folder / "s.json").write_text(text.replace('"\\u0001', "").replace('\\u0001"', ""), encoding="utf-8")
    columns = {"tags": "varchar[]", "place": 'struct("a b" varchar, n decimal(38,12))', "words": "varchar"}
    spec = SOURCES.validate_python({"kind": "json", "name": "s", "path": "s.json", "columns": columns})
    with Warehouse(root=str(folder / "root")).session() as session:
        conformed = conform(read_rows(session, spec, Place(str(folder))).rows, spec)
        found = session.stream(conformed.accepted).read_all().to_pylist()
    wanted = [
        {"tags": row["tags"], "place": {"a b": row["place"]["a b"], "n": Decimal(row["place"]["n"])}} for row in rows
    ]
    assert [{"tags": row["tags"], "place": row["place"]} for row in found] == wanted
    assert [json.loads(row["words"]) for row in found] == [row["tags"] for row in rows]
