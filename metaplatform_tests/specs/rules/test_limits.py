"""Limits: numbers and conditions that can be met, and lists that say each thing once."""

from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.rules.limits import impossible_conditions, impossible_limits, repeated_items
from metaplatform_tests.specs.rules.alone import GONE, judge, shop, silent, tells

METRICS = "monitors/quality/metrics"
HUGE = 1e300


@pytest.mark.parametrize(
    ("metric", "key", "bound", "severity", "says"),
    [
        ("roc_auc", "min", 1.01, "error", "never reaches 1.01"),
        ("r2", "min", 1.5, "error", "'r2' lies in -inf..1: it never reaches 1.5"),
        ("brier", "max", -0.1, "error", "never as low as -0.1"),
        ("mae", "max", -1.0, "error", "'mae' lies in 0..inf"),
        ("roc_auc", "min", 0.0, "warning", "never under 0"),
        ("roc_auc", "min", -1.0, "warning", "never under -1"),
        ("brier", "max", 1.0, "warning", "never over 1"),
        ("roc_auc", "max_loss", 1.0, "warning", "cannot lose 1"),
        ("brier", "max_loss", 1.5, "warning", "cannot lose 1.5"),
    ],
)
def test_limits_that_nothing_meets_or_breaks(metric: str, key: str, bound: float, severity: str, says: str) -> None:
    tells(
        impossible_limits,
        shop({METRICS: {metric: {key: bound}}}),
        f"{severity} impossible-limit at monitoring.quality/metrics/{metric}/{key}: {bound:g} | {says} | pass and fail",
    )


@pytest.mark.parametrize(
    ("metric", "limit"),
    [
        ("roc_auc", {"min": 1.0}),
        ("roc_auc", {"min": 0.001, "max": 0.999}),
        ("roc_auc", {"min": 0.6, "max": 0.6}),
        ("roc_auc", {"max": 0.0, "max_loss": 0.999}),
        ("brier", {"min": 0.0}),
        ("brier", {"min": -1.0}),
        ("brier", {"max": 0.0}),
        ("rmse", {"max": 0.0}),
        ("rmse", {"max": HUGE, "max_loss": HUGE}),
        ("r2", {"min": -HUGE, "max_loss": HUGE}),
        ("r2", {"min": 1.0}),
    ],
)
def test_limits_that_can_be_met_and_broken(metric: str, limit: dict[str, float]) -> None:
    silent(impossible_limits, shop({METRICS: {metric: limit}}))


def test_a_least_over_the_most() -> None:
    tells(
        impossible_limits,
        shop({METRICS: {"mae": {"min": 3.0, "max": 2.5}}}),
        "error impossible-limit at monitoring.quality/metrics/mae/min: 3 | min (3) is over max (2.5): nothing passes",
    )


def test_every_fault_of_a_limit_is_told() -> None:
    tells(
        impossible_limits,
        shop({METRICS: {"roc_auc": {"min": 2.0, "max": -1.0, "max_loss": 3.0}, "brier": {"max": 2.0}}}),
        "error impossible-limit at monitoring.quality/metrics/roc_auc/min: 2",
        "error impossible-limit at monitoring.quality/metrics/roc_auc/max: -1",
        "error impossible-limit at monitoring.quality/metrics/roc_auc/min: 2 | nothing passes",
        "warning impossible-limit at monitoring.quality/metrics/roc_auc/max_loss: 3",
        "warning impossible-limit at monitoring.quality/metrics/brier/max: 2",
    )


@pytest.mark.parametrize(("metric", "gain"), [("roc_auc", 1.0), ("brier", 1.5)])
def test_gains_that_no_challenger_can_have(metric: str, gain: float) -> None:
    tells(
        impossible_limits,
        shop({"models/lateness/promotion": {"metric": metric, "min_gain": gain}}),
        f"error impossible-limit at models.lateness/promotion/min_gain: {gain:g} | no challenger can gain | 0.005",
    )


@pytest.mark.parametrize(("metric", "gain"), [("roc_auc", 0.999), ("log_loss", HUGE), ("rmse", HUGE), ("r2", HUGE)])
def test_gains_that_one_can_have(metric: str, gain: float) -> None:
    silent(impossible_limits, shop({"models/lateness/promotion": {"metric": metric, "min_gain": gain}}))


OPERATORS = (">", ">=", "<", "<=", "=")
bounds = st.sampled_from(["0", "1", "-1", "1.0", "0.5", "2", "0.001", "(1.5)", "-(0)", "- (-1)"])


