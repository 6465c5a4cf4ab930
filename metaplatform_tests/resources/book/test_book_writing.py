"""A book pulled from a database says in its files what it says in its rows, whatever the texts."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from metaplatform.resources.book.book_sightings import BookSightings
from metaplatform.resources.book.book_writing import write_book
from metaplatform.specs.loading import load_book

texts = st.text(
    st.one_of(
        st.sampled_from("\n\r\t \x85\u2028\u2029\ufeff'\"#:-?&*!|>%@`{}[]$\\"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=40,
)


@given(texts, texts)
@settings(max_examples=150)
@example("${not a parameter} $${", "$${")
@example("\x85next line", "two\n  lines, the second one indented")
def test_any_text_of_a_row_comes_back_from_the_file_of_a_pull(description: str, null_value: str) -> None:
    body = {"kind": "csv", "path": "data/*.csv", "description": description, "null_values": [null_value]}
    with TemporaryDirectory() as folder:
        book = Path(folder, "metadata")
        write_book({"sources": {"orders": body}}, book, BookSightings(Path(folder, "root"), book), force=False)
        source = load_book(book).sources["orders"]
    assert (source.description, source.null_values) == (description, (null_value,))
