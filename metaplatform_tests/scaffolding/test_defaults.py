"""New entries have no defaults of their own: what equals one of the language's is shown as it is there, or left out."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from metaplatform.scaffolding.defaults import default_of, fitted, told, with_fitted
from metaplatform.specs.entities.monitoring import DriftMonitor
from metaplatform.specs.entities.training import TrainingSpec
from metaplatform.specs.loading import load_book
from metaplatform_tests.scaffolding.asking import ask

TOLD = re.compile(r"^ +# (\w+): (.+?)  # the default: ", re.MULTILINE)


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a book to which `new` has added an entry of every kind, over plenty of data and over little."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metadata").mkdir()
    random = np.random.default_rng(5)
    for name, rows in (("many", 18_000), ("few", 80)):
        moments = pd.date_range("2024-01-01", periods=rows, freq="20min" if rows > 100 else "12h")
        values = {"nr": np.arange(rows), "at": moments, "size": random.gamma(2, 3, rows).round(3)}
        pd.DataFrame(values).assign(good=random.random(rows) < 0.5).to_csv(f"{name}.csv", index=False)
        ask("source", f"{name}.csv")
        for target in ("good", "size"):
            model = f"{name}_{target}"
            ask("model", model, "--target", target, "--table", f"raw.{name}")
            ask("report", f"{model}_report", "--table", f"predictions.{model}_predictions")
    ask("feature-set", "features", "--spine", "raw.many")
    ask("table", "copy", "--from", "raw.many")
    return tmp_path / "metadata"


def written(spec: object, place: str) -> Iterator[tuple[str, BaseModel, str]]:
    """Yield each field that a spec says, and all specs in it."""
    if isinstance(spec, BaseModel):
        for field in spec.model_fields_set:
            yield f"{place}.{field}", spec, field
            yield from written(getattr(spec, field), f"{place}.{field}")
    elif isinstance(spec, dict):
        for key, value in spec.items():
            yield from written(value, f"{place}.{key}")
    elif isinstance(spec, list | tuple):
        for each in spec:
            yield from written(each, place)


def test_no_entry_writes_a_value_that_the_language_has_by_default(book: Path) -> None:
    places = [
        place
        for ref, entity in load_book(book).entities.items()
        for place, spec, field in written(entity, ref)
        if not (info := type(spec).model_fields[field]).is_required()
        and getattr(spec, field) == info.get_default(call_default_factory=True, validated_data={})
    ]
    assert places == []


def test_a_default_that_is_shown_is_the_languages(book: Path) -> None:
    manifest = load_book(book)
    shown = 0
    for path in book.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for entry in re.split(r"^  (?=\w)", text, flags=re.MULTILINE)[1:]:
            name = entry.split(":")[0]
            specs = [spec for ref, spec in manifest.entities.items() if ref.split(".")[1] == name]
            for field, value in TOLD.findall(entry):
                shown += 1
                assert value in {
                    str(default_of(type(spec), field)) for spec in specs if field in type(spec).model_fields
                }
    assert shown > 5


def test_numbers_that_data_ask_for_are_less_than_the_defaults() -> None:
    default = default_of(DriftMonitor, "min_rows")
    assert isinstance(default, int)
    assert fitted(DriftMonitor, "min_rows", default) is None
    assert fitted(DriftMonitor, "min_rows", default - 1) == default - 1
    assert f"# min_rows: {default}  # the default: " in told(DriftMonitor, "min_rows", "why")
    assert with_fitted(TrainingSpec, "min_rows", 10**9) == ""
    assert with_fitted(TrainingSpec, "min_rows", 1) == ", min_rows: 10"
