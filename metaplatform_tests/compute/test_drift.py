"""Drift judged by Evidently itself, on digests made by a real DuckDB."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from evidently import Dataset, Report
from evidently.metrics import ValueDrift
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.compute import drift
from metaplatform.compute.digest import Digest, NumericDigest, digest
from metaplatform.compute.drift import ColumnDrift, DriftResult, detect_drift
from metaplatform.compute.drift_frames import FRAME_ROWS, OTHER, Comparison, compare, expand_shares
from metaplatform.compute.evidently_report import data_definition
from metaplatform.compute.findings import as_markdown
from metaplatform.compute.profile import profile
from metaplatform.specs.entities.monitoring import DriftMonitor

CONNECTION = ibis.duckdb.connect()
MONITOR = DriftMonitor(name="watch", kind="drift", prediction="late")
Numbers = np.ndarray[Any, np.dtype[Any]]


def zipf(generator: np.random.Generator, rows: int, levels: int) -> Numbers:
    weights = 1 / np.arange(1, levels + 1)
    return generator.choice(levels, size=rows, p=weights / weights.sum()).astype(str)


SHAPES: dict[str, Callable[[np.random.Generator, int], Numbers]] = {
    "normal": lambda generator, rows: generator.normal(size=rows),
    "uniform": lambda generator, rows: generator.random(rows),
    "heavy_tails": lambda generator, rows: generator.standard_t(2, rows),
    "without_mean": lambda generator, rows: generator.standard_cauchy(rows),
    "skewed": lambda generator, rows: generator.lognormal(0, 2, rows),
    "mostly_zero": lambda generator, rows: np.where(generator.random(rows) < 0.95, 0, generator.exponential(size=rows)),
    "rarely_not_zero": lambda generator, rows: np.where(
        generator.random(rows) < 0.998, 0, generator.lognormal(size=rows)
    ),
    "few_numbers": lambda generator, rows: generator.integers(0, 5, rows),
    "tiny_unit": lambda generator, rows: generator.normal(size=rows) * 1e-7,
    "zipf_20": lambda generator, rows: zipf(generator, rows, 20),
    "zipf_2000": lambda generator, rows: zipf(generator, rows, 2_000),
    "even_500": lambda generator, rows: generator.integers(0, 500, rows).astype(str),
    "flag": lambda generator, rows: generator.random(rows) < 0.3,
}
DRAWS = 2


def digest_of(**columns: Any) -> Digest:
    return digest(CONNECTION.create_table("data", pa.table(columns), overwrite=True))


def draw(generator: np.random.Generator, rows: int) -> dict[str, Numbers]:
    """Return every shape ``DRAWS`` times over, and a score."""
    columns = {f"{name}_{i}": make(generator, rows) for name, make in SHAPES.items() for i in range(DRAWS)}
    return columns | {"score": generator.beta(2, 8, rows)}


def detect(reference: Digest, current: Digest, monitor: DriftMonitor = MONITOR, **facts: str) -> DriftResult:
    return detect_drift(reference, current, monitor, score_column="score", metadata=facts)


@cache
def reference_of(rows: int) -> Digest:
    return digest_of(**draw(np.random.default_rng(rows), rows))


@pytest.mark.parametrize("rows", [300, 1_000, 5_000, 50_000])
def test_sample_size_alone_raises_no_alarm(rows: int) -> None:
    result = detect(reference_of(rows), digest_of(**draw(np.random.default_rng([rows, 1]), rows)))
    assert (result.data_drift, result.prediction_drift) == ("passed", "passed")
    assert len(result.drifted) <= 1, as_markdown(result.findings())
    unjudged = {column.column for column in result.columns if column.drifted is None}
    # With a row or two for each of 500 levels there is nothing to say.
    assert unjudged == ({"even_500_0", "even_500_1"} if rows <= 1_000 else set())


@pytest.mark.parametrize(("before", "after"), [(50_000, 300), (300, 50_000)])
def test_unequal_sample_sizes_alone_raise_no_alarm(before: int, after: int) -> None:
    result = detect(reference_of(before), digest_of(**draw(np.random.default_rng([before, after]), after)))
    assert (result.data_drift, result.prediction_drift) == ("passed", "passed")
    assert len(result.drifted) <= 1, as_markdown(result.findings())


def test_a_real_shift_is_seen_at_5000_rows_in_every_column_that_has_one() -> None:
    generator = np.random.default_rng(5)
    columns = draw(generator, 5_000)
    moved = dict(columns)
    for name in ("normal", "uniform", "few_numbers", "tiny_unit"):
        moved[f"{name}_0"] = columns[f"{name}_0"] + 0.5 * columns[f"{name}_0"].std()
    moved["heavy_tails_0"] = columns["heavy_tails_0"] + 1
    moved["mostly_zero_0"] = np.where(generator.random(5_000) < 0.8, 0, generator.exponential(size=5_000))
    moved["rarely_not_zero_0"] = np.where(generator.random(5_000) < 0.9, 0, 1.0)
    for name in ("zipf_2000", "even_500", "zipf_20"):
        moved[f"{name}_0"] = np.where(generator.random(5_000) < 0.1, "new", columns[f"{name}_0"])
    moved["score"] = columns["score"] + 0.5 * columns["score"].std()
    result = detect(reference_of(5_000), digest_of(**moved))
    shifted = {name for name in moved if name != "score" and moved[name] is not columns[name]}
    assert {column.column for column in result.drifted} == shifted
    assert result.drift_share == pytest.approx(len(shifted) / (len(SHAPES) * DRAWS))
    assert (result.data_drift, result.prediction_drift) == ("passed", "failed")
    strict = MONITOR.model_copy(update={"drift_share": 0.3, "name": "strict"})
    assert detect(reference_of(5_000), digest_of(**moved), strict).data_drift == "failed"


@pytest.mark.parametrize("after", [300, 5_000])
def test_a_verdict_is_that_of_the_report(after: int) -> None:
    generator = np.random.default_rng([7, after])
    moved = {
        name: values + 0.3 * values.std() if values.dtype.kind == "f" and name.endswith("0") else values
        for name, values in draw(generator, after).items()
    }
    result = detect(reference_of(5_000), digest_of(**moved))
    assert {column.drifted for column in result.columns} >= {True, False}
    found = {column.column: column for column in (*result.columns, result.score)}
    for comparison in result.comparisons:
        name, numeric = comparison.column, comparison.method == "wasserstein"
        names = {"numbers": [name] if numeric else [], "categories": [] if numeric else [name]}
        frames = [
            Dataset.from_pandas(pd.DataFrame({name: values}), data_definition(**names))
            for values in (comparison.current, comparison.reference)
        ]
        drift_of = ValueDrift(column=name, method=comparison.method, threshold=comparison.threshold)
        told = Report([drift_of], include_tests=True).run(*frames).dict()
        assert found[name].score == np.nan_to_num(told["metrics"][0]["value"])
        assert found[name].drifted is (told["tests"][0]["status"].value == "FAIL")


def plain(rows: int = 1_000, **columns: Any) -> Digest:
    generator = np.random.default_rng(1)
    return digest_of(**{"score": generator.random(rows), "x": generator.normal(size=rows), **columns})


def broken(x: Any) -> ColumnDrift:
    """Return the verdict on a normal column that became ``x``; the score beside it must still be judged."""
    rows = len(x)
    result = detect(plain(), digest_of(x=x, score=np.random.default_rng(2).random(rows)))
    (column,) = result.columns
    assert result.prediction_drift == ("skipped" if rows < MONITOR.min_rows else "passed")
    assert result.data_drift == column.status
    return column


def test_each_fault_of_the_data_gives_a_verdict_and_never_an_exception() -> None:
    values = np.random.default_rng(3).normal(size=1_000)
    half = broken(pa.array(values, mask=np.arange(1_000) % 2 == 0))
    assert (half.drifted, half.reason) == (False, "")
    assert broken(pa.array([None] * 1_000, pa.float64())).reason == "0 values in the current data, 300 needed"
    assert broken(pa.array([None] * 1_000, pa.string())).reason == "was float64, is string"
    assert broken(values.astype(str)).reason == "was float64, is string"
    assert broken(np.full(1_000, 7.0)).drifted is True
    assert broken(np.full(1_000, np.inf)).reason == "0 values in the current data, 300 needed"
    assert broken(values * 1e300).drifted is None
    assert broken(values * 1e30).drifted is True
    assert broken(values[:1]).reason == "1 values in the current data, 300 needed"
    assert broken(values[:0]).reason == "0 values in the current data, 300 needed"


def test_where_nothing_can_be_judged_there_is_no_page() -> None:
    result = detect(plain(), plain(rows=1))
    assert (result.data_drift, result.prediction_drift, result.drift_share, result.html) == (
        "skipped",
        "skipped",
        None,
        "",
    )
    assert [finding.status for finding in result.findings()] == ["skipped"] * 3
    assert "1 values in the current data" in result.findings()[0].detail


def test_a_model_without_features_still_has_its_score_judged() -> None:
    score = digest_of(score=np.random.default_rng(0).random(500))
    result = detect(score, score)
    assert (result.columns, result.data_drift, result.prediction_drift) == ((), "skipped", "passed")


def test_missing_and_excluded_columns_do_not_count() -> None:
    values = np.random.default_rng(3).normal(size=1_000)
    reference = plain(gone=values, left_out=values)
    monitor = MONITOR.model_copy(update={"exclude": ("left_out",)})
    result = detect(reference, plain(new=values, left_out=values + 9), monitor)
    assert [(column.column, column.reason) for column in result.columns] == [
        ("x", ""),
        ("gone", "missing in the current data"),
    ]
    assert result.drift_share == 0.0
    without_score = detect(reference.without({"score"}), plain())
    assert without_score.score.reason == "missing in the reference data"


def test_a_number_that_hardly_ever_changes_is_compared_as_a_category() -> None:
    constant = plain(x=np.full(1_000, 100.0))
    rare = np.where(np.arange(5_000) < 5, 1e6, 100.0)
    assert detect(constant, plain(rows=5_000, x=rare)).drifted == ()
    changed = detect(constant, plain(x=np.full(1_000, 101.0)))
    assert (changed.columns[0].method, changed.columns[0].drifted) == ("jensenshannon", True)


def test_the_scale_of_a_number_does_not_matter() -> None:
    values = np.random.default_rng(4).normal(size=(2, 5_000))
    scores = {
        scale: detect(plain(5_000, x=values[0] * scale), plain(5_000, x=(values[1] + 0.3) * scale)).columns[0].score
        for scale in (1e-30, 1e-6, 1.0, 1e6, 1e30)
    }
    assert list(scores.values()) == pytest.approx([scores[1.0]] * 5)


def test_findings_name_what_was_judged_and_the_worst_comes_first_in_markdown() -> None:
    values = np.random.default_rng(3).normal(size=1_000)
    reference = plain(a=values, b=values)
    result = detect(reference, plain(a=values + 1, b=values + 2))
    data, prediction, *columns = result.findings()
    assert (data.check, data.column, data.score, data.threshold) == ("data_drift", "", pytest.approx(2 / 3), 0.5)
    assert (data.status, data.detail) == ("failed", "2 of 3 features drifted: b, a")
    assert (prediction.check, prediction.column, prediction.status) == ("prediction_drift", "score", "passed")
    assert [finding.column for finding in columns] == ["x", "a", "b"]
    assert as_markdown(result.findings()).splitlines()[2].startswith("| data_drift | b |")


def test_the_page_is_headed_by_real_row_counts_and_closed_to_hostile_text() -> None:
    hostile = "</script><script>alert('x')</script>"
    levels = np.where(np.arange(1_000) % 2 == 0, hostile, "b")
    columns = {hostile: np.random.default_rng(3).normal(size=1_000), "c": levels, "same<": levels, "same\u2039": levels}
    result = detect(plain(**columns), plain(**columns), version=hostile)
    assert "reference rows: <b>1,000</b> · current rows: <b>1,000</b>" in result.html
    assert hostile not in result.html
    assert "alert(" in result.html
    assert {column.column for column in result.columns} == {"x", *columns}
    assert not result.drifted


def test_the_page_begins_with_the_verdict_and_shows_the_worst_column_first_over_its_values() -> None:
    values = np.random.default_rng(3).normal(size=1_000)
    columns = {
        "a": values,
        "b": values,
        "c": np.where(values > 0, "up", "down"),
        "few": np.where(values > 3, 1, np.nan),
    }
    result = detect(plain(**columns), plain(**{**columns, "a": values + 1, "b": values + 2}))
    heading = re.sub("<[^>]+>", " ", result.html[result.html.index("<body>") :])
    assert heading.split()[:9] == ["2", "of", "4", "features", "drifted;", "the", "scores", "did", "not"]
    told = [line.split("</td>")[0].split(">")[-1] for line in result.html.split("<tr>")[2:7]]
    assert told[:2] == ["b", "a"]
    places = [result.html.index(f"Drift in column '{name}'") for name in ("b", "a", "c")]
    assert places == sorted(places)
    assert "Index binned" not in result.html
    assert '"Count"' not in result.html


def test_a_level_named_like_the_pool_joins_it() -> None:
    levels = np.where(np.arange(1_000) % 2 == 0, OTHER, "b")
    assert not detect(plain(c=levels), plain(c=levels)).drifted


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 10**7), min_size=1, max_size=40))
def test_shares_survive_expansion_to_within_one_row(counts: dict[str, int]) -> None:
    counts = {"always": 1, **counts}
    frame = expand_shares(counts).tolist()
    assert len(frame) == FRAME_ROWS
    total = sum(counts.values())
    for level, rows in counts.items():
        assert abs(frame.count(level) - FRAME_ROWS * rows / total) <= 1


@pytest.mark.parametrize(
    ("shape", "off"), [("normal", 0.01), ("uniform", 0.01), ("few_numbers", 0.01), ("mostly_zero", 0.1)]
)
def test_frames_reproduce_mean_and_deviation(shape: str, off: float) -> None:
    """A long tail is cut on purpose, so that its deviation comes out smaller."""
    values = SHAPES[shape](np.random.default_rng(2), 20_000)
    (column,) = digest_of(x=values).columns
    found = compare(column, column, threshold=0.1)
    assert isinstance(found, Comparison)
    assert len(found.current) == FRAME_ROWS
    assert abs(found.current.mean() - values.mean()) < 0.01 * values.std()
    assert found.current.std() == pytest.approx(values.std(), rel=off)


def test_far_tails_are_cut_so_that_they_do_not_hide_the_bulk() -> None:
    (column,) = digest_of(x=SHAPES["without_mean"](np.random.default_rng(2), 20_000)).columns
    assert isinstance(column, NumericDigest)
    assert column.max is not None
    found = compare(column, column, threshold=0.1)
    assert isinstance(found, Comparison)
    assert found.current.max() < 300 < column.max


def test_thresholds_widen_with_fewer_rows_and_never_fall_under_the_monitors() -> None:
    def threshold(column: str, rows: int) -> float:
        found = reference_of(rows).column(f"{column}_0")
        assert found is not None
        compared = compare(found, found, threshold=0.1)
        assert isinstance(compared, Comparison)
        return compared.threshold

    assert threshold("normal", 300) == pytest.approx(3.3 * (2 / 300) ** 0.5)
    assert 0.1 < threshold("zipf_20", 300) < 0.2
    assert threshold("normal", 50_000) == threshold("zipf_20", 50_000) == 0.1


def test_levels_too_rare_for_any_verdict_are_left_unjudged() -> None:
    numbers = np.arange(20_000).astype(str)
    result = detect(plain(20_000, c=numbers), plain(20_000, c=numbers))
    assert result.columns[1].reason == "no level is frequent enough to be compared"


odd_numbers = st.one_of(
    st.none(), st.floats(), st.sampled_from([0.3, 0.30000000000000004, 1e15, 1e15 + 0.125, 1e300, -1e38, 5e-324, 0.0])
)
odd_texts = st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["", "x" * 1_000_000, "<script>", "NaN", "\x00"]))
column_pools = st.one_of(
    st.tuples(st.just(pa.float64()), st.lists(odd_numbers, min_size=1, max_size=4)),
    st.tuples(st.just(pa.string()), st.lists(odd_texts, min_size=1, max_size=4)),
    st.tuples(st.just(pa.bool_()), st.lists(st.none() | st.booleans(), min_size=1, max_size=3)),
)
"""A column is drawn from a few values: so constants, near constants and mixtures come up again and again."""


@settings(max_examples=15)
@given(
    pools=st.lists(st.tuples(column_pools, column_pools), min_size=6, max_size=10),
    rows=st.tuples(st.sampled_from([1, 40, 400]), st.sampled_from([1, 40, 400])),
    seed=st.integers(0, 2**16),
)
def test_whatever_the_values_there_is_a_verdict_or_a_reason_for_each_column(
    pools: list[tuple[Any, Any]], rows: tuple[int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)

    def side(index: int) -> Digest:
        columns = {"score": random.random(rows[index])}
        for number, pair in enumerate(pools):
            kind, pool = pair[0] if number % 2 else pair[index]
            picks = random.choice(len(pool), rows[index], p=random.dirichlet(np.ones(len(pool)) / 2))
            columns[f"c{number}"] = pa.array([pool[pick] for pick in picks], kind)
        found = digest_of(**columns)
        return Digest.from_json(found.to_json())

    reference, current = side(0), side(1)
    monitor = MONITOR.model_copy(update={"min_rows": 1})
    result = detect(reference, current, monitor)
    assert {column.column for column in result.columns} == {f"c{number}" for number in range(len(pools))}
    findings = (*result.findings(), *profile(reference, current, monitor.profile, min_rows=1))
    for finding in findings:
        assert finding.status in {"passed", "failed", "skipped"}
        assert finding.detail
        assert finding.score is None or np.isfinite(finding.score)
    assert all(column.reason for column in result.columns if column.drifted is None)


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.30000000000000004), (1e15, 1e15 + 0.125), (-7.0, -7.000000001)])
def test_numbers_that_differ_by_rounding_are_one_value(low: float, high: float) -> None:
    mixed, alone = np.where(np.arange(400) % 2 == 0, low, high), np.full(400, high)
    score = np.linspace(0, 1, 400)
    for before, after in ((mixed, mixed), (mixed, alone), (alone, mixed), (np.full(400, low), alone)):
        result = detect(digest_of(x=before, score=score), digest_of(x=after, score=score))
        assert (result.data_drift, result.columns[0].score) == ("passed", 0.0)
    moved = detect(digest_of(x=mixed, score=score), digest_of(x=mixed * 1.001, score=score))
    assert moved.data_drift == "failed"


def test_a_column_that_evidently_fails_on_is_named_and_spares_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = drift.judge_comparison

    def fails_on_x(comparison: Comparison) -> Any:
        if comparison.column == "x":
            raise ValueError("Too many bins for data range.")
        return judge(comparison)

    monkeypatch.setattr(drift, "judge_comparison", fails_on_x)
    random = np.random.default_rng(4)
    data = digest_of(x=random.random(400), y=random.random(400), score=random.random(400))
    result = detect(data, data)
    verdicts = {column.column: (column.status, column.reason) for column in result.columns}
    assert verdicts["y"] == ("passed", "")
    assert verdicts["x"] == ("skipped", "Evidently cannot compare these values: Too many bins for data range.")
    assert result.prediction_drift == "passed"
