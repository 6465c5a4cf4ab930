"""A key identifies a row: what breaks that is refused before anything is stored or joined by it."""

from collections.abc import Mapping, Sequence
from typing import Any

import ibis

from metaplatform.compute.keys import COUNT, ELSEWHERE, TOTAL, faulty_keys, keys_elsewhere
from metaplatform.errors import DataError
from metaplatform.resources.engine.session import Session

_EXAMPLES = 3


def check_key(session: Session, rows: ibis.Table, key: Sequence[str], *, owner: str) -> None:
    """Refuse rows that their key does not tell apart; a table without a key has nothing to check.

    Raises:
        DataError: with examples, if keys repeat or have a null.
    """
    if not key:
        return
    found = session.stream(faulty_keys(rows, key, examples=_EXAMPLES)).read_all().to_pylist()
    if found:
        told = "; ".join(f"{_told(each)} in {each[COUNT]} rows" for each in found)
        raise _fault(owner, key, found, "repeat or are null", told)


def check_key_elsewhere(
    session: Session, rows: ibis.Table, others: ibis.Table, key: Sequence[str], *, owner: str
) -> None:
    """Refuse rows of a partition whose keys rows of ``others``, the table's other partitions, have too.

    Raises:
        DataError: with examples, if there are such keys.
    """
    if not key:
        return
    found = session.stream(keys_elsewhere(rows, others, key, examples=_EXAMPLES)).read_all().to_pylist()
    if found:
        told = "; ".join(f"{_told(each)} in partition {each[ELSEWHERE]} too" for each in found)
        raise _fault(owner, key, found, "stand in several partitions", told)


def _fault(owner: str, key: Sequence[str], found: Sequence[Mapping[str, Any]], what: str, told: str) -> DataError:
    return DataError(
        owner=owner,
        culprit=f"the key ({', '.join(key)}) does not identify a row: {found[0][TOTAL]} keys {what}, such as {told}",
        fix="add the columns to 'key:' that tell these rows apart, or make one row of them in the SQL",
    )


def _told(row: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} = {'null' if value is None else value}"
        for name, value in row.items()
        if name not in {COUNT, TOTAL, ELSEWHERE}
    )
