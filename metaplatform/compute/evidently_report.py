"""Evidently at work: verdicts by column and its report as HTML text; nothing is written, nothing is sent."""

import html
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from metaplatform.compute.drift_frames import Comparison

_CELL = "text-align: left; padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid #ddd"
FAULTS_OF_DATA = (ArithmeticError, LookupError, TypeError, ValueError)
"""What Evidently, and the libraries below it, raise on values that they cannot bin, draw or compare."""


@dataclass(frozen=True)
class Verdict:
    """What Evidently said of one column."""

    score: float
    drifted: bool


def judge_comparison(comparison: Comparison) -> Verdict:
    """Return the verdict of Evidently's own test of a column, never our reading of score and threshold.

    Nothing is drawn: Evidently's report would draw each column as it judges it.

    Raises:
        ArithmeticError, LookupError, TypeError, ValueError: if Evidently cannot compare these values.
    """
    with _quiet():
        from evidently.legacy.calculations.stattests import get_stattest
        from evidently.legacy.core import ColumnType
        from pandas import Series

        kind = ColumnType.Numerical if comparison.method == "wasserstein" else ColumnType.Categorical
        reference, current = Series(comparison.reference), Series(comparison.current)
        test = get_stattest(reference, current, kind, comparison.method)
        found = test(reference, current, kind, comparison.threshold)
    # Rounding below zero makes the distance of equal shares NaN in scipy.
    return Verdict(score=float(np.nan_to_num(found.drift_score)), drifted=bool(found.drifted))


def comparison_page(comparisons: Sequence[Comparison], *, facts: Mapping[str, str]) -> str:
    """Return Evidently's report of the comparisons, in their order."""
    labels = plain_labels([comparison.label for comparison in comparisons])
    with quiet_evidently():
        return _page(_run(comparisons, labels, facts), labels)


def _page(snapshot: Any, labels: Sequence[str]) -> str:
    """Return the report of the columns ``labels``, in this order, as distributions over values.

    Evidently also draws each number over its place in the frame, which holds quantiles in order, and counts the
    frame's rows: neither says anything of the data.
    """
    from evidently.core.metric_types import render_widgets
    from evidently.legacy.renderers.html_widgets import group_widget

    metrics = {metric["config"]["column"]: metric["id"] for metric in snapshot.dict()["metrics"]}
    widgets = [widget for label in labels for widget in snapshot.metric_results[metrics[label]].widget]
    for widget in widgets:
        widget.tabs = [tab for tab in widget.tabs if tab.title != "DATA DRIFT"]
        for tab in widget.tabs:
            _show_shares(tab.widget.params)
    return str(render_widgets([group_widget(title="", widgets=widgets)], as_iframe=False))


def _show_shares(figure: dict[str, Any]) -> None:
    """Leave of a figure that can be switched between rows and percent the percent alone."""
    [menu] = figure["layout"].pop("updatemenus")
    traces, axes = next(button["args"] for button in menu["buttons"] if button["label"] == "perc")
    figure["data"] = [
        {**trace, "visible": True} for trace, shown in zip(figure["data"], traces["visible"], strict=True) if shown
    ]
    figure["layout"]["yaxis"]["title"] = axes["yaxis"]["title"]


def _run(comparisons: Sequence[Comparison], labels: Sequence[str], facts: Mapping[str, str]) -> Any:
    from evidently import Dataset, Report
    from evidently.metrics import ValueDrift
    from pandas import DataFrame

    pairs = list(zip(comparisons, labels, strict=True))
    definition = data_definition(
        numbers=[label for comparison, label in pairs if comparison.method == "wasserstein"],
        categories=[label for comparison, label in pairs if comparison.method == "jensenshannon"],
    )
    reference = DataFrame({label: _plain_values(comparison.reference) for comparison, label in pairs})
    current = DataFrame({label: _plain_values(comparison.current) for comparison, label in pairs})
    report = Report(
        [ValueDrift(column=label, method=c.method, threshold=c.threshold) for c, label in pairs],
        include_tests=True,
        metadata=dict(facts),
    )
    return report.run(
        current_data=Dataset.from_pandas(current, definition), reference_data=Dataset.from_pandas(reference, definition)
    )


def data_definition(*, numbers: Sequence[str], categories: Sequence[str], **tasks: Any) -> Any:
    """Return a definition that names every list, so that Evidently infers (and skips) nothing."""
    from evidently import DataDefinition

    return DataDefinition(
        numerical_columns=list(numbers),
        categorical_columns=list(categories),
        text_columns=[],
        datetime_columns=[],
        unknown_columns=[],
        list_columns=[],
        **tasks,
    )


def plain_text(text: str) -> str:
    """Return text that cannot leave the script block into which Evidently writes it unescaped."""
    return text.replace("<", "\u2039").replace(">", "\u203a")


def plain_labels(texts: Sequence[str]) -> list[str]:
    """Return the texts made plain, and numbered where that made two of them equal."""
    labels: list[str] = []
    for text in texts:
        label = plain_text(text)
        while label in labels:
            label += "'"
        labels.append(label)
    return labels


def _plain_values(values: Any) -> Any:
    if values.dtype != object:
        return values
    names, positions = np.unique(values, return_inverse=True)
    return np.array(plain_labels(list(names)), dtype=object)[positions]


def with_heading(page: str, facts: Mapping[str, str], *, verdict: str = "", table: Sequence[Sequence[str]] = ()) -> str:
    """Return a report of Evidently with ``verdict``, ``facts`` and a ``table``, its head first, above it, escaped."""
    items = " · ".join(f"{html.escape(name)}: <b>{html.escape(value)}</b>" for name, value in facts.items())
    lines = [
        "<tr>" + "".join(f'<{tag} style="{_CELL}">{html.escape(cell)}</{tag}>' for cell in row) + "</tr>"
        for tag, row in zip(["th", *["td"] * len(table)], table, strict=False)
    ]
    parts = [
        f'<h1 style="font-size: 1.6rem; margin: 1rem 0 0">{html.escape(verdict)}</h1>' if verdict else "",
        f"<p>{items}</p>",
        f'<table style="border-collapse: collapse">{"".join(lines)}</table>' if table else "",
    ]
    heading = f'<div style="font-family: sans-serif; padding: 0 1.5rem">{"".join(parts)}</div>'
    return page.replace("<body>", f"<body>\n{heading}", 1)


@contextmanager
def quiet_evidently() -> Iterator[None]:
    """Keep Evidently quiet while it draws.

    Its figures are drawn without Plotly's template, which would be copied into each of them: a fifth of the time.
    """
    from plotly.io import templates

    template = templates.default
    templates.default = "none"
    try:
        with _quiet():
            yield
    finally:
        templates.default = template


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Evidently's telemetry off and its numeric warnings (constants, empty bins) out of the log."""
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
