"""Keys that do not say which row is meant: repeated ones, and those with a null."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

import ibis

from metaplatform.compute.sql_columns import Scope
from metaplatform.naming import PARTITION

COUNT, TOTAL, ELSEWHERE = "_rows", "_keys", "_elsewhere"
"""Rows with the key, keys at fault in all, and the partition that holds the key as well."""


def faulty_keys(rows: ibis.Table, key: Sequence[str], *, examples: int) -> ibis.Table:
    """Return some keys that several rows have, or that have a null in a column; empty is good.

    Columns: the key's, ``COUNT`` and ``TOTAL``. Names of key columns are compared without case.
    """
    names = _columns(rows, key)
    counted = rows.group_by(names).aggregate(**{COUNT: rows.count()})
    nulls = reduce(or_, (counted[name].isnull() for name in names))
    return _some(counted.filter((counted[COUNT] > 1) | nulls), names, examples)


def keys_elsewhere(rows: ibis.Table, others: ibis.Table, key: Sequence[str], *, examples: int) -> ibis.Table:
    """Return some keys of ``rows`` that ``others`` have too, in the partition ``ELSEWHERE``; empty is good."""
    names = _columns(rows, key)
    theirs = others.select(**{name: others[name] for name in names}, **{ELSEWHERE: others[PARTITION]})
    return _some(rows.select(names).inner_join(theirs, names), names, examples)


def _some(found: ibis.Table, names: Sequence[str], examples: int) -> ibis.Table:
    total = found.count().over(ibis.window())  # type: ignore[no-untyped-call]
    return found.mutate(**{TOTAL: total}).order_by(names).limit(examples)


def _columns(rows: ibis.Table, key: Sequence[str]) -> list[str]:
    scope = Scope.of(rows.columns, "key")
    return [scope.find(name) for name in key]
