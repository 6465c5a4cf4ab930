"""Every command together. Exit codes: 0 done, 1 a fault of book, data or storage, 2 wrong use of the command."""

import sys

import typer

from metaplatform.cli import (
    approving,
    book_database,
    maintaining,
    new_entries,
    planning,
    roots,
    running,
    schema,
    starting,
    upgrading,
    validating,
)
from metaplatform.cli.app import app
from metaplatform.cli.faults import fault_of
from metaplatform.resources.process.collector import collect_seldom
from metaplatform.resources.process.quiet import quiet_libraries

__all__ = [
    "app",
    "approving",
    "book_database",
    "main",
    "maintaining",
    "new_entries",
    "planning",
    "roots",
    "running",
    "schema",
    "starting",
    "upgrading",
    "validating",
]
"""Each module named here adds its commands to ``app`` when it is imported."""


def main() -> None:
    """Run the command line; whatever goes wrong becomes one message and exit code 1."""
    quiet_libraries()
    collect_seldom()
    try:
        app()
    except Exception as error:  # noqa: BLE001 - nobody reads a traceback
        typer.echo(str(fault_of(error)), err=True)
        sys.exit(1)
