"""The tables that a database has of the book's: what they lack, and making or widening them."""

from collections.abc import Mapping

import sqlalchemy as sa

from metaplatform.errors import StorageError
from metaplatform.resources.book.book_tables import book_tables

_ADVISORY_LOCK = 5_071_220_113
"""Number of PostgreSQL's lock under which the tables are made; any that nobody else uses."""


def lacking(connection: sa.Connection) -> dict[str, list[str]]:
    """Return what the database lacks: each table with the columns that are not there, none if all are."""
    found = _columns(connection)
    wanted = {table.name: [column.name for column in table.columns] for table in book_tables().sorted_tables}
    gaps = {
        name: [column for column in columns if column not in found.get(name.lower(), ())]
        for name, columns in wanted.items()
    }
    return {name: columns for name, columns in gaps.items() if columns}


def holds_book(connection: sa.Connection, name: str) -> bool:
    """Tell whether the database, told as ``name``, holds a book.

    Raises:
        StorageError: if it holds part of one: tables or columns were dropped, or are of an earlier version.
    """
    gaps = lacking(connection)
    if set(gaps) == set(book_tables().tables) and _are_whole(gaps):
        return False
    if gaps:
        raise StorageError(
            owner=name,
            culprit=f"it lacks {_told(gaps)}: of an earlier version, or dropped",
            fix="`metaplatform book push` adds what is missing",
        )
    return True


def complete(connection: sa.Connection, name: str) -> None:
    """Make the tables and columns that the database, told as ``name``, lacks.

    Raises:
        StorageError: if a column cannot be added to the rows that are there.
    """
    if not lacking(connection):
        return
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
    several = connection.dialect.name in {"sqlite", "postgresql"}
    for table in book_tables().sorted_tables:
        connection.execute(sa.schema.CreateTable(table, if_not_exists=several))
    for table_name, columns in lacking(connection).items():
        for column in columns:
            _add(connection, book_tables().tables[table_name].columns[column], name)


def _add(connection: sa.Connection, column: sa.Column[object], name: str) -> None:
    if not column.nullable:
        raise StorageError(
            owner=name,
            culprit=f"{column.table.name} lacks the column {column.name}, which has no default",
            fix="drop this table, and push again",
        )
    definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {definition}")


def _columns(connection: sa.Connection) -> Mapping[str, set[str]]:
    """Return the columns of each table there, all in lower case: written without quotes, PostgreSQL keeps them so."""
    found = sa.inspect(connection).get_multi_columns()
    return {name.lower(): {column["name"].lower() for column in columns} for (_, name), columns in found.items()}


def _are_whole(gaps: Mapping[str, list[str]]) -> bool:
    return all(len(columns) == len(book_tables().tables[name].columns) for name, columns in gaps.items())


def _told(gaps: Mapping[str, list[str]]) -> str:
    tables = book_tables().tables
    whole = [name for name, columns in gaps.items() if len(columns) == len(tables[name].columns)]
    return ", ".join(
        [*whole, *(f"{name}.{column}" for name, columns in gaps.items() if name not in whole for column in columns)]
    )
