"""`validate --with-data` warns of what a book asks for and its data never have."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaplatform.compute.ingestion import misfits
from metaplatform.errors import Issue
from metaplatform.resources.sources.source_looks import look_at_sources
from metaplatform.specs.loading import read_book

DAYS, A_DAY = 200, 300
BOOK = """\
spec_version: 2
sources:
  orders:
    kind: {kind}
    path: data/*.{kind}
    columns: {{order_id: bigint, amount: double, ordered_at: timestamp, returned: boolean}}
    key: [order_id]
    event_timestamp: ordered_at
    partitions: {{every: day, start: 2024-01-01, timezone: Asia/Kathmandu}}
    outcomes: {{columns: [returned], delay: 1 day}}
feature_sets:
  facts: {{spine: raw.orders, features: [{{kind: expression, columns: {{price: amount}}}}]}}
models:
  returns:
    kind: xgboost
    task: binary
    feature_set: facts
    target: {{sql: returned}}
    training: {{window: {window}, holdout: {holdout}, min_rows: {least}}}
    promotion: {{metric: roc_auc, min_rows: {compared}}}
predictions:
  scores: {{model: returns}}
monitors:
  shift: {{kind: drift, prediction: scores, min_rows: {judged}}}
  quality: {{kind: performance, prediction: scores, metrics: {{roc_auc: {{min: 0.6}}}}, min_rows: {judged}}}
"""
ENOUGH = {"window": "60 days", "holdout": "2 days", "least": 1_000, "compared": 500, "judged": 250}


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    """Return 60,000 rows: more than the first rows that are looked at."""
    random = np.random.default_rng(1)
    seconds = np.sort(random.integers(0, DAYS * 86_400, DAYS * A_DAY))
    return pd.DataFrame(
        {
            "order_id": np.arange(len(seconds)),
            "amount": random.random(len(seconds)),
            "ordered_at": pd.Timestamp("2024-01-02") + pd.to_timedelta(seconds, unit="s"),
            "returned": random.random(len(seconds)) > 0.5,
        }
    )


@pytest.fixture(scope="module", params=["csv", "parquet", "json"])
def project(request: pytest.FixtureRequest, orders: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "data").mkdir()
    (folder / "metadata").mkdir()
    # A day's rows in several files, of more files than are looked into.
    for number, rows in enumerate(np.array_split(np.arange(len(orders)), 3 * DAYS)):
        path, part = folder / "data" / f"{number}.{request.param}", orders.iloc[rows]
        match request.param:
            case "csv":
                part.to_csv(path, index=False)
            case "json":
                part.to_json(path, orient="records", lines=True, date_format="iso", date_unit="s")
            case _:
                pq.write_table(pa.Table.from_pandas(part, preserve_index=False), path)
    return folder


def warnings(project: Path, **asked: object) -> list[Issue]:
    book = BOOK.format(kind=project.name.rstrip("0"), **{**ENOUGH, **asked})
    (project / "metadata" / "book.yaml").write_text(book, encoding="utf-8")
    issues = read_book(project / "metadata", look=lambda manifest: look_at_sources(manifest, judge=misfits))[1]
    assert {issue.severity for issue in issues} <= {"warning"}, issues
    return [issue for issue in issues if issue.rule.startswith("never-")]


def test_a_book_whose_data_have_the_rows_it_asks_for_has_no_warning(project: Path) -> None:
    assert warnings(project) == []


def test_what_can_never_be_judged_trained_or_promoted_is_told_with_its_place_and_the_most_there_is(
    project: Path, orders: pd.DataFrame
) -> None:
    local = orders["ordered_at"].dt.tz_localize("UTC").dt.tz_convert("Asia/Kathmandu").dt.date
    most = int(local.value_counts().max())
    found = warnings(project, judged=most + 1, least=50_000, compared=1_000)
    assert sorted((issue.rule, issue.owner) for issue in found) == [
        ("never-judged", "monitoring.quality"),
        ("never-judged", "monitoring.shift"),
        ("never-promoted", "models.returns"),
        ("never-trained", "models.returns"),
    ]
    assert all(f"{most:,} rows" in issue.message for issue in found if issue.rule == "never-judged")
    assert all(issue.location is not None and issue.location.line > 17 for issue in found)
    assert [issue.rule for issue in warnings(project, judged=most)] == []


def test_data_shorter_than_what_is_asked_for_say_nothing(project: Path) -> None:
    assert warnings(project, window="2 years", least=10_000_000) == []
