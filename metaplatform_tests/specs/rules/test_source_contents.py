"""Contents of sources: what their files were found to hold is what the book says of them."""

import pytest

from metaplatform.specs.book.source_looks import Misfit, MisfitKind, SourceLook
from metaplatform.specs.rules.source_contents import contents_unlike_the_book, unreadable_sources
from metaplatform_tests.specs.rules.alone import shop, silent, tells

COLUMNS = ("name", "country")
CONTRACT = "sources/customers/contract"


def looked(**headers: tuple[str, ...]) -> dict[str, SourceLook]:
    """Return what was found in the files of the customers: the columns of each."""
    return {"customers": SourceLook(headers=headers, rows=10)}


def test_sources_whose_files_cannot_be_read() -> None:
    looks = {"orders": SourceLook(fault=("no file", "write one")), "visits": SourceLook(fault=("broken", "mend it"))}
    tells(
        unreadable_sources,
        shop({"sources/visits/path": "token=abc/x.parquet"}),
        "error unreadable-source at raw.orders/path: data/orders/*.csv | no file | write one",
        "error unreadable-source at raw.visits/path: … | broken | mend it",
        looks=looks,
    )
    silent(contents_unlike_the_book, shop(), looks=looks)


def test_sources_whose_files_were_read() -> None:
    silent(unreadable_sources, shop(), looks=looked(a=COLUMNS))
    silent(contents_unlike_the_book, shop(), looks=looked(a=COLUMNS, b=COLUMNS[::-1]))


def test_columns_that_are_there_twice() -> None:
    tells(
        contents_unlike_the_book,
        shop({"sources/customers/columns": {}}),
        "error repeated-column at raw.customers/path: name | in a, b | rename one in the files",
        "error repeated-column at raw.customers/path: Name | more than once, letter case aside, in a",
        looks=looked(a=("name", "Name"), b=("name", "x", "name"), c=COLUMNS),
    )


def test_columns_that_no_file_has() -> None:
    for contract in ("freeze", "evolve"):
        tells(
            contents_unlike_the_book,
            shop({CONTRACT: contract, "sources/customers/columns": {"name": "varchar", "contry": "varchar"}}),
            "error missing-column at raw.customers/columns/contry (key): contry, perhaps country"
            " | no column 'contry' in a, b | name it as the files do, or take it out",
            *["error undeclared-column at raw.customers/columns (key): country"] * (contract == "freeze"),
            looks=looked(a=COLUMNS, b=COLUMNS),
        )


def test_columns_that_some_files_lack() -> None:
    looks = looked(a=COLUMNS, b=("name",))
    tells(
        contents_unlike_the_book,
        shop(),
        "error missing-column at raw.customers/columns/country (key): country | in b | `contract: evolve`",
        looks=looks,
    )
    silent(contents_unlike_the_book, shop({CONTRACT: "evolve"}), looks=looks)


def test_names_of_columns_are_compared_as_they_are_written() -> None:
    tells(
        contents_unlike_the_book,
        shop({CONTRACT: "evolve"}),
        "error missing-column at raw.customers/columns/name (key): name, perhaps Name",
        looks=looked(a=("Name", "country")),
    )


def test_columns_that_are_not_declared() -> None:
    looks = looked(a=(*COLUMNS, "age"), b=(*COLUMNS, "zip", "age"))
    tells(
        contents_unlike_the_book,
        shop(),
        "error undeclared-column at raw.customers/columns (key): age | column 'age' of a, b is not declared",
        "error undeclared-column at raw.customers/columns (key): zip | of b | `contract: evolve`, which adds",
        looks=looks,
    )
    silent(contents_unlike_the_book, shop({CONTRACT: "evolve"}), looks=looks)
    silent(contents_unlike_the_book, shop({"sources/customers/columns": {}}), looks=looks)


@pytest.mark.parametrize(
    ("number", "shown"), [(3, "a, b, c is not"), (4, "a, b, c and 1 more is"), (5, "c and 2 more")]
)
def test_of_many_files_the_first_three_are_named(number: int, shown: str) -> None:
    tells(
        contents_unlike_the_book,
        shop(),
        f"error undeclared-column at raw.customers/columns (key): age | {shown}",
        looks=looked(**dict.fromkeys("abcde"[:number], (*COLUMNS, "age"))),
    )


@pytest.mark.parametrize(
    ("kind", "column", "path", "says", "fix"),
    [
        (
            "type",
            "amount",
            "columns/amount",
            "1,200 of the 5,000 rows looked at would go to quarantine: x",
            "null_values",
        ),
        ("derive", "twice", "derive/twice", "would go to quarantine: x", "try_cast"),
        ("null", "at", "event_timestamp", "have no 'at', and would go to quarantine", "name a column that"),
        ("null", "id", "key", "have no 'id', and would go to quarantine", "name columns that"),
        ("time", "at", "partitions", "would go to quarantine: x", "let the partitions start"),
        ("key", "id", "key", "have the key of an earlier row", "tell rows apart"),
    ],
)
def test_values_that_do_not_fit(kind: MisfitKind, column: str, path: str, says: str, fix: str) -> None:
    header = tuple(shop()["sources"]["orders"]["columns"])
    look = SourceLook(headers={"a": header}, misfits=(Misfit(kind, column, 1_200, "x"),), rows=5_000)
    wanted = f"warning misfit at raw.orders/{path}: {column} | {says} | {fix}"
    tells(contents_unlike_the_book, shop(), wanted, looks={"orders": look})


def test_every_misfit_is_told_and_one_row_is_one() -> None:
    misfits = (Misfit("type", "name", 1, "x"), Misfit("key", "name", 1, "y"))
    tells(
        contents_unlike_the_book,
        shop(),
        "warning misfit at raw.customers/columns/name: name | 1 of the 1 row looked at",
        "warning misfit at raw.customers/key: name",
        looks={"customers": SourceLook(headers={"a": COLUMNS}, misfits=misfits, rows=1)},
    )
