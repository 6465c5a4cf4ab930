"""What Dagster loads: the definitions of the book that the environment names. The only module with import-time IO."""

import os
from pathlib import Path

from metaplatform.composition import load_definitions
from metaplatform.resources.process.collector import collect_seldom
from metaplatform.resources.process.quiet import quiet_libraries

quiet_libraries()
collect_seldom()
defs = load_definitions(os.environ, Path.cwd())
