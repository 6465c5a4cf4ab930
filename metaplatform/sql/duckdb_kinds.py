"""DuckDB's functions by the kinds of values they take and give, lower case; held against the engine by a test."""

from collections.abc import Mapping
from typing import Literal

KnownKind = Literal["number", "text", "boolean", "moment"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MATHEMATICS = _words(
    """
    abs acos asin atan cbrt ceil ceiling cos degrees exp floor ln log log10 log2 radians round sign sin sqrt tan
    """
)
_STATISTICS = _words(
    """
    kurtosis skewness stddev stddev_pop stddev_samp var_pop var_samp variance
    """
)
_PARTS_OF_MOMENTS = _words(
    """
    date_part datepart day dayname dayofmonth dayofweek dayofyear hour isodow isoyear minute month monthname quarter
    second week weekday weekofyear year yearweek
    """
)
_TEXT_WORK = _words(
    """
    ends_with lcase lower lpad ltrim regexp_extract regexp_full_match regexp_matches regexp_replace replace rpad rtrim
    split_part starts_with strip_accents trim ucase upper
    """
)

KINDS_REFUSED: Mapping[str, frozenset[KnownKind]] = {
    **dict.fromkeys(_MATHEMATICS | _STATISTICS, frozenset({"text", "boolean", "moment"})),
    **dict.fromkeys(_PARTS_OF_MOMENTS | {"date_trunc", "last_day"}, frozenset({"text", "boolean", "number"})),
    **dict.fromkeys(_TEXT_WORK, frozenset({"number", "boolean", "moment"})),
    **dict.fromkeys(("bool_and", "bool_or", "count_if"), frozenset({"text", "number", "moment"})),
    "avg": frozenset({"text", "boolean"}),
    "length": frozenset({"number", "boolean", "moment"}),
    "sum": frozenset({"text", "moment"}),
}
"""Function → the kinds of value that DuckDB refuses as its first argument."""

KIND_GIVEN: Mapping[str, KnownKind] = {
    **dict.fromkeys(_PARTS_OF_MOMENTS - {"dayname", "monthname"}, "number"),
    **dict.fromkeys(
        _words("approx_count_distinct count count_if date_diff datediff dense_rank instr length ntile rank row_number"),
        "number",
    ),
    **dict.fromkeys(_TEXT_WORK - {"ends_with", "regexp_full_match", "regexp_matches", "starts_with"}, "text"),
    **dict.fromkeys(_words("dayname md5 monthname sha256 strftime string_agg"), "text"),
    **dict.fromkeys(_words("bool_and bool_or ends_with regexp_full_match regexp_matches starts_with"), "boolean"),
    **dict.fromkeys(_words("make_date make_timestamp make_timestamptz strptime"), "moment"),
}
"""Function → the kind of its value, whatever it is given."""

NUMBERS_GIVEN = _MATHEMATICS | _STATISTICS | _words("avg median sum")
"""Of numbers, a number."""

MOMENTS_GIVEN = _words("date_trunc last_day")
"""Of a moment, a moment."""

KIND_KEPT = _words("any_value coalesce first greatest ifnull lag last lead least max min mode")
"""Of values of one kind, a value of that kind."""
