"""`metaplatform upgrade` and `--environment`, as a shell sees them."""

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from metaplatform.cli import commands
from metaplatform.errors import BookError, MetaplatformError
from metaplatform_tests.scenario import BOOK, write_project

SIGNED = "# The shop.\r\n" + BOOK.replace("path: data/customers.csv", "path: data/${x}.csv   # c").replace("\n", "\r\n")


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, arguments)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = write_project(tmp_path)
    (folder / "shop.yaml").write_bytes(b"\xef\xbb\xbf" + SIGNED.encode())
    (folder / "empty.yaml").write_bytes(b"# nothing\r\n")
    return folder


def test_check_tells_what_would_change_and_changes_nothing(book: Path) -> None:
    before = {path: path.read_bytes() for path in book.iterdir()}
    answer = ask("upgrade", "--book", str(book), "--check")
    assert answer.exit_code == 1
    assert answer.stdout == "metadata/shop.yaml: would be brought to version 2\n"
    assert {path: path.read_bytes() for path in book.iterdir()} == before


def test_upgrade_edits_in_place_and_a_second_time_nothing(book: Path) -> None:
    (book / "shop.yaml").chmod(0o640)
    assert ask("upgrade", "--book", str(book)).exit_code == 0
    written = (book / "shop.yaml").read_bytes().decode()
    expected = SIGNED.replace("# The shop.\r\n", "# The shop.\r\nspec_version: 2\r\n").replace("${x}", "$${x}")
    assert written == "\ufeff" + expected
    assert stat.S_IMODE((book / "shop.yaml").stat().st_mode) == 0o640
    assert (book / "empty.yaml").read_bytes() == b"# nothing\r\n"
    assert sorted(path.name for path in book.iterdir()) == ["empty.yaml", "shop.yaml"]

    again = ask("upgrade", "--book", str(book), "--check")
    assert (again.exit_code, again.stdout) == (0, "The book is at version 2.\n")
    assert ask("validate", "--book", str(book)).exit_code == 0


def test_a_link_within_the_book_stays_a_link(book: Path) -> None:
    (book / ".kept").mkdir()
    (book / "shop.yaml").rename(book / ".kept" / "real.yaml")
    (book / "shop.yaml").symlink_to(".kept/real.yaml")
    assert ask("upgrade", "--book", str(book)).exit_code == 0
    assert (book / "shop.yaml").is_symlink()
    assert b"spec_version: 2" in (book / ".kept" / "real.yaml").read_bytes()


def test_a_book_that_cannot_be_read_is_left_alone(book: Path) -> None:
    (book / "zz.yaml").write_text("sources: [\n")
    before = (book / "shop.yaml").read_bytes()
    answer = ask("upgrade", "--book", str(book))
    assert isinstance(answer.exception, BookError)
    assert "zz.yaml" in str(answer.exception)
    (book / "zz.yaml").write_text("spec_version: 3\n")
    assert "upgrade metaplatform" in str(ask("upgrade", "--book", str(book)).exception)
    assert (book / "shop.yaml").read_bytes() == before


def test_validate_reads_the_environment_named_by_option_or_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "spec_version: 2\nparameters: {seed: {type: integer, default: 7}}\n" + BOOK.replace(
        "seed: 7", 'seed: "${seed}"'
    )
    folder = write_project(tmp_path, book=text)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").write_text("models: {returns: {training: {rounds: none}}}\n")
    assert ask("validate", "--book", str(folder)).exit_code == 0
    answer = ask("validate", "--book", str(folder), "--environment", "prod", "--json")
    assert answer.exit_code == 1
    assert [(issue["location"]["file"], issue["culprit"]) for issue in json.loads(answer.stdout)] == [
        ("environments/prod.yaml", "none")
    ]
    monkeypatch.setenv("METAPLATFORM_ENVIRONMENT", "prod")
    assert ask("validate", "--book", str(folder)).exit_code == 1
    assert ask("validate", "--book", str(folder), "--environment", "").exit_code == 0
    monkeypatch.setenv("METAPLATFORM_PARAMETER_SEED", "seven")
    answer = ask("validate", "--book", str(folder), "--environment", "")
    assert answer.exit_code == 1
    assert "METAPLATFORM_PARAMETER_SEED: the value is not a valid integer" in answer.stdout


def test_an_environment_that_is_a_path_is_refused(tmp_path: Path) -> None:
    answer = ask("validate", "--book", str(write_project(tmp_path)), "--environment", "../metadata/shop")
    assert isinstance(answer.exception, MetaplatformError)
