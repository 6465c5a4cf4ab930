"""Rows of impossible years end nothing: each is stored or kept aside with its reason, and the others are as without."""

from pathlib import Path

import pandas as pd
import pytest

from metaplatform_tests.factories.test_keys import ACCOUNTS, accounts
from metaplatform_tests.small_project import SmallProject, moment

YEARS = ("0001", "0024", "2124", "9999")
PARTITIONS = "    partitions: {every: month, start: 2024-01}\n"
KEY = ["account", "part"]


def lived_through(folder: Path, book: str, *, odd: bool) -> SmallProject:
    """Return a project after two months and a training; with ``odd`` its first file has a row of each odd year."""
    project = SmallProject(folder, book)
    for number, month in enumerate(("2024-01", "2024-02")):
        rows = accounts(month, number * 1_000)
        if odd and not number:
            extra = rows.head(len(YEARS)).assign(
                account=[str(number) for number in range(len(YEARS))],
                opened_at=[f"{year}-06-01T12:00:00Z" for year in YEARS],
            )
            rows = pd.concat([rows, extra])
        project.put(f"data/{month}.csv", rows)
    with project.at_work():
        project.play(moment("2024-02-03"))
        project.play(moment("2024-03-05"))
    return project


@pytest.mark.parametrize(
    ("book", "stored"), [(ACCOUNTS, 0), (ACCOUNTS.replace(PARTITIONS, ""), 2)], ids=["by month", "whole"]
)
def test_a_run_over_odd_years_comes_to_the_end_it_would_have_without_them(
    tmp_path: Path, book: str, stored: int
) -> None:
    assert (PARTITIONS in book) is not bool(stored)
    clean, odd = (lived_through(tmp_path / name, book, odd=name == "odd") for name in ("clean", "odd"))
    assert len(clean.registry.versions("leaving")) == len(odd.registry.versions("leaving")) == 1
    aside = odd.rows("raw.accounts__quarantine", "opened_at")
    assert aside["opened_at"].str[:4].tolist() == list(YEARS[stored:])
    assert aside["_reason"].str.contains("first partition|ahead", regex=True).all(), aside["_reason"].tolist()
    for ref in ("raw.accounts", "features.sizes", "predictions.leavers"):
        expected, found = clean.rows(ref, *KEY), odd.rows(ref, *KEY)
        assert len(expected) > 0
        ordinary = found[found["account"].astype(str).str.len() > 2].reset_index(drop=True)
        assert len(found) - len(ordinary) in ({0, stored} if ref.startswith("predictions") else {stored}), ref
        kept = [name for name in expected if name not in {"run_id", "scored_at"}]
        pd.testing.assert_frame_equal(ordinary[kept], expected[kept], obj=ref)
