"""Names that would meet in one table: DuckDB compares them without case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.rules.names import label_clashes, name_clashes, reserved_names
from metaplatform_tests.specs.rules.alone import GONE, judge, shop, silent, tells

words = st.text(alphabet="abAB", min_size=1, max_size=2)


def test_columns_of_a_source_and_what_it_derives() -> None:
    tells(
        name_clashes,
        shop({"sources/visits/columns/PAGES": "bigint", "sources/visits/derive/Seen": "seen"}),
        "error name-clash at raw.visits/columns/PAGES (key): PAGES | column 'pages' | rename one of them",
        "error name-clash at raw.visits/derive/Seen (key): Seen | column 'seen'",
    )


def test_columns_of_a_key() -> None:
    tells(
        name_clashes,
        shop({"sources/visits/key": ["customer", "seen", "Customer"], "tables/big/key": ["id", "id"]}),
        "error name-clash at raw.visits/key/2: Customer | column 'customer' | take it out",
        "error name-clash at tables.big/key/1: id",
    )


def test_features_of_any_block_and_the_identity_of_the_spine() -> None:
    tells(
        name_clashes,
        shop({"feature_sets/facts/features/3/columns": {"PRICE": "count(*)", "ID": "count(*)", "at": "count(*)"}}),
        "error name-clash at features.facts/features/3/columns/PRICE (key): PRICE | column 'price'",
        "error name-clash at features.facts/features/3/columns/ID (key): ID | column 'id'",
        "error name-clash at features.facts/features/3/columns/at (key): at | column 'at'",
    )


def test_a_feature_may_have_the_name_of_a_column_that_is_not_of_the_identity() -> None:
    silent(name_clashes, shop({"feature_sets/facts/features/0/columns/amount": "amount"}))


def test_columns_that_a_prediction_keeps_beside_its_own() -> None:
    kept = ["customer", "amount", "Customer", "id", "Scored_At"]
    tells(
        name_clashes,
        shop({"predictions/lateness_scores/keep": kept}),
        "error name-clash at predictions.lateness_scores/keep/2: Customer | column 'customer'",
        "error name-clash at predictions.lateness_scores/keep/3: id",
        "error name-clash at predictions.lateness_scores/keep/4: Scored_At | column 'scored_at'",
    )


@pytest.mark.parametrize(
    ("prediction", "score", "other"), [("lateness_scores", "probability", "prediction"), ("delays", "prediction", "x")]
)
def test_the_score_is_named_by_the_task(prediction: str, score: str, other: str) -> None:
    keep = f"predictions/{prediction}/keep"
    tells(name_clashes, shop({keep: [score]}), f"error name-clash at predictions.{prediction}/keep/0: {score}")
    silent(name_clashes, shop({keep: [other]}))


def test_a_key_of_the_spine_that_predictions_have_themselves() -> None:
    tells(
        name_clashes,
        shop({"sources/orders/key": ["Run_ID"]}),
        "error name-clash at predictions.lateness_scores/model: Run_ID | column 'run_id'",
        "error name-clash at predictions.delays/model: Run_ID",
    )


@given(st.lists(words, unique=True, max_size=6))
def test_of_any_names_those_are_told_that_an_earlier_one_equals_without_case(names: list[str]) -> None:
    told = [issue.culprit for issue in judge((name_clashes,), {"sources": {"s": source(names)}})]
    assert told == [name for index, name in enumerate(names) if name.lower() in {n.lower() for n in names[:index]}]


def source(names: list[str]) -> dict[str, object]:
    return {"kind": "csv", "path": "x.csv", "columns": dict.fromkeys(names, "bigint")}


@pytest.mark.parametrize("name", ["label", "Label"])
def test_a_feature_or_a_key_named_like_the_label(name: str) -> None:
    tells(
        label_clashes,
        shop({f"feature_sets/facts/features/0/columns/{name}": "amount"}),
        f"error reserved-name at models.delay/feature_set: {name} | of 'facts' | another name",
    )
    tells(
        label_clashes,
        shop({"sources/orders/key": [name], "models/delay": GONE}),
        f"error reserved-name at models.lateness/feature_set: {name}",
    )


def test_a_feature_named_like_the_label_that_the_model_does_not_take_is_no_harm() -> None:
    changes = {"feature_sets/facts/features/0/columns/label": "amount", "models/delay/exclude": ["label"]}
    silent(label_clashes, shop(changes))


def test_only_among_the_columns_of_the_row_is_excluded_a_reserved_name() -> None:
    silent(label_clashes, shop({"feature_sets/facts/features/0/columns/excluded": "amount"}))
    tells(
        label_clashes,
        shop({"sources/orders/event_timestamp": "Excluded", "models/delay": GONE}),
        "error reserved-name at models.lateness/feature_set: Excluded",
    )


def test_what_the_row_does_not_bring_along_may_be_named_like_the_label() -> None:
    silent(label_clashes, shop({"sources/orders/columns/label": "boolean"}))


def test_a_name_that_is_key_and_feature_is_told_once() -> None:
    changes = {"sources/orders/key": ["label"], "feature_sets/facts/features/0/columns/label": "amount"}
    tells(
        label_clashes,
        shop({**changes, "models/lateness": GONE}),
        "error reserved-name at models.delay/feature_set: label",
    )


@pytest.mark.parametrize("lost", ["sources/orders", "feature_sets/facts"])
def test_of_what_is_not_there_no_name_clashes(lost: str) -> None:
    book = shop({"feature_sets/facts/features/0/columns/label": "amount", lost: GONE})
    silent(label_clashes, book)
    silent(name_clashes, book)


@given(st.sampled_from(["observations", "decisions", "promotions", "actions", "arrivals"]), st.data())
def test_monitors_named_like_the_platforms_own_tables_in_any_case(name: str, data: st.DataObject) -> None:
    cased = "".join(data.draw(st.sampled_from([letter, letter.upper()])) for letter in name)
    monitor = shop()["monitors"]["shift"]
    tells(
        reserved_names,
        {"monitors": {cased: monitor, f"{name}_of_mine": monitor}},
        f"error reserved-name at monitoring.{cased}: {cased} | 'monitoring.{cased}' | another name",
    )


def test_other_names_of_monitors_and_those_names_elsewhere_are_free() -> None:
    silent(reserved_names, shop({"tables/decisions": {"sql": "select 1 as x"}}))
