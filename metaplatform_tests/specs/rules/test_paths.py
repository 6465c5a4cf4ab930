"""Paths of sources: patterns that can name files, within the folder that they start from."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.rules.paths import impossible_paths, paths_of_another_kind
from metaplatform_tests.specs.rules.alone import judge, shop, silent, tells

PATH = "sources/orders/path"


@pytest.mark.parametrize(
    ("path", "culprit", "says"),
    [
        ("../x.csv", "../x.csv", "leads out of the project's folder"),
        ("a/../../x.csv", "a/../../x.csv", "leads out of the project's folder"),
        ("/etc/x.csv", "/etc/x.csv", "leads out of the folders that sources may read"),
        ("/project/../x.csv", "/project/../x.csv", "leads out of the folders"),
        ("/projects/x.csv", "/projects/x.csv", "METAPLATFORM_SOURCE_FOLDERS"),
        (".", ".", "names a folder, not files"),
        ("/", "/", "names a folder"),
        ("a/x**.csv", "a/x**.csv", "alone between slashes"),
        ("**/a/**/b/**/*.csv", "**/a/**/b/**/*.csv", "more than 2 times"),
        ("a\tb.csv", "a\tb.csv", "a character that cannot be seen"),
        ("https://example.com/x.csv", "https://…", "is an address"),
        ("S3://bucket/x.csv", "s3://…", "'s3://…' is an address"),
        ("s3://bucket/x.csv?access_key=abc", "s3://…", "it holds a password or a key"),
        ("me:secret@host/x.csv", "…", "it holds a password or a key"),
    ],
)
def test_paths_that_name_no_files_or_none_that_may_be_read(path: str, culprit: str, says: str) -> None:
    tells(impossible_paths, shop({PATH: path}), f"error invalid-path at raw.orders/path: {culprit} | {says}")


@pytest.mark.parametrize(
    "path",
    ["x.csv", "data/**/*.csv", "**/a/**/*.csv", "a/../x.csv", "a/b/../../x.csv", "./x.csv", "/project/x.csv",
     "/project/a/../x.csv", "größe (1).csv", "a..b/x.csv", "C:x.csv"],
)  # fmt: skip
def test_paths_within_the_project(path: str) -> None:
    silent(impossible_paths, shop({PATH: path}))


def test_folders_that_the_deployment_allows() -> None:
    silent(impossible_paths, shop({PATH: "/shared/data/x.csv"}), folders=("/other", "/shared"))
    for path in ("/shared_too/x.csv", "/shared/../x.csv"):
        tells(
            impossible_paths,
            shop({PATH: path}),
            f"error invalid-path at raw.orders/path: {path} | leads out",
            folders=("/shared",),
        )


def test_paths_within_a_package() -> None:
    package = {"sources/orders/package": "some_package"}
    silent(impossible_paths, shop({**package, PATH: "data/x.csv"}))
    tells(
        impossible_paths,
        shop({**package, PATH: "/project/x.csv"}),
        "error invalid-path at raw.orders/path: /project/x.csv | starts from the package's folder",
    )
    tells(
        impossible_paths,
        shop({**package, PATH: "../x.csv"}),
        "error invalid-path at raw.orders/path: ../x.csv | leads out of the package's folder",
    )


@pytest.mark.parametrize("package", ["some.package", "some-package", "1st", "", "a/b"])
def test_packages_whose_name_is_not_valid(package: str) -> None:
    tells(
        impossible_paths,
        shop({"sources/orders/package": package}),
        f"error invalid-value at raw.orders/package: {package} | package | folders into `path`",
    )


def test_each_source_tells_its_path_and_its_package() -> None:
    tells(
        impossible_paths,
        shop({PATH: "../x", "sources/orders/package": "a.b", "sources/visits/path": "/x"}),
        "error invalid-path at raw.orders/path: ../x",
        "error invalid-value at raw.orders/package: a.b",
        "error invalid-path at raw.visits/path: /x",
    )


parts = st.sampled_from(["a", "b", "..", ".", "*.csv", "**"])


@given(st.lists(parts, min_size=1, max_size=5))
def test_no_path_that_ends_outside_is_let_through(found: list[str]) -> None:
    path = "/".join([*found, "x.csv"])
    if posixpath.normpath(path).startswith(".."):
        assert [issue.rule for issue in judge((impossible_paths,), shop({PATH: path}))] == ["invalid-path"]
    absolute = f"/project/{path}"
    if not posixpath.normpath(absolute).startswith("/project/"):
        assert [issue.rule for issue in judge((impossible_paths,), shop({PATH: absolute}))] == ["invalid-path"]


@pytest.mark.parametrize(
    ("path", "other"),
    [("x.parquet", "parquet"), ("x.PQ", "parquet"), ("data/*.jsonl", "json"), ("x.ndjson.gz", "json"),
     ("x.json.zip", "json")],
)  # fmt: skip
def test_files_that_end_like_those_of_another_kind(path: str, other: str) -> None:
    tells(
        paths_of_another_kind,
        shop({PATH: path}),
        f"warning other-kind at raw.orders/kind: csv | end like {other} files, and are read as csv | `kind: {other}`",
    )


@pytest.mark.parametrize("path", ["x.csv", "x.CSV.gz", "x.tsv", "x.txt", "x", "x.dat", "json/x", "x.csv.zip", "*"])
def test_files_that_end_like_their_kind_or_like_none(path: str) -> None:
    silent(paths_of_another_kind, shop({PATH: path}))


def test_what_looks_like_a_secret_is_not_shown() -> None:
    (issue,) = judge((paths_of_another_kind,), shop({PATH: "token=abc/x.json"}))
    assert "abc" not in str(issue)
