"""An apply leaves one book at work: the live code server takes it first, or the apply says who does not."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from metaplatform.errors import StorageError
from metaplatform.hosting.services import code_servers
from metaplatform.hosting.serving_record import ServingRecord
from metaplatform.planning.taking import take_book
from metaplatform.resources.book.deployed_book import book_of
from metaplatform.resources.book.live_books import LiveBook, LiveBooks
from metaplatform.specs.book.deployment import Deployment
from metaplatform_tests.live import COUNTRIES, WORKSPACE, running, wait_healthy

EDITED = COUNTRIES.replace("people / 300", "people / 3000")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "book.yaml").write_text(COUNTRIES)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "customers.csv").write_text("customer,country\n1,SE\n")
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    return Deployment(book=tmp_path / "metadata", root=tmp_path / "storage")


def edit(deployment: Deployment) -> None:
    (deployment.book / "book.yaml").write_text(EDITED)


@pytest.fixture
def elsewhere() -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a process that stands for a code server which nobody can ask."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def note_of(deployment: Deployment, pid: int, content: str | None) -> None:
    folder = deployment.root / "book" / "live"
    folder.mkdir(parents=True)
    note = {"started": psutil.Process(pid).create_time(), "pid": pid, "content": content}
    (folder / f"{pid}.json").write_text(json.dumps(note))


def test_where_nothing_is_served_there_is_nothing_to_take(deployment: Deployment) -> None:
    said: list[str] = []
    take_book(deployment, said.append, seconds=0)
    assert said == []


def test_a_code_server_that_serves_the_book_is_left_alone(
    deployment: Deployment, elsewhere: "subprocess.Popen[bytes]"
) -> None:
    note_of(deployment, elsewhere.pid, book_of(deployment).content())
    said: list[str] = []
    take_book(deployment, said.append, seconds=0)
    assert said == []


def test_what_is_served_is_the_book_at_its_source_also_with_folders_beside_it(deployment: Deployment) -> None:
    book = book_of(deployment.model_copy(update={"source_folders": (str(deployment.root),)}))
    assert book.serve_live().content == book.content() != book_of(deployment).content()


def test_a_code_server_that_keeps_another_book_is_named(
    deployment: Deployment, elsewhere: "subprocess.Popen[bytes]"
) -> None:
    note_of(deployment, elsewhere.pid, book_of(deployment).content())
    edit(deployment)
    with pytest.raises(StorageError, match=rf"\(process {elsewhere.pid}\) serves another book .*reload") as refused:
        take_book(deployment, print, seconds=0)
    assert refused.value.owner == "apply"


def test_the_note_of_a_code_server_that_was_killed_counts_for_nothing(
    deployment: Deployment, elsewhere: "subprocess.Popen[bytes]"
) -> None:
    note_of(deployment, elsewhere.pid, "another book")
    elsewhere.kill()
    elsewhere.wait()
    take_book(deployment, print, seconds=0)
    LiveBooks(deployment.root).note("mine")
    assert [path.stem for path in (deployment.root / "book" / "live").iterdir()] == [str(os.getpid())]


@pytest.mark.live
def test_the_code_server_of_ui_takes_an_edit_before_apply_makes_anything(deployment: Deployment) -> None:
    """A sound edit of files waits for a reload; an apply is one."""
    project = deployment.book.parent
    # Below pytest's folder a socket's path would be too long.
    sockets = Path(tempfile.mkdtemp())
    [service] = code_servers(project, sockets, sockets / "workspace.yaml")
    environment = {
        "DAGSTER_HOME": str(project),
        "METAPLATFORM_BOOK": str(deployment.book),
        "METAPLATFORM_ROOT": str(deployment.root),
    }

    def serving() -> LiveBook | None:
        return LiveBooks(deployment.root).newest()

    with running(service, logs=project / "logs", environment=environment, grace_seconds=2) as child:
        ServingRecord.of_this_process("", (service.url,)).write(deployment.root)
        wait_healthy(child)
        before = serving()
        assert before is not None
        assert before.content == book_of(deployment).content()
        edit(deployment)
        said: list[str] = []
        take_book(deployment, said.append)
        after = serving()
        assert after is not None
        assert after.content == book_of(deployment).content() != before.content
        assert after.pid != before.pid
        assert said == ["The code location takes the book as it is now"]
