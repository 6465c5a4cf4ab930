"""A run that is told to stop in the middle of its work fails as interrupted, and Dagster tries it again."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG, WILL_RETRY_TAG
from dagster._utils.interrupts import capture_interrupts

from metaplatform.errors import DataError
from metaplatform.resources.engine.interruptions import interruptions_noted, interruptions_pass
from metaplatform.resources.engine.session import Session
from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform.resources.storage.warehouse import Warehouse

ENDLESS = "select count(*) as rows from range(1000000000000) as numbers(i) where hash(i) = 3"
STREAM = "select i from range(1000000000000) as numbers(i)"


def endless_query(session: Session) -> None:
    session.keep(session.backend.sql(ENDLESS))


def endless_result(session: Session) -> None:
    session.stream(session.backend.sql(ENDLESS)).read_all()


def endless_stream(session: Session) -> None:
    for _ in session.stream(session.backend.sql(STREAM).filter(lambda table: table.i % 7 == 3)):
        pass


def endless_file(session: Session) -> None:
    session.export(session.backend.sql(STREAM), session.folder / "all.csv", kind="csv")


def wrapped(session: Session) -> None:
    """Stand for any library that turns what stopped it into its own error, and our code on top of it."""
    try:
        endless_query(session)
    except Exception as error:
        raise DataError(owner="tables.any", culprit=str(error), fix="correct the SQL in the book") from error


@contextmanager
def told_to_stop(number: int) -> Iterator[None]:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), number))
    timer.start()
    try:
        yield
    finally:
        timer.join()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(write_dagster_home(tmp_path_factory.mktemp("dagster")))) as loaded:
        yield loaded


@pytest.mark.parametrize(
    ("work", "number"),
    [
        (endless_query, signal.SIGTERM),
        (endless_query, signal.SIGINT),
        (endless_result, signal.SIGTERM),
        (endless_stream, signal.SIGTERM),
        (endless_file, signal.SIGTERM),
        (wrapped, signal.SIGTERM),
    ],
)
def test_a_run_interrupted_within_a_query_is_tried_again(
    tmp_path: Path, instance: dg.DagsterInstance, work: Callable[[Session], None], number: int
) -> None:
    warehouse = Warehouse(root=str(tmp_path))

    @dg.asset
    def first() -> None:
        with told_to_stop(number), warehouse.session() as session:
            work(session)

    result = dg.materialize([first], instance=instance, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[RUN_FAILURE_REASON_TAG] == "UNEXPECTED_TERMINATION"
    assert run.tags[WILL_RETRY_TAG] == "true"


def test_a_step_that_fails_by_itself_is_not_an_interruption(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no_such_function"), Warehouse(root=str(tmp_path)).session() as session:
        session.keep(session.backend.sql("select no_such_function(1) as x", schema={"x": "int64"}))


def test_an_error_met_while_cleaning_up_after_an_interruption_is_the_interruption() -> None:
    def work() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            pa.array([1, "a"])

    with pytest.raises(KeyboardInterrupt), interruptions_pass():
        work()


def test_a_generator_that_was_closed_interrupts_nothing() -> None:
    error = ValueError("closed")
    error.__cause__ = GeneratorExit()
    with pytest.raises(ValueError, match="closed"), interruptions_pass():
        raise error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_dagster_holds_back_and_forgets_is_noted(number: signal.Signals) -> None:
    with interruptions_noted() as interrupted:
        with capture_interrupts():
            assert not interrupted()
            os.kill(os.getpid(), number)
        assert interrupted()
        assert not interrupted(), "it is told once"


def test_other_signals_are_not_noted() -> None:
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    try:
        with interruptions_noted() as interrupted:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGUSR1, before)
