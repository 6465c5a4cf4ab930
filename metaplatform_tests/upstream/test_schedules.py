"""What replays rely on: the daemon takes its ticks from the iterator that they take theirs from."""

from dagster._core.remote_representation import external
from dagster._utils.schedules import schedule_execution_time_iterator


def test_the_daemons_ticks_come_from_the_iterator_that_replays_use() -> None:
    assert external.schedule_execution_time_iterator is schedule_execution_time_iterator
