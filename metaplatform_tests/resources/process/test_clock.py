"""The clock: now, or a given moment of history."""

from datetime import UTC, datetime, timedelta

import pytest

from metaplatform.errors import StorageError
from metaplatform.resources.process.clock import Clock


def test_the_clock_tells_the_moment_in_utc():
    before = datetime.now(UTC)
    now = Clock().now()
    assert now.tzinfo is UTC
    assert before <= now <= before + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("at", "moment"),
    [
        ("2013-07-01", datetime(2013, 7, 1, tzinfo=UTC)),
        ("2013-07-01T06:30:00", datetime(2013, 7, 1, 6, 30, tzinfo=UTC)),
        ("2013-07-01T06:30:00Z", datetime(2013, 7, 1, 6, 30, tzinfo=UTC)),
        ("2013-07-01T06:30:00+02:00", datetime(2013, 7, 1, 4, 30, tzinfo=UTC)),
    ],
)
def test_a_replay_sets_it_to_a_moment_of_history(at: str, moment: datetime):
    assert Clock(at=at).now() == moment
    assert Clock(at=moment.isoformat()).now() == moment


@pytest.mark.parametrize("at", ["yesterday", "2013-13-01", "7"])
def test_what_is_no_moment_is_refused(at: str):
    with pytest.raises(StorageError, match="write it as in 2013-07-01T00:00:00Z"):
        Clock(at=at).now()
