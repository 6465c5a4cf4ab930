"""Labels, their ripeness, and the frame that training reads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from metaplatform.compute.features import labels, mature, training_frame
from metaplatform.errors import DataError
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import Window

INSTANT = pa.timestamp("us", "UTC")
COLUMNS = {"Order ID": pa.int64(), "at": INSTANT, "late": pa.int64(), "gone": pa.bool_()}
NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
FEATURES = {"kind": "expression", "columns": {"hour": "hour(at)"}}


def hours(count: float) -> datetime:
    return NOON + timedelta(hours=count)


def labelled(book: Any, rows: list[tuple[Any, ...]], **target: str) -> Any:
    book.add("s", COLUMNS, rows, key=["Order ID"], at="at")
    features = FeatureSetSpec.model_validate({"name": "facts", "spine": "raw.s", "features": [FEATURES]})
    fields = {"name": "m", "kind": "xgboost", "task": "regression", "feature_set": "facts", "target": target}
    training = {"training": {"window": "1 month", "holdout": "1 day"}, "promotion": {"metric": "rmse"}}
    manifest = Manifest(root=".", sources=book.sources, feature_sets={"facts": features})
    return labels(ModelSpec.model_validate(fields | training), book.tables["raw.s"], manifest=manifest)


def test_a_label_is_a_number_and_null_while_unknown(book: Any):
    rows = [(1, hours(0), 40, False), (2, hours(1), 5, False), (3, hours(2), None, False)]
    table = labelled(book, rows, sql="late > 30")
    assert table.columns == ("Order ID", "at", "label", "excluded")
    assert sorted(table.to_pyarrow()["label"].to_pylist(), key=str) == [0.0, 1.0, None]
    values = labelled(book, [(1, hours(0), 0, False), (2, hours(0), 2, False)], sql="1 / late").to_pyarrow()
    assert sorted(values["label"].to_pylist(), key=str) == [0.5, None]


def test_rows_are_excluded_where_the_condition_is_true_not_where_it_is_null(book: Any):
    rows = [(1, hours(0), 1, True), (2, hours(0), 1, False), (3, hours(0), 1, None)]
    table = labelled(book, rows, sql="late", exclude="gone").order_by("Order ID")
    assert table.to_pyarrow()["excluded"].to_pylist() == [True, False, False]


@pytest.mark.parametrize(
    ("delay", "now", "count"),
    [
        (Duration(seconds=3600), hours(1), 1),
        (Duration(seconds=3600), hours(0.999), 0),
        (Duration(seconds=3600), hours(2), 2),
        (Duration(months=1), datetime(2024, 2, 29, 12, tzinfo=UTC), 1),
        (Duration(months=1), datetime(2024, 2, 29, 11, 59, tzinfo=UTC), 0),
    ],
)
def test_a_label_ripens_when_the_delay_has_passed(
    book: Any, connection: Any, delay: Duration, now: datetime, count: int
):
    connection.raw_sql("SET TimeZone = 'UTC'")
    table = labelled(book, [(1, hours(0), 1, False), (2, hours(1), 1, False)], sql="late")
    assert mature(table, event_timestamp="at", delay=delay, now=now).count().execute() == count


def test_without_an_event_timestamp_every_row_is_ripe(book: Any):
    table = labelled(book, [(1, hours(0), 1, False)], sql="late")
    assert mature(table, event_timestamp=None, delay=Duration(), now=hours(-9)).count().execute() == 1


def test_the_training_frame_is_in_order_of_time_then_key_and_has_labelled_rows_of_the_window_only(book: Any):
    rows = [
        (5, hours(1), 50, False),
        (4, hours(1), 40, False),
        (9, hours(0), 90, False),
        (1, hours(2), 10, True),
        (2, hours(2), None, False),
        (3, hours(3), 30, False),
        (6, hours(-1), 60, False),
    ]
    taught = labelled(book, rows, sql="late", exclude="gone")
    features = book.features("s", FEATURES)
    window = Window(hours(0), hours(3))
    frame = training_frame(features, taught, key=["Order ID"], event_timestamp="at", window=window)
    assert frame.columns == ("Order ID", "at", "hour", "label")
    assert [(row["Order ID"], row["label"]) for row in frame.to_pyarrow().to_pylist()] == [(9, 90), (4, 40), (5, 50)]


def test_a_feature_named_like_the_label_is_refused(book: Any):
    taught = labelled(book, [(1, hours(0), 1, False)], sql="late")
    features = book.features("s", {"kind": "expression", "columns": {"Label": "late"}})
    with pytest.raises(DataError, match="feature 'Label'"):
        training_frame(features, taught, key=["Order ID"], event_timestamp="at", window=None)
