"""Models and their watchers: metrics, votes and schedules that can work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.rules.retraining import (
    impossible_schedules,
    impossible_versions,
    wrong_metrics,
    wrong_monitors,
)
from metaplatform_tests.specs.rules.alone import GONE, shop, silent, tells

RETRAIN = "models/lateness/retrain"


def test_votes_over_monitors_of_another_kind() -> None:
    tells(
        wrong_monitors,
        shop({f"{RETRAIN}/drift/monitors": ["quality", "shift"], f"{RETRAIN}/performance/monitors": ["shift"]}),
        "error wrong-monitor at models.lateness/retrain/drift/monitors/0: quality | is a performance monitor"
        " | name a drift monitor over a prediction of 'lateness'",
        "error wrong-monitor at models.lateness/retrain/performance/monitors/0: shift | is a drift monitor",
    )


def test_votes_over_monitors_of_another_model() -> None:
    tells(
        wrong_monitors,
        shop({"monitors/shift/prediction": "delays"}),
        "error wrong-monitor at models.lateness/retrain/drift/monitors/0: shift | watches model 'delay'",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"monitors/shift": GONE},
        {"monitors/shift/prediction": "zzz"},
        {"monitors/shift/prediction": "delays", "models/delay": GONE},
        {"monitors/shift/prediction": "delays", f"{RETRAIN}/drift": GONE},
        {RETRAIN: GONE},
    ],
)
def test_of_what_is_not_there_no_vote_is_wrong(changes: dict[str, object]) -> None:
    silent(wrong_monitors, shop(changes))


BINARY, REGRESSION = ("roc_auc", "log_loss", "brier"), ("rmse", "mae", "r2")


@pytest.mark.parametrize(("model", "metrics"), [("lateness", REGRESSION), ("delay", BINARY)])
def test_metrics_that_the_task_of_the_model_does_not_have(model: str, metrics: tuple[str, ...]) -> None:
    for metric in metrics:
        tells(
            wrong_metrics,
            shop({f"models/{model}/promotion/metric": metric}),
            f"error wrong-metric at models.{model}/promotion/metric: {metric} | is not a metric of a | use one of: r",
        )


@pytest.mark.parametrize(("model", "metrics"), [("lateness", BINARY), ("delay", REGRESSION)])
def test_metrics_that_it_has(model: str, metrics: tuple[str, ...]) -> None:
    watched = "lateness_scores" if model == "lateness" else "delays"
    limits = {"monitors/quality": {"kind": "performance", "prediction": watched,
                                   "metrics": {metric: {"min": 0.1} for metric in metrics}}}  # fmt: skip
    for metric in metrics:
        silent(wrong_metrics, shop({f"models/{model}/promotion/metric": metric, **limits}))


def test_each_metric_that_the_task_of_the_model_watched_does_not_have() -> None:
    metrics = {"rmse": {"max": 1.0}, "brier": {"max": 0.2}, "r2": {"min": 0.1}}
    tells(
        wrong_metrics,
        shop({"monitors/quality/metrics": metrics}),
        "error wrong-metric at monitoring.quality/metrics/rmse (key): rmse | 'rmse' is not a metric of a binary model",
        "error wrong-metric at monitoring.quality/metrics/r2 (key): r2 | use one of: roc_auc, log_loss, brier",
    )
    silent(wrong_metrics, shop({"monitors/quality/metrics": metrics, "models/lateness": GONE}))
    silent(wrong_metrics, shop({"monitors/quality/metrics": metrics, "predictions/lateness_scores": GONE}))


@pytest.mark.parametrize(
    "cron",
    ["0 6 * *", "0 6 * * 1 1", "", "60 6 * * 1", "0 24 * * *", "0 0 31 2 *", "0 0 0 1 *", "a b c d e", "@daily",
     "R 6 * * *", "0 H * * *", "h 6 * * *", "0 r * * *", "0 6 * 13 *", "*/0 * * * *"],
)  # fmt: skip
def test_schedules_that_never_come(cron: str) -> None:
    tells(
        impossible_schedules,
        shop({f"{RETRAIN}/schedule": cron}),
        f"error invalid-cron at models.lateness/retrain/schedule: {cron} | cron | five",
    )


@pytest.mark.parametrize("cron", ["*/5 * * * *", "0 0 29 2 *", " 0  6 * * mon ", "59 23 31 12 7", "0 0 1,15 jan-mar *"])
def test_schedules_that_come(cron: str) -> None:
    silent(impossible_schedules, shop({f"{RETRAIN}/schedule": cron}))


@given(st.integers(0, 59), st.integers(0, 23), st.integers(1, 28), st.integers(1, 12), st.integers(0, 7))
def test_any_minute_of_any_day_comes(minute: int, hour: int, day: int, month: int, weekday: int) -> None:
    silent(impossible_schedules, shop({f"{RETRAIN}/schedule": f"{minute} {hour} {day} {month} {weekday}"}))


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "CET+1", "../etc", "/etc/localtime", "Europe", "x" * 300])
def test_time_zones_that_nobody_knows(zone: str) -> None:
    tells(
        impossible_schedules,
        shop({f"{RETRAIN}/timezone": zone}),
        f"error invalid-timezone at models.lateness/retrain/timezone: {zone} | not an IANA time zone",
    )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/Argentina/Buenos_Aires"])
def test_time_zones_of_the_world(zone: str) -> None:
    silent(impossible_schedules, shop({f"{RETRAIN}/timezone": zone, f"{RETRAIN}/schedule": GONE}))


def test_schedule_and_time_zone_are_told_apart() -> None:
    tells(
        impossible_schedules,
        shop({f"{RETRAIN}/schedule": "never", f"{RETRAIN}/timezone": "Mars"}),
        "error invalid-cron at models.lateness/retrain/schedule: never",
        "error invalid-timezone at models.lateness/retrain/timezone: Mars",
    )
    tells(
        impossible_schedules,
        shop({f"{RETRAIN}/schedule": 3, f"{RETRAIN}/timezone": "Mars"}),
        "error invalid-timezone at models.lateness/retrain/timezone: Mars",
    )


@pytest.mark.parametrize("version", [0, -1])
def test_versions_that_no_registry_gives(version: int) -> None:
    tells(
        impossible_versions,
        shop({"predictions/delays/version": version}),
        f"error invalid-value at predictions.delays/version: {version} | count from 1 | 'champion'",
    )


@pytest.mark.parametrize("version", [1, 2, "champion"])
def test_versions_that_there_can_be(version: object) -> None:
    silent(impossible_versions, shop({"predictions/delays/version": version}))
