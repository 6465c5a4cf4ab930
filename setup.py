"""What pyproject.toml cannot say: the examples go into the wheel; in a checkout they stand beside the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

EXAMPLES = Path(__file__).parent / "examples"


class BuildWithExamples(build_py):
    """Copies the examples, without what their scripts make."""

    def run(self) -> None:
        """Build the package, then put the examples into it."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "metaplatform", "scaffolding", "examples")
            made = shutil.ignore_patterns("data", ".*", "__pycache__")
            shutil.copytree(EXAMPLES, target, ignore=made, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithExamples})
