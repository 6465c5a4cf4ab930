"""A replay that comes to little says why."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from metaplatform.replay.history import replay_history
from metaplatform.replay.results import ReplayResult
from metaplatform.resources.sinks.outbox import Outbox
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.entities.notifications import AppriseNotification
from metaplatform.specs.loading import load_book
from metaplatform.work.approvals import approve
from metaplatform_tests.replay.silence import Silent
from metaplatform_tests.resources.sinks.test_notifier import message
from metaplatform_tests.scenario import BOOK, write_month, write_project


def replay(project: Path, *, resume: bool = False) -> ReplayResult:
    deployment = Deployment(book=project / "metadata", root=project / "root")
    book = load_book(project / "metadata")
    return replay_history(
        book, deployment, until=None, fresh=False, with_reactions=False, progress=Silent(), resume=resume
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    sources = BOOK[: BOOK.index("tables:\n")]
    orders = sources[: sources.index("  customers:")]
    models = BOOK[BOOK.index("models:") : BOOK.index("outputs:")].replace(", exclude: [returned_lately]", "")
    features = "feature_sets:\n  order_features:\n    spine: raw.orders\n    features:\n"
    features += "      - {kind: expression, columns: {price: amount, sold_by: channel}}\n"
    write_project(tmp_path, book=f"{orders}{features}{models}")
    return tmp_path


def test_files_without_rows_are_named(project: Path) -> None:
    path = write_month(project, "2024-01", shifted=False)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert replay(project).notes == ("nothing was to be done: no rows in raw.orders",)


def test_a_prediction_without_a_model_tells_what_the_model_lacks(project: Path) -> None:
    write_month(project, "2024-01", shifted=False)
    result = replay(project)
    assert result.rows == ()
    (note,) = result.notes
    assert note.startswith("predictions.order_returns scored nothing: models.returns was never trained: no version yet")
    assert note.endswith("needed")


def test_messages_that_could_not_be_sent_are_told_with_the_reason(project: Path) -> None:
    path = write_month(project, "2024-01", shifted=False)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    replay(project)
    Outbox(project / "root").put(message("m1"), [AppriseNotification(kind="apprise", url_env="NOT_SET_ANYWHERE")])
    unsent, _idle = replay(project, resume=True).notes
    assert unsent.startswith("1 message not sent, tried again by `metaplatform ui`: ")


def test_what_is_held_back_is_all_that_is_told_and_arrives_once_it_is_approved(project: Path) -> None:
    path = write_month(project, "2024-01", shifted=False)
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(f"x{row}" if n % 2 else row for n, row in enumerate(rows))]) + "\n")
    held = replay(project)
    assert [note.split(": ")[0] for note in held.notes] == ["raw.orders is held back"]
    again = replay(project, resume=True)
    assert (again.notes, again.runs) == (held.notes, 0)
    book, warehouse = load_book(project / "metadata"), Warehouse(root=str(project / "root"))
    approve(book, warehouse, "raw.orders", None, reason="known", now=datetime.now(UTC))
    assert replay(project, resume=True).runs == 1
    assert warehouse.partitions("raw.orders")["2024-01"].rows == (len(rows) + 1) // 2
    assert replay(project, resume=True).runs == 1, "nothing more"
