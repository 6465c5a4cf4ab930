"""The benchmarks run and fill their table; how fast anything is, no test says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, object]]:
    """Measure definitions of a small book; return what was printed, and the file."""
    file = tmp_path_factory.mktemp("benchmark") / "rows.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "definitions", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


def test_the_table_has_a_line_for_each_measurement(benchmark: tuple[str, dict[str, list[dict[str, object]]]]):
    printed, found = benchmark
    assert [row["what"] for row in found["rows"]] == ["load 20 assets"]
    assert all(name in printed for name in ("what", "ours", "by hand", "ratio", "memory", "aim", "load 20 assets"))


def test_the_machine_is_named(benchmark: tuple[str, dict[str, dict[str, str]]]):
    printed, found = benchmark
    assert set(found["machine"]) == {"cores", "processor", "memory", "load average", "system", "versions"}
    assert found["machine"]["versions"] in printed


def test_each_line_holds_both_ratios(benchmark: tuple[str, dict[str, list[dict[str, float]]]]):
    """The two sides have defined the same assets: otherwise the benchmark had ended with an error."""
    assert [row["ratio"] > 0 < row["cpu_ratio"] for row in benchmark[1]["rows"]] == [True]


def test_a_large_book_is_planned_and_finds_what_was_edited(tmp_path: Path):
    file = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "plans", "--json", str(file)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    (row,) = json.loads(file.read_text())["rows"]
    assert row["what"] == "plan 20 entities, 4 to make"
    assert row["memory"].endswith(" MB")


def test_sensors_look_at_what_runs_have_left(tmp_path: Path):
    file = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "looks", "--json", str(file)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    rows = json.loads(file.read_text())["rows"]
    assert [row["what"] for row in rows] == [
        "slowest look, 2 hours",
        "slowest look, 4 hours",
        "record of one more hour, after 4",
        "slowest look, 3 sources and models",
    ]


def test_only_takes_the_names_there_are():
    command = [sys.executable, "-m", "benchmarks", "--only", "nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert (
        "definitions, books, plans, features, training, scoring, drift, road, looks, partitions"
        in done.stdout + done.stderr
        or "invalid choice" in done.stderr
    )


def test_a_book_is_validated_by_the_command_itself():
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "books"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("validate 100 entities")]
    assert "under 3 s" in line


def test_the_book_and_the_script_by_hand_have_the_same_features_and_score_the_same_rows():
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "road"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("CSV to predictions, 20,000 rows") for line in done.stdout.splitlines())


def test_many_partitions_and_few_hold_the_same_rows_for_every_reader():
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "partitions"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("write ", "read "))]
    assert len(lines) == 10


def test_hours_and_the_whole_make_the_same_features_as_the_file_has_by_hand():
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "history"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("5,000 rows of 24 hours") for line in done.stdout.splitlines())
