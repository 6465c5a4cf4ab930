"""`metaplatform new`, asked as a person asks it."""

from typer.testing import CliRunner

from metaplatform.cli import commands
from metaplatform.errors import DataError


def ask(*arguments: str) -> str:
    """Return what the command prints; an error in the data is raised."""
    result = CliRunner().invoke(commands.app, ["new", *arguments])
    if isinstance(result.exception, DataError):
        raise result.exception
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout
