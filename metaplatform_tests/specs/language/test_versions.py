"""A book says which version of the language it is written in; without a word it is the first."""

from pathlib import Path

import pytest

from metaplatform_tests.specs.language.books import SHOP, read, sound, told


def test_a_book_without_a_version_is_read_as_before(tmp_path: Path) -> None:
    text = SHOP.replace("data/orders.csv", "data/${region}/$${x}.csv")
    assert sound(tmp_path / "none", text).sources["orders"].path == "data/${region}/$${x}.csv"
    assert sound(tmp_path / "one", "spec_version: 1\n" + text).sources["orders"].path == "data/${region}/$${x}.csv"


def test_what_came_later_is_refused_in_a_book_of_the_first_version_and_nothing_is_missed_for_it(tmp_path: Path) -> None:
    later = """\
x-anchors: &files {kind: csv}
parameters:
  path: {type: text, default: a.csv}
defaults:
  sources: {contract: evolve}
sources:
  a: {<<: *files, path: "${path}"}
"""
    _, issues = read(tmp_path, later, SHOP, overlay="sources: {a: {contract: freeze}}\n")
    assert told(issues) == [
        ("environments/prod.yaml:1:1", "needs-version", "environments/prod.yaml", None),
        ("metadata/a.yaml:1:1", "needs-version", "x-anchors", None),
        ("metadata/a.yaml:2:1", "needs-version", "parameters", None),
        ("metadata/a.yaml:4:1", "needs-version", "defaults", None),
        ("metadata/a.yaml:7:7", "needs-version", "<<", None),
    ]
    assert {issue.fix for issue in issues if issue.severity == "error"} == {"run `metaplatform upgrade`"}


def test_one_file_declares_the_version_for_all(tmp_path: Path) -> None:
    sound(tmp_path, SHOP, "spec_version: 2\n", "defaults: {models: {description: all}}\n")


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("2", "1", ("metadata/b.yaml:1:15", "two-versions", "1", None)),
        ("2", "two", ("metadata/b.yaml:1:15", "wrong-type", "two", None)),
        ("2", "true", ("metadata/b.yaml:1:15", "wrong-type", "true", None)),
        ("2", "0", ("metadata/b.yaml:1:15", "wrong-type", "0", None)),
        ("2", "[2]", ("metadata/b.yaml:1:15", "wrong-type", "spec_version", None)),
        ("2", "99", ("metadata/b.yaml:1:15", "newer-version", "99", None)),
    ],
)
def test_a_version_that_cannot_be_is_told(
    tmp_path: Path, first: str, second: str, found: tuple[str, str, str, str | None]
) -> None:
    _, issues = read(tmp_path, f"spec_version: {first}\n{SHOP}", f"spec_version: {second}\n")
    assert told(issues) == [found]


def test_of_a_book_of_a_newer_version_nothing_else_is_said(tmp_path: Path) -> None:
    _, issues = read(tmp_path, "spec_version: 3\nsauces: {}\nmodels: {returns: {kind: neural}}\n")
    assert told(issues) == [("metadata/a.yaml:1:15", "newer-version", "3", None)]
    assert issues[0].fix == "upgrade metaplatform"


def test_the_version_may_be_declared_twice_alike(tmp_path: Path) -> None:
    sound(tmp_path, "spec_version: 2\n" + SHOP, "spec_version: 2\n")


def test_a_book_that_declares_no_version_is_warned_of_at_its_first_file(tmp_path: Path) -> None:
    manifest, issues = read(tmp_path, SHOP)
    assert manifest is not None
    (found,) = [issue for issue in issues if issue.rule == "no-version"]
    assert (str(found.location), found.severity) == ("metadata/a.yaml:1:1", "warning")
    assert "write `spec_version: 2`" in found.fix


@pytest.mark.parametrize("version", [1, 2])
def test_a_book_that_declares_its_version_is_not_warned_of(tmp_path: Path, version: int) -> None:
    _, issues = read(tmp_path, SHOP, f"spec_version: {version}\n")
    assert "no-version" not in {issue.rule for issue in issues}


def test_a_file_that_cannot_be_read_may_be_the_one_with_the_version_so_nothing_follows_from_its_lack(
    tmp_path: Path,
) -> None:
    _, issues = read(tmp_path, "spec_version: 2\nsources: [\n", "defaults: {models: {description: all}}\n" + SHOP)
    assert [issue.rule for issue in issues] == ["yaml-syntax"]
