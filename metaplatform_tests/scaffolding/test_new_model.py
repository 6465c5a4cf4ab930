"""A new model's entries validate, and train on the data they were made for."""

import json
from pathlib import Path

import numpy as np
import pytest

from metaplatform.errors import DataError
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book, read_book
from metaplatform_tests.processes import python
from metaplatform_tests.scaffolding.asking import ask


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a source of five months, its columns named as people name them."""
    random = np.random.default_rng(4)
    lines = ["Nr,sold at,Größe,price,paid,class,grade,note"]
    for number in range(1_500):
        moment = np.datetime64("2024-01-01T00:00:00") + np.timedelta64(number * 8_640, "s")
        size = random.choice(["klein", "groß"])
        price = random.gamma(3, 10) * (2 if size == "groß" else 1)
        paid = int(random.random() < 1 / (1 + np.exp((price - 40) / 8)))
        grade = random.choice(["a", "b", "c"])
        lines.append(f"{number},{moment},{size},{price:.2f},{paid},{'yes' if paid else 'no'},{grade},note {number}")
    (tmp_path / "data").mkdir()
    (tmp_path / "metadata").mkdir()
    (tmp_path / "data" / "sales.csv").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ask("source", "data/sales.csv")
    return tmp_path


def with_model(*options: str, target: str) -> Manifest:
    ask("model", "paying", "--target", target, "--table", "raw.sales", *options)
    manifest, issues = read_book(Path("metadata"))
    assert issues == ()
    assert manifest is not None
    return manifest


def test_a_model_of_its_own_source_trains_and_scores(project: Path) -> None:
    manifest = with_model(target="paid")
    assert manifest.models["paying"].target.sql == "paid = 1"
    done = python("-m", "metaplatform", "replay", "--root", "storage", "--json", "result.json", timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((project / "result.json").read_text(encoding="utf-8"))["rows"]
    live = [row["live"] for row in rows if row["live"] is not None]
    assert live
    assert min(live) > 0.6


@pytest.mark.parametrize(
    ("target", "task", "sql"),
    [("paid", "binary", "paid = 1"), ("price", "regression", "price"), ("class", "binary", "class = 'yes'")],
)
def test_the_task_is_told_by_the_targets_type_and_values(project: Path, target: str, task: str, sql: str) -> None:
    model = with_model(target=target).models["paying"]
    assert (model.task, model.target.sql.replace('"', "")) == (task, sql)


def test_features_are_the_columns_known_when_the_row_happens(project: Path) -> None:
    source = project / "metadata" / "sales.yaml"
    text = source.read_text(encoding="utf-8")
    outcomes = "    outcomes: {columns: [paid, class], delay: 2 days}\n"
    source.write_text(text[: text.index("    # outcomes")] + outcomes, encoding="utf-8")
    manifest = with_model(target="paid")
    features = manifest.feature_sets["paying_features"].feature_names
    assert features == ("weekday", "grosse", "price", "grade")
    assert manifest.models["paying"].label_delay is None


def test_what_says_the_same_as_the_target_in_other_words_is_no_feature(project: Path) -> None:
    assert "class" not in " ".join(with_model(target="paid").feature_sets["paying_features"].feature_names)
    assert "# class is left out: in the sample it says the same as paid" in (
        project / "metadata" / "paying.yaml"
    ).read_text(encoding="utf-8")


def test_two_numbers_are_two_classes_whatever_they_are(project: Path) -> None:
    lines = [f"{number},2024-01-{number % 28 + 1:02},{-1 if number % 3 else 7.5},{number % 9}" for number in range(90)]
    (project / "data" / "signs.csv").write_text("\n".join(["n,at,sign,x", *lines]), encoding="utf-8")
    ask("source", "data/signs.csv")
    ask("model", "signed", "--target", "sign", "--table", "raw.signs")
    model = load_book(Path("metadata")).models["signed"]
    assert (model.task, model.target.sql) == ("binary", "sign = 7.5")


def test_a_target_of_unknown_delay_gets_one_that_is_to_be_checked(project: Path) -> None:
    assert with_model(target="paid").models["paying"].label_delay is not None
    assert "declare it there under outcomes" in (project / "metadata" / "paying.yaml").read_text(encoding="utf-8")


def test_the_training_window_fits_the_datas_span(project: Path) -> None:
    training = with_model(target="paid").models["paying"].training
    days = training.window.longest.total_seconds() / 86_400
    assert 60 <= days <= 80
    assert 0 < training.holdout.longest.total_seconds() / 86_400 < days / 2
    assert training.min_rows <= 750


def test_printed_entries_are_written_nowhere(project: Path) -> None:
    before = sorted(path.name for path in (project / "metadata").iterdir())
    assert "  paying:" in ask("model", "paying", "--target", "paid", "--table", "raw.sales", "--print")
    assert sorted(path.name for path in (project / "metadata").iterdir()) == before


@pytest.mark.parametrize(
    ("name", "target", "table", "said"),
    [
        ("paying", "payed", "raw.sales", "did you mean 'paid'"),
        ("paying", "paid", "raw.sale", "did you mean 'raw.sales'"),
        ("paying", "Nr", "raw.sales", "says which row this is"),
        ("paying", "sold at", "raw.sales", "says which row this is"),
        ("a b", "paid", "raw.sales", "a b_features': a name is a letter"),
        ("x" * 60, "paid", "raw.sales", "a name is a letter"),
        ("paying", "grade", "raw.sales", "of 3 different values"),
        ("paying", "note", "raw.sales", "different values"),
    ],
)
def test_what_cannot_be_learnt_is_refused_with_the_nearest_name(
    project: Path, name: str, target: str, table: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        ask("model", name, "--target", target, "--table", table)
    assert not (project / "metadata" / "paying.yaml").exists()


def test_a_name_that_is_taken_is_refused_and_all_of_them_named(project: Path) -> None:
    with_model(target="paid")
    with pytest.raises(DataError, match=r"models\.paying, predictions\.paying_predictions"):
        ask("model", "Paying", "--target", "paid", "--table", "raw.sales")


def test_a_source_without_key_or_time_is_refused(project: Path) -> None:
    (project / "data" / "plain.csv").write_text("a,b\n1,2\n1,2\n", encoding="utf-8")
    ask("source", "data/plain.csv")
    with pytest.raises(DataError, match="declares no key and no event_timestamp"):
        ask("model", "x", "--target", "b", "--table", "raw.plain")


def test_too_little_data_is_refused(project: Path) -> None:
    (project / "data" / "few.csv").write_text("a,at,b\n1,2024-01-01,2\n2,2024-01-02,3\n", encoding="utf-8")
    ask("source", "data/few.csv")
    with pytest.raises(DataError, match="too few to train on"):
        ask("model", "x", "--target", "b", "--table", "raw.few")


def test_the_book_is_what_it_was_when_nothing_is_added(project: Path) -> None:
    assert set(load_book(Path("metadata")).entities) == {"raw.sales"}
