"""The retrain policy and the trainer count the same rows: whatever the labels, the delay, the cut and the holdout."""

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.compute.label_counts import prospect
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.work.label_counting import count_by_step, keep_label_counts, kept_counts, mature_until, recount
from metaplatform.work.labelled_rows import labelled_frame, labels_of
from metaplatform.work.training_rows import training_rows
from metaplatform_tests.work.orders import DAYS, ROWS, START, book_of, rows, store
from metaplatform_tests.work.steps import step_at


@pytest.fixture(scope="module", params=["month", "day", ""])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, str, Path]:
    """Return a warehouse with spine and features of one kind of partitions."""
    folder = tmp_path_factory.mktemp("root")
    warehouse, every = Warehouse(root=str(folder / "storage")), request.param
    store(warehouse, book_of(folder, every=every, delay="1 day", window="20 days", holdout="5 days"), rows())
    return warehouse, every, folder


def keep_all(manifest: Manifest, warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        recount(session, manifest, manifest.models["returns"], warehouse, list(warehouse.partitions("features.facts")))


@settings(max_examples=8)
@given(
    delay=st.sampled_from(["0 seconds", "90 minutes", "1 day", "1 month"]),
    spans=st.sampled_from([("20 days", "5 days"), ("1 month", "90 minutes"), ("2 days", "7 hours")]),
    minutes=st.integers(3 * 1440, (DAYS + 40) * 1440),
)
def test_what_the_policy_counts_without_reading_is_what_the_trainer_gets_to_the_row(
    stored: tuple[Warehouse, str, Path], delay: str, spans: tuple[str, str], minutes: int
) -> None:
    warehouse, every, folder = stored
    manifest = book_of(folder, every=every, delay=delay, window=spans[0], holdout=spans[1])
    model, now = manifest.models["returns"], START + dt.timedelta(minutes=minutes, seconds=17)
    keep_all(manifest, warehouse)
    mature = mature_until(manifest, model, warehouse, now)
    found = prospect(model, kept_counts(manifest, model, warehouse, mature), mature)
    with warehouse.session() as session:
        labels = labels_of(session, manifest, model, now, None)
        known = session.stream(labelled_frame(session, manifest, model, labels, None)).read_all().num_rows
        if found is None:
            assert known == 0
            return
        trained = training_rows(session, step_at(manifest, "models.returns", warehouse, now), model, found.bounds)
        split = trained.split
        frames = {
            "training": split.training(trained.frame).union(split.validation(trained.frame)),
            "holdout": split.holdout(trained.frame),
        }
        counted = {
            name: session.stream(frame.agg(rows=frame.count(), least=frame.label.min(), greatest=frame.label.max()))
            .read_all()
            .to_pylist()[0]
            for name, frame in frames.items()
        }
    for name, tally in (("training", found.training), ("holdout", found.holdout)):
        assert tally.rows == counted[name]["rows"]
        if tally.rows:
            assert (tally.least, tally.greatest) == (counted[name]["least"], counted[name]["greatest"])
    assert found.holdout.rows, "the holdout ends where the labels end"


def test_what_no_run_has_counted_yet_is_taken_as_evenly_spread_and_never_as_nothing(
    stored: tuple[Warehouse, str, Path],
) -> None:
    warehouse, every, folder = stored
    manifest = book_of(folder, every=every, delay="1 hour", window="20 days", holdout="5 days")
    renamed = manifest.models["returns"].model_copy(update={"name": "never_counted"})
    mature = START + dt.timedelta(days=DAYS)
    counts = kept_counts(manifest, renamed, warehouse, mature)
    found = prospect(renamed, counts, mature)
    assert counts.rows(START - dt.timedelta(days=90), START + dt.timedelta(days=120)) == ROWS
    assert found is not None
    assert not found.training.constant


def test_a_target_that_fails_on_a_row_leaves_the_features_in_peace(stored: tuple[Warehouse, str, Path]) -> None:
    warehouse, every, folder = stored
    manifest = book_of(folder, every=every, delay="1 hour", window="20 days", holdout="5 days")
    model = manifest.models["returns"]
    broken = model.model_copy(
        update={"name": "broken", "target": model.target.model_copy(update={"sql": "error('no such label')"})}
    )
    manifest.models["broken"] = broken
    lines: list[str] = []
    key = next(iter(warehouse.partitions("features.facts")))
    step = step_at(manifest, "features.facts", warehouse, START, key or None, log=lines.append)
    with warehouse.session() as session:
        keep_label_counts(session, step, "facts")
    assert len(lines) == 1
    assert lines[0].startswith("the labels of models.broken are not counted")


def test_labels_are_counted_by_the_partition_of_their_features(stored: tuple[Warehouse, str, Path]) -> None:
    warehouse, every, folder = stored
    manifest = book_of(folder, every=every, delay="1 hour", window="20 days", holdout="5 days")
    usable = [row for row in rows().to_pylist() if row["returned"] is not None and not row["test"]]
    with warehouse.session() as session:
        counted = count_by_step(
            session, manifest, manifest.models["returns"], list(warehouse.partitions("features.facts"))
        )
    line = manifest.partitions("features.facts")
    for key, steps in counted.items():
        inside = [row for row in usable if line is None or line.key_of(row["at"]) == key]
        assert sum(found for found, _, _ in steps.values()) == len(inside)
