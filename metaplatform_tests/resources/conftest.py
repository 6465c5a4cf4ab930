"""Databases for a book, and a book for them."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book
from metaplatform_tests.resources import databases
from metaplatform_tests.scenario import write_project

numbers = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with databases.postgresql(tmp_path_factory.mktemp("server")) as uri:
        yield uri


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'book.db'}"
    return databases.new_database(request.getfixturevalue("server"), f"book_{next(numbers)}")


@pytest.fixture
def shop(tmp_path: Path) -> Manifest:
    return load_book(write_project(tmp_path))
