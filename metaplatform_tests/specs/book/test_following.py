"""What whole partitions can tell of new rows is what spans of time tell; where it is not, it is said."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.book.following import NOTHING, Followed, Following
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.specs.fields.reads import SAME, WHOLE, Reach

LINES = {
    every: PartitionSpec(every=every, start=start)
    for every, start in [("hour", "2024-01-01T00"), ("day", "2024-01-01"), ("month", "2024-01")]
}
SPANS = st.integers(0, 60 * 24 * 40).map(lambda minutes: Duration(seconds=60 * minutes))


def following(reach: Reach | None, reader: PartitionSpec | None, read: PartitionSpec | None) -> Following:
    lines = {"features.reader": reader, "raw.read": read}
    tracked = {"features.reader": {"raw.read": (reach,)} if reach else {}}
    return Following(tracked, {"features.reader": ("raw.read",)}, lines.__getitem__)


def followed(reach: Reach | None, reader: PartitionSpec | None, read: PartitionSpec | None) -> Followed:
    return following(reach, reader, read).of("features.reader", "raw.read")


@given(back=SPANS, ahead=SPANS, delay=SPANS, every=st.sampled_from(["hour", "day"]), day=st.integers(0, 700))
def test_partitions_followed_are_those_that_a_span_touches(
    back: Duration, ahead: Duration, delay: Duration, every: str, day: int
) -> None:
    line, reach = LINES[every], Reach("span", (back, delay), ahead, delay)
    found = followed(reach, line, line)
    assert found.offsets is not None
    start = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(day)
    step = line.after(start) - start
    window = line.window(line.key_of(start))
    read = reach.interval(window)
    touched = [
        offset
        for offset in range(-2000, 2000)
        if read.start < window.start + step * (offset + 1) and window.start + step * offset < read.end
    ]
    first, last = found.offsets
    followed_partitions = list(range(first, last + 1))
    assert len(followed_partitions) <= 99
    if found.exact:
        assert followed_partitions == touched
    else:
        assert len(touched) > 99


def test_what_whole_partitions_cannot_tell_is_said() -> None:
    hour, day, month = LINES.values()
    week = Reach("span", (Duration(seconds=7 * 86_400),))
    assert followed(SAME, day, day) == Followed((0, 0), exact=True)
    assert followed(week, day, day) == Followed((-7, 0), exact=True)
    assert followed(None, day, day) == Followed(NOTHING, exact=True), "facts as they were, orders, reactions"
    assert followed(Reach("span", None), day, day) == Followed((-98, 0), exact=False)
    assert followed(WHOLE, day, day) == Followed((-49, 49), exact=False)
    assert followed(week, month, day) == Followed((-1, 0), exact=False)
    assert followed(week, day, hour) == Followed((-3, 0), exact=False), "99 hours, and no more"
    assert followed(WHOLE, None, day) == Followed(None, exact=False)
    assert followed(WHOLE, day, None) == followed(WHOLE, None, None) == Followed(None, exact=True)
    assert followed(week, day, None) == Followed(None, exact=False)
    assert following(week, day, None).untold("features.reader") == ("raw.read",)


def test_rows_without_partitions_are_told_where_all_readers_read_all_of_them() -> None:
    day = LINES["day"]
    assert following(WHOLE, day, None).counts("raw.read")
    assert not following(None, day, None).counts("raw.read"), "a lookup, or a model"
    assert not following(Reach("span", ()), day, None).counts("raw.read")
    assert following(None, day, day).counts("raw.read")
