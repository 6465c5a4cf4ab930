"""``python -m metaplatform``: the command line."""

from metaplatform.cli import main

main()
