"""References: every name an entity points to is defined, and of a kind that can stand there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.rules.references import unknown_references
from metaplatform.text.nearest import nearest_name
from metaplatform_tests.specs.rules.alone import judge, shop, silent, tells


@pytest.mark.parametrize(
    ("path", "written", "near"),
    [
        ("tables/big/partitioned_by", "raw.order", "raw.orders"),
        ("feature_sets/facts/spine", "raw.oders", "raw.orders"),
        ("feature_sets/facts/features/1/table", "raw.customer", "raw.customers"),
        ("models/delay/feature_set", "fact", "facts"),
        ("models/lateness/retrain/drift/monitors/0", "shft", "shift"),
        ("models/lateness/retrain/performance/monitors/0", "qualty", "quality"),
        ("predictions/delays/model", "delays", "delay"),
        ("outputs/shown/tables/0", "tables.bigg", "tables.big"),
        ("monitors/shift/prediction", "lateness_score", "lateness_scores"),
        ("reactions/call/prediction", "delay", "delays"),
        ("reactions/call/materialize/0", "outputs.pages", "outputs.page"),
        ("sources/orders/after", ["tables.bug"], "tables.big"),
    ],
)
def test_a_name_that_is_not_defined_is_told_with_the_nearest_one(path: str, written: object, near: str) -> None:
    chapter, name, *below = path.split("/")
    prefix = {"sources": "raw", "feature_sets": "features", "monitors": "monitoring"}.get(chapter, chapter)
    first, below = (written[0], [*below, "0"]) if isinstance(written, list) else (written, below)
    tells(
        unknown_references,
        shop({path: written}),
        f"error unknown-reference at {'/'.join((f'{prefix}.{name}', *below))}: {first}, perhaps {near}"
        f" | '{first}' is not defined | name one of",
    )


def test_every_reference_of_a_query_is_told_where_it_stands() -> None:
    tells(
        unknown_references,
        shop({"outputs/page/sql": "select count(*) as n\nfrom tables.bg, raw.zzz join raw.orders on true"}),
        "error unknown-reference at outputs.page/sql:2:6: tables.bg, perhaps tables.big",
        "error unknown-reference at outputs.page/sql:2:17: raw.zzz | raw.*, tables.*, features.*",
    )


def test_what_is_defined_and_cannot_stand_there() -> None:
    tells(
        unknown_references,
        shop({"feature_sets/facts/spine": "predictions.delays", "reactions/call/materialize": ["models.delay"]}),
        "error unknown-reference at features.facts/spine: predictions.delays | cannot stand here | raw.*, tables.*, as",
        "error unknown-reference at reactions.call/materialize/0: models.delay | cannot stand here",
    )


@pytest.mark.parametrize("output", [{"kind": "views", "tables": ["raw.orders"]},
                                    {"kind": "csv", "table": "raw.orders"}])  # fmt: skip
def test_files_cannot_be_read_like_tables(output: dict[str, object]) -> None:
    book = shop({"outputs/file": output, "outputs/shown/tables": ["outputs.file"]})
    tells(
        unknown_references,
        book,
        "error unknown-reference at outputs.shown/tables/0: outputs.file, perhaps outputs.file",
    )


def test_the_table_behind_a_report_can_be_read() -> None:
    silent(
        unknown_references, shop({"outputs/shown/tables": ["outputs.page"], "sources/orders/after": ["outputs.page"]})
    )


def test_files_can_be_waited_for_and_made() -> None:
    silent(
        unknown_references,
        shop({"tables/big/after": ["outputs.shown"], "reactions/call/materialize": ["outputs.shown"]}),
    )


def test_what_is_broken_is_defined() -> None:
    silent(
        unknown_references,
        shop({"sources/orders/path": 3, "outputs/page/title": [], "outputs/shown/tables": ["outputs.page"]}),
    )


def test_of_several_with_the_nearest_name_that_of_the_same_prefix_is_meant() -> None:
    book = shop({"tables/orders": {"sql": "select 1 as x"}, "outputs/shown/tables": ["raw.ordes", "tables.ordes"]})
    tells(
        unknown_references,
        book,
        "error unknown-reference at outputs.shown/tables/0: raw.ordes, perhaps raw.orders",
        "error unknown-reference at outputs.shown/tables/1: tables.ordes, perhaps tables.orders",
    )


def test_a_name_under_another_prefix_is_found() -> None:
    tells(
        unknown_references,
        shop({"outputs/shown/tables": ["tables.orders"]}),
        "error unknown-reference at outputs.shown/tables/0: tables.orders, perhaps raw.orders",
    )


names = st.text(alphabet="abcde_", min_size=2, max_size=6).filter(lambda name: name[0] != "_")


@given(st.lists(names, min_size=1, max_size=5, unique=True), names)
def test_of_any_names_the_nearest_is_offered_and_what_is_defined_is_not_told(defined: list[str], meant: str) -> None:
    tables = {name: {"sql": "select 1 as x"} for name in defined}
    book = {"tables": tables, "outputs": {"o": {"kind": "views", "tables": [f"tables.{meant}"]}}}
    issues = judge((unknown_references,), book)
    if meant in defined:
        assert issues == ()
    else:
        near = nearest_name(meant, defined)
        assert [issue.nearest for issue in issues] == [near and f"tables.{near}"]
