"""Values cast without loss: what would not come back as it was written is null. Python's decimals say what is right."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from metaplatform.sql.dialect import sql_text, type_of
from metaplatform.sql.exact_casts import exact_cast, guesses

RANGES = {"tinyint": (-(2**7), 2**7 - 1), "integer": (-(2**31), 2**31 - 1), "bigint": (-(2**63), 2**63 - 1),
          "usmallint": (0, 2**16 - 1)}  # fmt: skip
numbers = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**6), max_value=10**6, places=4).map(str),
    st.builds("{}{}.{}e{}".format, st.sampled_from(["", "-", "+"]), st.integers(0, 999), st.integers(0, 9999),
              st.integers(-6, 6)),
    st.sampled_from(["127", "128", "-128", "-129", "2147483647", "2147483648", "0", "-0", "007", "1.", ".5", "1e2",
                     "x", "", "1 ", "1,5", "nan", "inf", "1e", "--1", "0x10", "1_000"]),
)  # fmt: skip


def cast_all(texts: Sequence[str], expression: exp.Expr) -> list[object]:
    """Return what an expression over column ``v`` makes of each text, in order."""
    sql = f"select {sql_text(expression)} from (select unnest($1) as v, unnest(range(len($1))) as i) order by i"  # noqa: S608
    return [value for (value,) in duckdb.execute(sql, [list(texts)]).fetchall()]


def exact(written: str, *, nearest: bool = True) -> exp.Expr:
    return exact_cast(exp.column("v"), type_of(written), nearest=nearest)


def number_in(text: str) -> Decimal | None:
    if "_" in text:
        return None
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


@given(st.lists(numbers, min_size=1, max_size=20), st.sampled_from(sorted(RANGES)))
def test_a_whole_number_is_what_is_written_or_nothing(texts: list[str], written: str) -> None:
    low, high = RANGES[written]
    for text, found in zip(texts, cast_all(texts, exact(written)), strict=True):
        meant = number_in(text)
        if meant is not None and meant == meant.to_integral_value() and low <= meant <= high:
            assert found == meant, text
        else:
            assert found is None, text


@given(st.lists(numbers, min_size=1, max_size=20), st.sampled_from([(9, 2), (4, 0), (18, 6)]))
def test_a_decimal_is_what_is_written_or_nothing(texts: list[str], sizes: tuple[int, int]) -> None:
    width, scale = sizes
    for text, found in zip(texts, cast_all(texts, exact(f"decimal({width}, {scale})")), strict=True):
        meant = number_in(text)
        fits = meant is not None and abs(meant) < 10 ** (width - scale) and meant == round(meant, scale)
        assert found == (meant if fits else None), text


@given(st.lists(numbers, min_size=1, max_size=20))
def test_a_floating_point_number_is_the_nearest_or_refused_where_it_is_another(texts: list[str]) -> None:
    nearest, refused = cast_all(texts, exact("double")), cast_all(texts, exact("double", nearest=False))
    for text, near, same in zip(texts, nearest, refused, strict=True):
        meant = number_in(text)
        if meant is None:
            continue
        assert near == float(meant), text
        assert same in {None, near}, text
        if same is not None:
            assert Decimal(repr(float(str(same)))) == meant, text


@given(st.lists(numbers | st.text(max_size=12), min_size=1, max_size=20))
def test_what_a_text_is_taken_for_says_it_again(texts: list[str]) -> None:
    found = {kind: cast_all(texts, guess) for kind, guess in guesses(exp.column("v")).items()}
    for index, text in enumerate(texts):
        taken = {kind: values[index] for kind, values in found.items() if values[index] is not None}
        if "bigint" in taken:
            assert str(taken["bigint"]) == text
        if "boolean" in taken:
            assert text.lower() in {"true", "false"}
        assert not {"date", "timestamp", "timestamptz"} & taken.keys() or text[4] == "-"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("12", {"bigint", "double"}),
        ("012", set()),
        ("+12", set()),
        ("1.5", {"double"}),
        ("1.50", {"double"}),
        ("0.1234567890123456789", set()),
        ("9007199254740993.0", set()),
        ("TRUE", {"boolean"}),
        ("yes", set()),
        ("t", set()),
        ("2024-01-31", {"date", "timestamp"}),
        ("2024-02-30", set()),
        ("2024-01-31 10:00", {"timestamp"}),
        ("2024-01-31T10:00:00Z", {"timestamptz"}),
        ("2024-01-31 10:00:00+01:00", {"timestamptz"}),
        ("2024-01-31 10:00:00.1234567", set()),
        ("31.01.2024", set()),
        ("-", set()),
        (".", set()),
        ("", set()),
        ("NaN", {"double"}),
    ],
)
def test_what_a_text_may_be_taken_for(text: str, kinds: set[str]) -> None:
    found = {kind for kind, guess in guesses(exp.column("v")).items() if cast_all([text], guess) != [None]}
    assert found == kinds


@pytest.mark.parametrize(
    ("written", "kept", "lost"),
    [
        ("date", "2024-01-31 00:00:00", "2024-01-31 00:00:01"),
        ("timestamp_s", "2024-01-31 10:00:01.000", "2024-01-31 10:00:01.5"),
        ("timestamp_ms", "2024-01-31 10:00:01.123000", "2024-01-31 10:00:01.1234"),
        ("timestamp", "2024-01-31 10:00:01.1234560", "2024-01-31 10:00:01.1234567"),
        ("integer[]", "[1, 2]", "[1, 2.5]"),
        ("struct(a integer, b date)", "{a: 1, b: 2024-01-31}", "{a: 1, b: 2024-01-31 10:00}"),
        ("map(varchar, integer)", "{x=1}", "{x=1.5}"),
        ("integer[][]", "[[1], [2, 3]]", "[[1], [2, 3.5]]"),
    ],
)
def test_every_digit_and_every_leaf_is_kept_or_nothing(written: str, kept: str, lost: str) -> None:
    found = cast_all([kept, lost], exact(written))
    assert found[0] is not None
    assert found[1] is None


def test_an_offset_from_utc_is_not_dropped() -> None:
    (found,) = cast_all(["2024-01-31 10:00:00+02:00"], exp.cast(exact("timestamp"), "varchar"))
    (zoned,) = cast_all(["2024-01-31 10:00:00+02:00"], exp.cast(exp.cast(exact("timestamptz"), "timestamp"), "varchar"))
    assert found == zoned


def test_numbers_become_other_numbers_only_where_they_come_back() -> None:
    narrowed = exact_cast(exp.cast(exp.column("v"), "double"), type_of("integer"), type_of("double"))
    assert cast_all(["1", "1.5", "3e9", "-0"], narrowed) == [1, None, None, 0]
    assert exact_cast(exp.column("v"), type_of("date"), type_of("date")) == exp.column("v")
