"""Which books a reader's inputs were made from: found by time, as by a look at every partition."""

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.book.builds import Built, BuiltPartition, Lineages
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.specs.fields.reads import SAME, WHOLE, Reach

DAYS = PartitionSpec(every="day", start="2024-01-01")
MONTHS = PartitionSpec(every="month", start="2024-01", timezone="Europe/Berlin")
KEYS = DAYS.keys_between("2024-01-01", "2024-02-20")
BOOKS = {name: ("hash-" + name, {"raw.orders": name}) for name in "ab"}
REACHES = [SAME, WHOLE, Reach("span", back=(Duration(seconds=3 * 86_400),)), Reach("span", back=None)]


def made(book: str) -> BuiltPartition:
    spec_hash, inputs = BOOKS[book]
    return BuiltPartition(spec_hash, inputs, 1.0, "run")


partitions = st.dictionaries(st.sampled_from([*KEYS, "2023-W07", "no key"]), st.sampled_from("ab"), max_size=20)


@given(partitions, st.sampled_from(KEYS), st.lists(st.sampled_from(REACHES), min_size=1, max_size=2))
def test_a_reader_finds_the_books_of_the_partitions_in_its_reach(
    books: dict[str, str], key: str, reaches: list[Reach]
) -> None:
    built = Built({}, {each: made(book) for each, book in books.items()})
    for reader, part in ((DAYS, key), (MONTHS, key[:7])):
        window = reader.window(part)
        intervals = [reach.interval(window) for reach in reaches]
        within = {
            made(book).lineage
            for each, book in books.items()
            if not DAYS.has(each) or any(interval.overlaps(DAYS.window(each)) for interval in intervals)
        }
        assert Lineages(built, DAYS).found(window, reaches) == "+".join(sorted(within))


@given(partitions)
def test_a_reader_without_partitions_finds_all(books: dict[str, str]) -> None:
    built = Built({}, {each: made(book) for each, book in books.items()})
    every = "+".join(sorted({made(book).lineage for book in books.values()}))
    assert Lineages(built, DAYS).found(None, [WHOLE]) == Lineages(built, None).found(None, [WHOLE]) == every
