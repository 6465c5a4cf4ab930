"""The platform's own processes collect garbage less often than Python would; whoever mounts a book keeps their own."""

import subprocess
import sys

import pytest

SHOWN = "import gc; print(*gc.get_threshold())"
COMMAND = "import sys; sys.argv = ['metaplatform', '--help']\ntry:\n    from metaplatform.cli import main; main()\n"
LIBRARY = "import metaplatform.component, metaplatform.composition\n"


@pytest.mark.parametrize(
    ("code", "seldom"), [(f"{COMMAND}except SystemExit:\n    pass\n{SHOWN}", True), (LIBRARY + SHOWN, False)]
)
def test_commands_collect_seldom_and_a_library_leaves_it_alone(code: str, *, seldom: bool) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (int(done.stdout.splitlines()[-1].split()[0]) > 10_000) is seldom
