"""A step's work, wired: what Dagster shows of what was made, and what it does where nothing was."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from metaplatform.composition import platform_resources
from metaplatform.factories.steps import in_dagster, step_asset
from metaplatform.specs.book.deployment import Deployment
from metaplatform.work.builds import one_by_one
from metaplatform.work.steps import NOW_TAG, Made, Markdown, Step, Url
from metaplatform_tests.work.orders import book_of

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning", "ignore::dagster.PreviewWarning")
NOW = datetime(2024, 5, 1, tzinfo=UTC)


def test_each_kind_of_metadata_is_shown_as_dagster_shows_it(tmp_path: Path) -> None:
    shown = in_dagster(
        {
            "page": Url("http://localhost/page"),
            "told": Markdown("**all well**"),
            "file": tmp_path,
            "columns": pa.schema([("id", pa.int64())]),
            "rows": 3,
        }
    )
    assert shown["page"] == dg.MetadataValue.url("http://localhost/page")
    assert shown["told"] == dg.MetadataValue.md("**all well**")
    assert shown["file"] == dg.MetadataValue.path(tmp_path)
    assert [(column.name, column.type) for column in shown["columns"].columns] == [("id", "int64")]
    assert shown["rows"] == 3


def run(folder: Path, made: Made | None, *, ref: str) -> tuple[list[Step], dg.ExecuteInProcessResult]:
    """Run the asset behind ``ref``, with work that makes what is given; return the steps that the work saw."""
    manifest = book_of(folder, every="", delay="1 day", window="20 days", holdout="5 days")
    seen: list[Step] = []

    def work(step: Step) -> Made | None:
        seen.append(step)
        return made

    asset = step_asset(manifest, ref, one_by_one(work), skippable=True, metadata={"beside": "it"})
    with dg.DagsterInstance.ephemeral() as instance:
        resources = platform_resources(Deployment(book=folder, root=folder / "storage"))
        result = dg.materialize(
            [asset], resources=resources, instance=instance, tags={NOW_TAG: NOW.isoformat(), "asked": "by me"}
        )
    return seen, result


def test_a_step_knows_its_run_and_has_its_resources(tmp_path: Path) -> None:
    ((step,), result) = run(tmp_path, Made({"rows": 3}, content="token"), ref="raw.orders")
    assert (step.ref, step.name, step.partition, step.now) == ("raw.orders", "orders", None, NOW)
    assert (step.run_id, step.tags["asked"]) == (result.run_id, "by me")
    assert step.warehouse.root_path == tmp_path / "storage"
    (event,) = result.get_asset_materialization_events()
    materialization = event.step_materialization_data.materialization
    assert {name: value.value for name, value in materialization.metadata.items()} == {"rows": 3, "beside": "it"}


def test_where_nothing_is_made_the_run_succeeds_and_what_is_there_stays(tmp_path: Path) -> None:
    _, result = run(tmp_path, None, ref="models.returns")
    assert result.success
    assert not result.get_asset_materialization_events()
