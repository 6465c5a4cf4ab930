"""What the drift judge relies on, or guards against, in Evidently."""

import math
import socket
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

ROWS = 500


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def run(reference: dict[str, Any], current: dict[str, Any], *, threshold: float = 0.1) -> Any:
    """Return the snapshot of one drift metric a column: Wasserstein for numbers, Jensen-Shannon for texts."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    texts = [name for name in reference if name.startswith("text")]
    definition = DataDefinition(
        numerical_columns=[name for name in reference if name not in texts],
        categorical_columns=texts,
        text_columns=[],
        datetime_columns=[],
        unknown_columns=[],
        list_columns=[],
    )
    metrics = [
        ValueDrift(column=name, method="jensenshannon" if name in texts else "wasserstein", threshold=threshold)
        for name in reference
    ]
    frames = (Dataset.from_pandas(pd.DataFrame(columns), definition) for columns in (current, reference))
    return Report(metrics, include_tests=True).run(*frames)


def verdicts(snapshot: Any) -> dict[str, tuple[float, str]]:
    found = snapshot.dict()
    scores = {metric["config"]["column"]: metric["value"] for metric in found["metrics"]}
    return {
        test["metric_config"]["params"]["column"]: (
            float(scores[test["metric_config"]["params"]["column"]]),
            test["status"].value,
        )
        for test in found["tests"]
        if test["id"] == "drift"
    }


def test_scores_and_verdicts_are_found_by_column_and_are_those_of_scipy() -> None:
    generator = np.random.default_rng(0)
    before = {"same": generator.normal(size=ROWS), "moved": generator.normal(size=ROWS), "text": ["a", "b"] * 250}
    after = {"same": before["same"], "moved": before["moved"] + 1, "text": ["a", "a", "a", "b", "c"] * 100}
    found = verdicts(run(before, after))
    expected = wasserstein_distance(before["moved"], after["moved"]) / before["moved"].std()
    assert found["same"] == (0.0, "SUCCESS")
    assert found["moved"] == (pytest.approx(expected), "FAIL")
    assert found["text"] == (pytest.approx(jensenshannon([0.5, 0.5, 0], [0.6, 0.2, 0.2])), "FAIL")


def test_a_score_at_the_threshold_is_drift() -> None:
    before, after = {"x": np.tile([0.0, 2.0], 250)}, {"x": np.tile([0.5, 2.5], 250)}
    assert verdicts(run(before, after, threshold=0.5))["x"] == (0.5, "FAIL")


def test_nulls_are_dropped_so_that_half_a_column_may_vanish_unseen() -> None:
    values = np.random.default_rng(0).normal(size=ROWS)
    half = np.where(np.arange(ROWS) % 2 == 0, np.nan, values)
    assert verdicts(run({"x": values}, {"x": half}))["x"][1] == "SUCCESS"


def test_a_column_without_values_ends_the_whole_report() -> None:
    values = np.random.default_rng(0).normal(size=ROWS)
    with pytest.raises(ValueError, match="empty"):
        run({"x": values, "y": values}, {"x": values, "y": np.full(ROWS, np.nan)})


def test_the_deviation_has_a_floor_that_hides_drift_of_small_units() -> None:
    values = np.random.default_rng(0).normal(size=ROWS) * 1e-6
    assert verdicts(run({"x": values}, {"x": values + 1e-5}))["x"][1] == "SUCCESS"


def test_equal_shares_may_score_nan_but_never_fail() -> None:
    levels = [f"level {i}" for i in range(37) for _ in range(i + 1)]
    score, status = verdicts(run({"text": levels}, {"text": levels}))["text"]
    assert math.isnan(score) or score == pytest.approx(0, abs=1e-7)
    assert status == "SUCCESS"


def test_the_page_comes_as_text_in_one_piece_with_values_unescaped_in_its_script() -> None:
    """Why labels are made plain before Evidently sees them."""
    page = run({"text": ["</script>", "b"] * 250}, {"text": ["</script>", "b"] * 250}).get_html_str(as_iframe=False)
    assert page.count("<body>") == 1
    assert 'src="http' not in page
    scripts = page.count("<script")
    assert page.count("</script>") > scripts


def test_judging_and_drawing_look_up_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **_: object) -> NoReturn:
        pytest.fail(f"network: {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    values = np.random.default_rng(0).normal(size=ROWS)
    assert run({"x": values}, {"x": values}).get_html_str(as_iframe=False)


def test_classification_quality_can_be_drawn_without_tests() -> None:
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationQuality

    kind = BinaryClassification(target="label", prediction_probas="score", pos_label="true")
    definition = DataDefinition(
        numerical_columns=["score"],
        categorical_columns=["label"],
        text_columns=[],
        datetime_columns=[],
        unknown_columns=[],
        list_columns=[],
        classification=[kind],
    )
    frame = pd.DataFrame({"label": ["true", "false"] * 250, "score": np.linspace(0, 1, ROWS)})
    report = Report([ClassificationQuality(include_tests=False)], include_tests=False)
    assert report.run(Dataset.from_pandas(frame, definition)).dict()["tests"] == []
