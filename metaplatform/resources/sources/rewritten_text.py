"""Text that DuckDB cannot read as it is, written again line by line: in UTF-8, without footer and runs of blanks."""

import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pyarrow as pa

from metaplatform.errors import DataError
from metaplatform.naming import stable_id
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.specs.entities.csv_source import UTF_8, CsvSource

BLANK = " "
"""The delimiter that stands for any run of blanks and tabs."""


def rewritten(file: OpenedFile, spec: CsvSource, folder: Path, *, most: int | None = None) -> OpenedFile:
    """Return a file as DuckDB can read it: itself, or what is written of it below ``folder``, line for line.

    ``most`` is how many characters are wanted, if not all: of more, the last line is left out, and no footer.

    Raises:
        DataError: if the file is not in its declared encoding.
    """
    if (spec.encoding, spec.footer_lines) == (UTF_8, 0) and spec.delimiter != BLANK:
        return file
    target = folder / f"rewritten-{stable_id(file.path)}.csv"
    ended = True
    try:
        with _opened(file.path, spec.encoding) as text, target.open("w", encoding=UTF_8, newline="") as copy:
            lines: Iterable[str] = text
            if most is not None:
                lines, ended = _first(text, most)
            if ended:
                lines = _without_last(lines, spec.footer_lines)
            copy.writelines(_with_single_blanks(lines, spec.quote) if spec.delimiter == BLANK else lines)
    except UnicodeError as error:
        culprit = f"{file.name} is not {spec.encoding}: {getattr(error, 'reason', error)}"
        raise DataError(owner=spec.ref, culprit=culprit, fix="correct `encoding`") from error
    return OpenedFile(target, file.name, file.origin, whole=file.whole and ended)


def _opened(path: Path, encoding: str) -> io.TextIOWrapper:
    """Open a file of text, decompressed if its name says so; line ends stay as they are."""
    stream = pa.input_stream(str(path), compression="detect")
    return io.TextIOWrapper(io.BufferedReader(cast("io.RawIOBase", stream)), encoding=encoding, newline="")


def _first(text: io.TextIOWrapper, most: int) -> tuple[list[str], bool]:
    """Return the whole lines among the first characters, and whether these are all there are."""
    found = text.read(most + 1)
    lines = io.StringIO(found, newline="").readlines()
    return (lines, True) if len(found) <= most else (lines[:-1], False)


def _without_last(lines: Iterable[str], count: int) -> Iterator[str]:
    """Yield the lines but the last ones that are not blank, which a footer is made of."""
    held: deque[str] = deque()
    told = 0
    for line in lines:
        held.append(line)
        told += bool(line.strip())
        while told > count:
            first = held.popleft()
            told -= bool(first.strip())
            yield first


def _with_single_blanks(lines: Iterable[str], quote: str) -> Iterator[str]:
    """Yield the lines with one blank for each run outside of quotes, and none at their ends."""
    mark = re.escape(quote)
    runs = re.compile(rf"({mark}[^{mark}]*{mark})|[ \t]+" if quote else r"()[ \t]+")
    for line in lines:
        text = line.rstrip("\r\n")
        yield runs.sub(lambda run: run[1] or BLANK, text.strip(" \t")) + line[len(text) :]
