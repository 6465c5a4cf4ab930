"""`metaplatform schema` prints the schema, or writes it where it is told to."""

import json
from pathlib import Path

from typer.testing import CliRunner

from metaplatform.cli import commands
from metaplatform.errors import MetaplatformError
from metaplatform.specs.language.schema import book_schema


def test_the_schema_is_printed_or_written(tmp_path: Path) -> None:
    printed = CliRunner().invoke(commands.app, ["schema"])
    assert json.loads(printed.stdout) == book_schema()
    answer = CliRunner().invoke(commands.app, ["schema", "--write", str(tmp_path / "book.json")])
    assert answer.exit_code == 0
    assert (tmp_path / "book.json").read_text(encoding="utf-8") == printed.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["book.json"]


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    answer = CliRunner().invoke(commands.app, ["schema", "--write", str(tmp_path / "nowhere" / "book.json")])
    assert isinstance(answer.exception, MetaplatformError)
