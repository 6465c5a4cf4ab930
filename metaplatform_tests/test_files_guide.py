"""What the guide to files shows is read: each file by the source below it, with no row turned away."""

import re
from pathlib import Path

import pytest
import yaml

from metaplatform.compute.ingestion import conform
from metaplatform.naming import FILE
from metaplatform.resources.sources.readers import read_rows
from metaplatform.resources.sources.source_reader import Place
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.entities.csv_source import CsvSource

GUIDE = Path(__file__).parent.parent / "docs" / "files.md"
SHOWN = re.findall(r"```text\n(.*?)```\s+```yml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
ROWS = (2, 2, 2, 1)


@pytest.mark.parametrize(("text", "fields", "count"), [(*each, rows) for each, rows in zip(SHOWN, ROWS, strict=True)])
def test_each_file_of_the_guide_is_read_by_the_source_below_it(tmp_path: Path, text: str, fields: str, count: int):
    spec = CsvSource.model_validate({"name": "shown", **yaml.safe_load(fields)})
    (tmp_path / spec.path).parent.mkdir(parents=True)
    (tmp_path / spec.path).write_text(text, encoding=spec.encoding)
    with Warehouse(root=str(tmp_path / "root")).session() as session:
        found = read_rows(session, spec, Place(str(tmp_path)))
        assert found.rejects is not None
        assert session.stream(found.rejects).read_all().num_rows == 0
        result = conform(found.rows, spec)
        assert session.stream(result.quarantined).read_all().to_pylist() == []
        rows = session.stream(result.accepted.drop(FILE)).read_all()
    assert (rows.num_rows, set(rows.column_names)) == (count, set(spec.columns))
