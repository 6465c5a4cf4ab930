"""What the operations guide shows is run as it stands there, in a project of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from metaplatform.factories.automation.alerts import alerts_sensor
from metaplatform.factories.automation.messages import messages_sensor
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform_tests.live import COUNTRIES, WORKSPACE

GUIDE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.live
def test_the_commands_to_pause_the_loop_and_to_make_an_asset_again_work(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "book.yaml").write_text(COUNTRIES)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "customers.csv").write_text("customer,country\n1,SE\n2,FI\n")
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    (tmp_path / ".metaplatform" / "dagster").mkdir(parents=True)
    [block] = re.findall(r"```sh\n(.*?)```", GUIDE, flags=re.DOTALL)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    commands = block.replace("NAME", "customers")
    done = subprocess.run(
        ["bash", "-eu", "-c", commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "Stopped sensor arrivals" in done.stdout
    assert "Started sensor arrivals" in done.stdout
    assert Warehouse(root=str(tmp_path / ".metaplatform")).row_count("raw.customers") == 2


def test_every_setting_of_a_deployment_is_in_the_guide() -> None:
    names = {f"METAPLATFORM_{name.upper()}" for name in Deployment.model_fields}
    assert names <= set(re.findall(r"METAPLATFORM_[A-Z_]+", GUIDE))


def test_the_sensors_that_are_always_there_are_in_the_guide() -> None:
    for sensor in (alerts_sensor((), 10), messages_sensor("UTC", 10)):
        assert f"`{sensor.name}`" in GUIDE
