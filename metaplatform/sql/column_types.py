"""Which of the types that the parser reads DuckDB has columns of: the parser knows those of other engines too."""

from sqlglot import exp

from metaplatform.sql.dialect import type_of
from metaplatform.sql.expressions import canonical_type
from metaplatform.sql.sql_safety import SqlError

_DType = exp.DType
_NO_TYPES = frozenset(
    {_DType.DATEMULTIRANGE, _DType.DATERANGE, _DType.DECIMAL32, _DType.DECIMAL64, _DType.DECIMAL128, _DType.DECIMAL256}
    | {_DType.GEOGRAPHY, _DType.INET, _DType.INT256, _DType.INT4MULTIRANGE, _DType.INT4RANGE, _DType.INT8MULTIRANGE}
    | {_DType.INT8RANGE, _DType.MEDIUMINT, _DType.NULL, _DType.NUMMULTIRANGE, _DType.NUMRANGE, _DType.OBJECT}
    | {_DType.RANGE, _DType.TSMULTIRANGE, _DType.TSRANGE, _DType.TSTZMULTIRANGE, _DType.TSTZRANGE, _DType.UINT256}
    | {_DType.UNKNOWN, _DType.USERDEFINED, _DType.VECTOR}
)
_OF_OTHERS = frozenset({_DType.ARRAY, _DType.ENUM, _DType.LIST, _DType.MAP, _DType.STRUCT, _DType.UNION})
_MOST_DIGITS = 38


def column_type_error(written: str) -> SqlError | None:
    """Return why DuckDB has no columns of a type as the book writes it; None if it has."""
    try:
        canonical_type(written)
    except SqlError as error:
        return error
    for part in type_of(written).find_all(exp.DataType):
        if part.this in _NO_TYPES or (part.this in _OF_OTHERS and not part.expressions):
            return _refused(written, f"DuckDB has no type '{written}'", "use one such as bigint, double or varchar")
        if part.this is _DType.DECIMAL and not _is_possible([size.name for size in part.expressions]):
            told = f"'{written}' is not a decimal that DuckDB has"
            return _refused(written, told, f"give at most {_MOST_DIGITS} digits, then how many of them are decimals")
    return None


def _is_possible(sizes: list[str]) -> bool:
    """Tell whether a decimal can have these sizes: its digits, and how many of them stand behind the point."""
    digits, behind, *more = [*map(int, sizes), *(0, 0)][: max(2, len(sizes))]
    return not sizes or (not more and 1 <= digits <= _MOST_DIGITS and behind <= digits)


def _refused(written: str, message: str, fix: str) -> SqlError:
    return SqlError(message, culprit=written[:80], fix=fix, rule="unknown-type")
