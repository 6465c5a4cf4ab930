"""What is shown: tags and links that Dagster takes, and entities that nothing reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.rules.presentation import invalid_tags, unused_entities
from metaplatform_tests.specs.rules.alone import GONE, judge, shop, silent, tells

TAGS = "sources/orders/tags"
LONG = "x" * 63


@pytest.mark.parametrize("key", ["", "two words", "a/b/c", "/a", "a/", "größe", f"{LONG}x", f"{LONG}x/a", "a\n"])
def test_keys_of_tags_that_dagster_refuses(key: str) -> None:
    tells(
        invalid_tags,
        shop({TAGS: {key: "x"}}),
        f"error invalid-tag at raw.orders/tags/{key} (key): {key} | tag '{key}' is not made of letters | rename it",
    )


@pytest.mark.parametrize("value", ["two words", "a/b", "größe", f"{LONG}x", "a\n"])
def test_values_of_tags_that_dagster_refuses(value: str) -> None:
    tells(
        invalid_tags,
        shop({TAGS: {"k": value}}),
        f"error invalid-tag at raw.orders/tags/k: {value} | the value of tag 'k' | change it",
    )


@pytest.mark.parametrize(
    ("key", "value"), [("a", ""), (LONG, LONG), (f"{LONG}/{LONG}", "A.b-c_1"), ("acme.io/A_1", "v1.2"), ("-", ".")]
)
def test_tags_that_dagster_takes(key: str, value: str) -> None:
    silent(invalid_tags, shop({TAGS: {key: value}}))


def test_key_and_value_of_every_tag_are_looked_at() -> None:
    tells(
        invalid_tags,
        shop({TAGS: {"a b": "c d", "ok": "ok", "e f": "g"}}),
        "error invalid-tag at raw.orders/tags/a b (key): a b",
        "error invalid-tag at raw.orders/tags/a b: c d",
        "error invalid-tag at raw.orders/tags/e f (key): e f",
    )


@given(st.text(max_size=70), st.text(max_size=70))
def test_of_any_tag_what_is_let_through_is_taken_by_dagster(key: str, value: str) -> None:
    from dagster._utils.tags import normalize_tags

    try:
        normalize_tags({key: value}, strict=True)
        taken = True
    except Exception:  # noqa: BLE001 — whatever Dagster raises, it refuses
        taken = False
    if not judge((invalid_tags,), shop({TAGS: {key: value}})):
        assert taken


@pytest.mark.parametrize(
    "link", ["example.com", "ftp://example.com", "https://", "https://a b", " https://a", "", "http:/a"]
)
def test_links_that_are_no_web_address(link: str) -> None:
    tells(
        invalid_tags,
        shop({"models/delay/docs": link}),
        f"error invalid-value at models.delay/docs: {link} | not a web address | https://",
    )


@pytest.mark.parametrize("link", ["http://a", "https://example.com/wiki?a=b#c"])
def test_links_that_are_one(link: str) -> None:
    silent(invalid_tags, shop({"models/delay/docs": link}))


def test_what_nothing_reads_once_its_reader_is_gone() -> None:
    tells(
        unused_entities,
        shop({"outputs": GONE, "reactions": GONE, "predictions/delays": GONE, "feature_sets/facts/features/1": GONE}),
        "warning unused at raw.customers: raw.customers | nothing in the book reads it | take it out",
        "warning unused at tables.big: tables.big",
        "warning unused at models.delay: models.delay",
    )


@pytest.mark.parametrize("chapter", ["monitors", "reactions", "alerts"])
def test_of_those_who_only_watch_nothing_is_read(chapter: str) -> None:
    silent(unused_entities, shop({chapter: GONE}))


def test_sources_feature_sets_tables_and_models_are_made_to_be_read_and_nothing_else_is() -> None:
    tells(
        unused_entities,
        {
            chapter: {"lonely": body}
            for chapter, body in {
                **{chapter: next(iter(bodies.values())) for chapter, bodies in shop().items()},
                "tables": {"sql": "select 1 as x"},
                "feature_sets": {**shop()["feature_sets"]["facts"], "spine": "tables.lonely", "features": [ONE]},
                "models": {**shop()["models"]["delay"], "feature_set": "lonely"},
                "predictions": {"model": "lonely"},
                "outputs": {"kind": "views", "tables": ["predictions.lonely"]},
                "monitors": {**shop()["monitors"]["shift"], "prediction": "lonely"},
                "reactions": {"prediction": "lonely", "when": "true"},
            }.items()
        },
        "warning unused at raw.lonely: raw.lonely",
    )


ONE = {"kind": "expression", "columns": {"a": "x"}}


def test_to_be_waited_for_is_to_be_used() -> None:
    extra = {"sources/extra": {"kind": "csv", "path": "x.csv"}}
    tells(unused_entities, shop(extra), "warning unused at raw.extra: raw.extra")
    silent(unused_entities, shop({**extra, "tables/big/after": ["raw.extra"]}))


def test_what_a_reference_to_nothing_may_mean_is_left_alone() -> None:
    extra = {"sources/extra": {"kind": "csv", "path": "x.csv"}, "tables/extra": {"sql": "select 1 as x"}}
    tells(
        unused_entities,
        shop({**extra, "feature_sets/facts/features/1/table": "raw.customer"}),
    )
    tells(
        unused_entities,
        shop({**extra, "models/delay/feature_set": "zzz"}),
        "warning unused at raw.extra: raw.extra",
        "warning unused at tables.extra: tables.extra",
    )


def test_what_a_query_that_does_not_parse_names_is_left_alone() -> None:
    extra = {"sources/extra": {"kind": "csv", "path": "x.csv"}, "sources/more": {"kind": "csv", "path": "y.csv"}}
    tells(
        unused_entities,
        shop({**extra, "outputs/page/sql": "select (1 from raw.extra, tables.big"}),
        "warning unused at raw.more: raw.more",
    )


def test_of_half_a_book_nothing_is_unused() -> None:
    extra = {"sources/extra": {"kind": "csv", "path": "x.csv"}}
    silent(unused_entities, shop(extra), whole=False)
    silent(unused_entities, shop({**extra, "outputs/shown/tables": 3}))
    tells(unused_entities, shop({**extra, "outputs/shown/tags": 3}), "warning unused at raw.extra: raw.extra")
