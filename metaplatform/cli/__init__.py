"""The command line: thin commands over the platform."""

from metaplatform.cli.commands import main

__all__ = ["main"]
