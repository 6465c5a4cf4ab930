"""A tick looks and never reads: it is given the logs of tables, and no way from there to a row."""

import ast
from pathlib import Path
from typing import get_type_hints

import dagster as dg
import pytest

from metaplatform.factories import automation
from metaplatform.factories.automation.state import Loop
from metaplatform.resources.engine import duckdb_connections, opening
from metaplatform.resources.storage.table_logs import RootLogs, TableLogs
from metaplatform_tests.factories.live_loop import LiveLoop
from metaplatform_tests.scenario import BOOK, write_month

DATA = {"session", "replace", "replace_where", "clear", "retype", "read_files", "keep", "stream", "export"}
"""What reads or writes tables of data."""


def test_what_a_tick_is_given_of_tables_reads_no_row() -> None:
    assert get_type_hints(Loop)["warehouse"] is TableLogs
    assert not DATA.intersection(dir(RootLogs))


def test_no_sensor_or_schedule_calls_what_reads_or_writes_data() -> None:
    files = sorted(Path(*automation.__path__).glob("*.py"))
    assert len(files) > 4
    calls = {
        # A plain `replace` is that of dataclasses.
        (path.name, node.func.attr if isinstance(node.func, ast.Attribute) else _name(node.func))
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert {call for call in calls if call[1] in DATA} == set()


def _name(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) and called.id != "replace" else ""


def test_every_sensor_of_a_book_of_all_kinds_answers_without_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        loop = LiveLoop(tmp_path, instance, book=BOOK)
        write_month(tmp_path, "2024-01", shifted=False)
        loop.write("customers.csv", "customer,country,age", "c1,DE,20")

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("a tick has opened the engine")

        for module in (opening, duckdb_connections):
            monkeypatch.setattr(module, "memory_connection", refuse)
        asked = {sensor.name: loop.tick(sensor.name) for sensor in loop.repository.sensor_defs}
        assert {"arrivals", "scoring", "performance", "retraining", "reactions"} <= set(asked)