@given(st.sampled_from(OPERATORS), bounds, st.booleans())
def test_a_comparison_is_told_if_and_only_if_no_probability_changes_it(sign: str, bound: str, mirrored: bool) -> None:  # noqa: FBT001
    when = f"{bound} {sign} probability" if mirrored else f"Probability {sign} {bound}"
    probabilities = "range(1001) as r(n), lateral (select n / 1000.0 as probability)"
    answers = {answer for (answer,) in duckdb.sql(f"select {when} from {probabilities}").fetchall()}  # noqa: S608
    issues = judge((impossible_conditions,), shop({"reactions/call/when": when}))
    assert bool(issues) == (len(answers) == 1)
    for issue in issues:
        (holds,) = answers
        assert issue.severity == ("warning" if holds else "error")
        assert f"this {'always' if holds else 'never'} holds" in issue.message


def test_where_another_condition_suffices_what_never_holds_is_a_warning() -> None:
    when = "(probability > 60 and probability < 2) or customer = 'me'"
    tells(
        impossible_conditions,
        shop({"reactions/call/when": when}),
        "warning impossible-condition at reactions.call/when: probability > 60 | never holds | `probability > 0.6`",
        "warning impossible-condition at reactions.call/when: probability < 2 | always holds",
    )


@pytest.mark.parametrize(
    "when", ["customer = 'a' and (probability > 60)", "((customer = 'a' and probability > 60) and id > 3)"]
)
def test_what_must_hold_with_others_and_never_does_is_an_error(when: str) -> None:
    tells(
        impossible_conditions,
        shop({"reactions/call/when": when}),
        "error impossible-condition at reactions.call/when: probability > 60",
    )


def test_what_is_negated_is_not_needed() -> None:
    tells(
        impossible_conditions,
        shop({"reactions/call/when": "not (probability > 60)"}),
        "warning impossible-condition at reactions.call/when: probability > 60",
    )


@pytest.mark.parametrize("when", ["id > 60", "probability > id", "probability > '60'", "probability * 100 > 60",
                                  "probability >", "probability <> 2"])  # fmt: skip
def test_other_conditions_are_not_judged(when: str) -> None:
    silent(impossible_conditions, shop({"reactions/call/when": when}))


@pytest.mark.parametrize("changes", [{"reactions/call/prediction": "delays"}, {"models/lateness": GONE}])
def test_only_the_scores_of_binary_models_are_probabilities(changes: dict[str, object]) -> None:
    silent(impossible_conditions, shop({"reactions/call/when": "probability > 60", **changes}))


@pytest.mark.parametrize(
    ("path", "items", "owner"),
    [
        ("sources/orders/owners", ["team:a", "team:b", "team:a"], "raw.orders"),
        ("sources/orders/null_values", ["", "NA", ""], "raw.orders"),
        ("sources/orders/outcomes/columns", ["late", "days", "late"], "raw.orders"),
        ("tables/big/after", ["raw.visits", "raw.customers", "raw.visits"], "tables.big"),
        ("models/delay/features", ["price", "hour", "price"], "models.delay"),
        ("models/delay/exclude", ["price", "hour", "price"], "models.delay"),
        ("models/lateness/retrain/drift/monitors", ["shift", "b", "shift"], "models.lateness"),
        ("models/lateness/retrain/performance/monitors", ["quality", "b", "quality"], "models.lateness"),
        ("outputs/shown/tables", ["tables.big", "raw.orders", "tables.big"], "outputs.shown"),
        ("monitors/shift/exclude", ["price", "hour", "price"], "monitoring.shift"),
        ("reactions/call/materialize", ["outputs.page", "raw.orders", "outputs.page"], "reactions.call"),
    ],
)
def test_what_a_list_names_twice(path: str, items: list[str], owner: str) -> None:
    *_, below = path.split("/", 2)
    wanted = f"warning repeated at {owner}/{below}/2: {items[0]} | '{items[0]}' is named twice | take it out"
    tells(repeated_items, shop({path: items}), wanted)
    silent(repeated_items, shop({path: items[:2]}))


def test_each_repetition_is_told() -> None:
    tells(
        repeated_items,
        shop({"monitors/shift/exclude": ["a", "a", "A", "a"]}),
        "warning repeated at monitoring.shift/exclude/1: a",
        "warning repeated at monitoring.shift/exclude/3: a",
    )


def test_a_feature_that_is_excluded_and_not_taken_anyway() -> None:
    tells(
        repeated_items,
        shop({"models/lateness/exclude": ["visits", "bought"]}),
        "warning repeated at models.lateness/exclude/1: bought | not among 'features' anyway",
    )


@pytest.mark.parametrize(
    "changes",
    [{"models/lateness/exclude": ["zzz"]}, {"models/lateness/features": []}, {"feature_sets/facts": GONE}],
)
def test_exclusions_that_may_be_needed(changes: dict[str, Any]) -> None:
    silent(repeated_items, shop({"models/lateness/exclude": ["bought"], **changes}))
