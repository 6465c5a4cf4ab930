"""The kind of source ``csv``: delimited text, however the program wrote it that the files are from."""

import codecs
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from sqlglot.errors import ParseError

from metaplatform.specs.entities.ingestion import FileSource
from metaplatform.specs.fields.base import ColumnName, Many
from metaplatform.sql.dialect import type_of
from metaplatform.sql.written_values import Written, fault_of_format, is_moment

UTF_8 = "utf-8"
"""The encoding of text that is read as it is."""
_MOST_LINES = 1_000


def _check_encoding(value: str) -> str:
    try:
        found = codecs.lookup(value)
    except LookupError as error:
        raise ValueError(f"'{value}' is not an encoding: utf-8, utf-16, cp1252 and others of Python's are") from error
    # Some of Python's codecs are of bytes, and read no text.
    if not getattr(found, "_is_text_encoding", True):
        raise ValueError(f"'{value}' is not an encoding of text")
    return UTF_8 if found.name in {UTF_8, f"{UTF_8}-sig"} else value


def _check_format(value: str) -> str:
    fault = fault_of_format(value)
    if fault:
        raise ValueError(f"'{value}': {fault}")
    return value


Mark = Annotated[str | None, Field(min_length=1, max_length=1)]
Lines = Annotated[int, Field(ge=0, le=_MOST_LINES)]
Format = Annotated[str, AfterValidator(_check_format)]


class CsvSource(FileSource):
    """Delimited text.

    ``delimiter`` stands between the values of a line (default: found from the file); a blank means any run of blanks
    and tabs. A value in ``quote`` may hold delimiters and line breaks (an empty text: no value is in quotes), and
    ``escape`` stands in front of a quote inside (default: the quote, written twice). ``encoding`` is that of the text.

    Of the lines, ``skip_lines`` stand above the header, which is made of ``header_lines``: the names in several are
    joined by an underscore, and one above others stands for all below it that have none above. Without a header,
    ``columns`` name the values in their order (``column_1`` and so on, if none are declared). ``footer_lines`` at the
    end are not rows. What follows ``comment`` in a line is not read. ``row_names`` names a first column that the header
    leaves out.

    ``decimal`` stands in front of a number's decimals, ``thousands`` between its thousands. ``formats`` says for
    declared columns how dates and times are written, in the directives of strptime. ``null_values`` are read as null.
    """

    endings = (".csv", ".tsv", ".tab", ".txt")
    kind: Literal["csv"]
    delimiter: Mark = None
    quote: Annotated[str, Field(max_length=1)] = '"'
    escape: Mark = None
    encoding: Annotated[str, AfterValidator(_check_encoding)] = UTF_8
    skip_lines: Lines = 0
    header_lines: Annotated[int, Field(ge=0, le=10)] = 1
    footer_lines: Lines = 0
    comment: Mark = None
    row_names: ColumnName | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'", "_"] | None = None
    formats: dict[ColumnName, Format] = Field(default_factory=dict)
    null_values: Many[str] = ("",)

    @property
    def written(self) -> Written:
        """Return how numbers and moments are written."""
        return Written(self.decimal, self.thousands or "", self.formats)

    @property
    def later_fields(self) -> frozenset[str]:
        """Return the fields without which a raw table has the hash that earlier releases gave it."""
        marks = {"quote", "escape", "encoding", "comment", "row_names", "decimal", "thousands", "formats"}
        return super().later_fields | marks | {"skip_lines", "header_lines", "footer_lines"}

    @model_validator(mode="after")
    def _marks_differ(self) -> "CsvSource":
        chosen = {"delimiter": self.delimiter, "quote": self.quote, "comment": self.comment, "decimal": self.decimal}
        for one, other in (("delimiter", "quote"), ("delimiter", "comment"), ("quote", "comment")):
            if chosen[one] and chosen[one] == chosen[other]:
                raise ValueError(f"{one} and {other} are both '{chosen[one]}'")
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both '{self.decimal}'")
        if self.escape and not self.quote:
            raise ValueError("escape is for values in quotes, and quote is empty")
        if self.row_names is not None and not self.header_lines:
            raise ValueError("row_names names what a header leaves out, and there is none")
        return self

    @model_validator(mode="after")
    def _formats_are_of_moments(self) -> "CsvSource":
        for name in self.formats:
            if name not in self.columns:
                raise ValueError(f"formats: {name} must be among the declared columns, with the type that it has")
            try:
                target = type_of(self.columns[name])
            except ParseError:
                continue
            if not is_moment(target):
                raise ValueError(f"formats: {name} is declared as {self.columns[name]}, not as a date or time")
        return self
