"""Evidently's picture of realized performance, for people; the limits of the book judge, elsewhere."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaplatform.compute.evidently_report import FAULTS_OF_DATA, data_definition, quiet_evidently, with_heading
from metaplatform.specs.fields.metrics import Task

SAMPLE_ROWS = 10_000
"""Rows drawn in a report; metrics are judged on all rows."""


def performance_report(labels: NDArray[Any], scores: NDArray[Any], task: Task, *, metadata: Mapping[str, str]) -> str:
    """Return Evidently's report on matured rows as HTML, headed by ``metadata``; it judges nothing.

    ``labels`` are 0 or 1 for ``binary``, ``scores`` probabilities or predictions; pairs without both are left
    out, and over ``SAMPLE_ROWS`` a sample is drawn. Without a usable pair, with one class only, or with
    values that Evidently cannot draw (labels that are all zero) there is no picture: ``""``.
    """
    truth, guess = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    usable = np.flatnonzero(np.isfinite(truth) & np.isfinite(guess))
    if not len(usable) or (task == "binary" and len(np.unique(truth[usable])) == 1):
        return ""
    facts = {"matured rows": f"{len(usable):,}", **metadata}
    if len(usable) > SAMPLE_ROWS:
        usable = np.sort(np.random.default_rng(0).choice(usable, SAMPLE_ROWS, replace=False))
        facts["rows drawn"] = f"{SAMPLE_ROWS:,}"
    with quiet_evidently():
        try:
            page = _page(truth[usable], guess[usable], task)
        except FAULTS_OF_DATA:
            return ""
    return with_heading(page, facts)


def _page(labels: NDArray[np.float64], scores: NDArray[np.float64], task: Task) -> str:
    from evidently import BinaryClassification, Dataset, Regression, Report
    from evidently.presets import ClassificationQuality, RegressionQuality
    from pandas import DataFrame

    frame = DataFrame({"label": labels, "score": scores})
    content: Any
    kind: Any
    # Without tests: Evidently's own fail a model that improved.
    if task == "binary":
        frame["label"] = np.where(labels == 1, "true", "false")
        kind = BinaryClassification(target="label", prediction_probas="score", pos_label="true")
        definition = data_definition(numbers=["score"], categories=["label"], classification=[kind])
        content = ClassificationQuality(conf_matrix=True, pr_curve=True, pr_table=True, include_tests=False)
    else:
        kind = Regression(target="label", prediction="score")
        definition = data_definition(numbers=["label", "score"], categories=[], regression=[kind])
        content = RegressionQuality(pred_actual_plot=True, error_plot=True, error_distr=True, include_tests=False)
    snapshot = Report([content], include_tests=False).run(current_data=Dataset.from_pandas(frame, definition))
    return str(snapshot.get_html_str(as_iframe=False))
