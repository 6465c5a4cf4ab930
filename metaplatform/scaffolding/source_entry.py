"""A source's files → its entry of the book, each line with what it was inferred from."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from metaplatform.chapters import SOURCES
from metaplatform.errors import DataError
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.sources.column_facts import Step
from metaplatform.resources.sources.samples import Sample
from metaplatform.resources.sources.sampling import sample_source, span_of
from metaplatform.resources.sources.server_urls import scheme_of
from metaplatform.scaffolding.columns import ColumnGuess, guess_column, numbers_written, plain_name
from metaplatform.scaffolding.keys import Key, choose_key
from metaplatform.scaffolding.null_marks import file_wide, left_over
from metaplatform.scaffolding.table_role import Moments, TableRole, role_of
from metaplatform.scaffolding.yaml_text import commented, listed, scalar
from metaplatform.specs.entities.csv_source import CsvSource
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.file_kinds import COMPRESSED, database_kinds, file_kinds, kind_of_file
from metaplatform.specs.entities.ingestion import ARCHIVE, FileSource, Source
from metaplatform.specs.fields.base import ColumnName
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.sql.written_values import PLAIN, Written
from metaplatform.text.plurals import counted

Span = Callable[[str], tuple[datetime, datetime] | None]
"""Returns the first and the last moment of a column, where more is known of it than the sample tells."""
_SPECS: TypeAdapter[Source] = TypeAdapter(SourceSpec)
_WHERE = ("url_env", "path", "table")
_NULL_VALUES = "null_values"
_FEW_ROWS = 20
_MONTHLY_FROM_DAYS, _DAYS_OF_A_MONTH = 60, 30.44
_DAY_IN_NAME, _MONTH_IN_NAME = re.compile(r"\d{4}-?\d{2}-?\d{2}"), re.compile(r"\d{4}-\d{2}")


@dataclass(frozen=True)
class SourceEntry:
    """A source's name, and its lines below ``sources:``."""

    name: str
    lines: tuple[str, ...]


def source_entry(
    path: str, *, folder: Path, project: Path, name: str | None, step: Step = lambda _done, _total: None
) -> SourceEntry:
    """Return the entry of the files that ``path`` names, relative to ``folder``.

    ``project`` is the folder that holds the book: sources' paths start there. ``step`` is told of the columns
    looked at.

    Raises:
        DataError: if the files are of no kind of source, cannot be read, or have no rows or no usable header.
    """
    if (folder / path).is_dir():
        raise DataError(
            owner="new source",
            culprit=f"'{path}' is a folder",
            fix=f"name its files, as in '{(Path(path) / '*.csv').as_posix()}'",
        )
    kind = _kind_of(path)
    shown = _from_project(path, folder, project)
    chosen = name or _default_name(Path(path))
    spec = _plainest({"kind": kind, "name": _safe(chosen), "path": shown})
    sample = sample_source(spec, str(project), step=step)
    return SourceEntry(chosen, tuple(_lines(chosen, spec, sample, lambda _: None)))


def database_entry(
    table: str,
    *,
    url_env: str | None,
    path: str | None,
    folder: Path,
    project: Path,
    name: str | None,
    step: Step = lambda _done, _total: None,
) -> SourceEntry:
    """Return the entry of a table of a database: of the server whose URL a variable holds, or of a file.

    ``path`` is relative to ``folder``, that of the entry to ``project``. The sample is of the first rows; which moments
    there are, the database is asked.

    Raises:
        DataError: if it is of no kind of source, cannot be read, or has no rows.
    """
    given = {"url_env": url_env, "path": _from_project(path, folder, project) if path else None}
    where = {field: value for field, value in given.items() if value}
    if len(where) != 1 or not table:
        fix = "name a file, or a variable with --url-env, and a table of it with --table"
        culprit = "an entry is about files, or about one table of one database"
        raise DataError(owner="new source", culprit=culprit, fix=fix)
    scheme = scheme_of(url_env, owner="new source") if url_env else ""
    kinds = database_kinds(scheme, path or "")
    if not kinds:
        shown = f"the URL in {url_env}" if url_env else f"'{path}'"
        raise DataError(owner="new source", culprit=f"{shown} is of no kind of database", fix="write the entry by hand")
    chosen = name or plain_name(table.rpartition(".")[2], otherwise="source")
    fields = {"kind": kinds[0], "name": _safe(chosen), **where, "table": table}
    spec = _plainest(fields)
    sample = sample_source(spec, str(project), step=step)
    return SourceEntry(chosen, tuple(_lines(chosen, spec, sample, partial(span_of, spec, str(project)))))


def _from_project(path: str, folder: Path, project: Path) -> str:
    absolute = Path(f"{folder.absolute()}/{path}") if not Path(path).is_absolute() else Path(path)
    return absolute.relative_to(project).as_posix() if absolute.is_relative_to(project) else absolute.as_posix()


def _plainest(fields: Mapping[str, str | None]) -> Source:
    """Return a source with no more fields than these.

    Raises:
        DataError: if its kind needs others.
    """
    try:
        return _SPECS.validate_python(fields)
    except ValidationError as error:
        needed = ", ".join(f"`{fault['loc'][-1]}`" for fault in error.errors())
        culprit = f"sources of kind '{fields['kind']}' need {needed}, which files do not tell"
        raise DataError(owner="new source", culprit=culprit, fix="write the entry by hand") from error


def _kind_of(path: str) -> str:
    """Return the kind of source that files of this name are, by their ending.

    Raises:
        DataError: if no kind has such an ending.
    """
    kind = kind_of_file(path)
    if kind is None:
        endings = ", ".join(ending for model in file_kinds().values() for ending in model.endings)
        raise DataError(
            owner="new source",
            culprit=f"'{path}' does not end like the files of any kind of source",
            fix=f"name files that end in one of {endings}, also with {' or '.join(COMPRESSED)}, or in a {ARCHIVE}",
        )
    return kind


def _safe(name: str) -> str:
    try:
        FileSource.model_validate({"name": name, "path": "x"})
    except ValidationError as error:
        message = str(error.errors()[0]["msg"])
        raise DataError(owner="new", culprit=f"'{name}': {message}", fix="give another name with --name") from error
    return name


def _default_name(path: Path) -> str:
    """Return the file's name, or its folder's where the file's is a pattern or a date."""
    stem = path.name.split(".")[0]
    telling = not re.search(r"[*?\[]", stem) and any(letter.isalpha() for letter in stem)
    return plain_name(stem if telling else path.parent.name, otherwise="source")


def _lines(name: str, spec: Source, sample: Sample, span: Span) -> Iterator[str]:
    written = _numbers(spec, sample)
    columns = _guesses(spec, sample, written)
    # A file has a name per column; names that the platform cannot have are told before anything is written.
    _check_names(name, columns)
    yield f"  # Inferred from {_looked_at(spec, sample)}: check, then edit freely."
    if sample.rejected:
        yield f"  # Left out: {' '.join(sample.rejected.split())}"
    yield f"  {name}:"
    yield f"    kind: {spec.kind}"
    yield from (f"    {field}: {scalar(getattr(spec, field))}" for field in _WHERE if getattr(spec, field, None))
    if sample.delimiter not in {None, ","}:
        yield f"    delimiter: {scalar(str(sample.delimiter))}"
    lacking = [column.name for column in columns if column.name in sample.not_everywhere]
    if lacking:
        yield commented("    contract: evolve", f"the first or the last file lacks {', '.join(lacking)}")
    markers = _null_values(spec, sample)
    if markers:
        default = type(spec).model_fields[_NULL_VALUES].default
        yield commented(f"    {_NULL_VALUES}: {listed([*default, *markers])}", "texts that stand for nothing")
    if written is not None and written != PLAIN:
        yield from _marks(written)
    yield "    columns:"
    for column in columns:
        yield commented(f"      {scalar(column.name)}: {_type(column.type)}", column.note)
    formats = [(column.name, column.format) for column in columns if column.format]
    if formats:
        yield "    formats:"
        yield from (f"      {scalar(name)}: {scalar(form)}" for name, form in formats)
    derived = [column.derived for column in columns if column.derived]
    if derived:
        yield "    derive:"
        yield from (f"      {scalar(to)}: {scalar(sql)}" for to, sql in derived)
    key = choose_key(sample)
    role = role_of(sample, columns, key, by_file=_by_file(sample) is not None, now=Clock().now())
    yield from _key(sample, columns, key)
    yield from _time(sample, columns, role, span)


def _looked_at(spec: Source, sample: Sample) -> str:
    of_files = isinstance(spec, FileSource)
    looked = "all" if sample.whole else "the first and last" if of_files else "the first"
    origin = counted(len(sample.paths), "file") if of_files else spec.origin[1]
    return f"{looked} {counted(sample.rows, 'row')} of {origin}"


def _null_values(spec: Source, sample: Sample) -> tuple[str, ...]:
    """Return the texts that the source reads as null besides the empty one, where its kind can."""
    return file_wide(sample.columns) if _NULL_VALUES in type(spec).model_fields else ()


def _numbers(spec: Source, sample: Sample) -> Written | None:
    """Return how the files write numbers, None for kinds that are not told."""
    return numbers_written(sample.columns) if isinstance(spec, CsvSource) else None


def _marks(written: Written) -> Iterator[str]:
    if written.decimal != ".":
        yield commented(f"    decimal: {scalar(written.decimal)}", "in front of decimals, in all columns")
    yield commented(f"    thousands: {scalar(written.thousands)}", "may stand between thousands")


def _guesses(spec: Source, sample: Sample, written: Written | None) -> list[ColumnGuess]:
    taken = [facts.name for facts in sample.columns]
    everywhere = _null_values(spec, sample)
    guesses = []
    for facts in sample.columns:
        marks = left_over(facts, everywhere)
        guess = guess_column(
            facts, rows=sample.rows, taken=taken, as_text=sample.inferred, marks=marks, written=written
        )
        taken += [guess.derived[0]] if guess.derived else []
        guesses.append(guess)
    return guesses


def _check_names(name: str, columns: Sequence[ColumnGuess]) -> None:
    wrong = []
    for column in columns:
        try:
            TypeAdapter(ColumnName).validate_python(column.name)
        except ValidationError:
            wrong.append(repr(column.name))
    if wrong:
        raise DataError(
            owner=SOURCES.ref(name),
            culprit=f"no names of columns: {', '.join(wrong)}",
            fix="rename them in the file: 1 to 128 printable characters, no underscore in front",
        )


def _type(kind: str) -> str:
    return kind if re.fullmatch(r"[a-z][a-z0-9 ]*", kind) else scalar(kind)


def _key(sample: Sample, columns: Sequence[ColumnGuess], key: Key) -> Iterator[str]:
    if not key.columns:
        yield "    # key: []  # no column, pair or triple of columns is unique and never null in the sample"
        return
    # What a column says of time stands in the column derived from it, where there is one.
    named = {column.name: column.time or column.name for column in columns}
    shown = [listed(named[name] for name in each) for each in key.others]
    others = f"; so are: {' '.join(shown[:3])}" if shown else ""
    doubt = "; few rows: check" if sample.rows < _FEW_ROWS else ""
    line = f"    key: {listed(named[name] for name in key.columns)}"
    yield commented(line, f"unique and never null in the sample{others}{doubt}")


def _time(sample: Sample, columns: Sequence[ColumnGuess], role: TableRole, span: Span) -> Iterator[str]:
    """Yield event timestamp and partitions, if the rows are events; for a table of things, what could be one."""
    if not role.moments:
        partly = next((scalar(column.time) for column in columns if column.time and not column.full), "")
        why = "no column has a moment for every row; features in time, and models, need one"
        yield f"    # event_timestamp:{f' {partly}' if partly else ''}  # {why}"
        return
    chosen = role.moments[0]
    at = scalar(str(chosen.guess.time))
    if not role.is_stream:
        why = f"taken for facts of things, not for events ({role.why}); name it if rows happen then"
        yield commented(f"    # event_timestamp: {at}", why)
        return
    others = ", ".join(str(each.guess.time) for each in role.moments[1:4])
    yield commented(f"    event_timestamp: {at}", f"the moment a row is about{f'; or: {others}' if others else ''}")
    known = span(chosen.guess.name) if not sample.whole and chosen.guess.time == chosen.guess.name else None
    if known:
        yield from _partitions(sample, replace(chosen, first=known[0], last=known[1]), "table")
    else:
        yield from _partitions(sample, chosen, "sample")


def _partitions(sample: Sample, chosen: Moments, seen: str) -> Iterator[str]:
    days = (chosen.last - chosen.first).days
    if days < 1:
        yield "    # partitions:  # all rows are of one day"
        return
    every, why = _granularity(sample, chosen, days, seen)
    if every is None:
        yield f"    # partitions:  # {why}"
    else:
        start = chosen.first.strftime(PartitionSpec.model_validate({"every": every, "start": _any_start(every)}).format)
        comment = f"{why}; {chosen.first:%Y-%m-%d} to {chosen.last:%Y-%m-%d} in the {seen}"
        yield commented(f"    partitions: {{every: {every}, start: {start}}}", comment)
    yield "    # outcomes: {columns: [], delay: 1 day}  # columns known only later: name them, or a feature may peek"


def _by_file(sample: Sample) -> str | None:
    """Return whether the files are named by day or by month; None if they are not."""
    names = [path.name for path in sample.paths]
    if len(names) > 1 and all(_DAY_IN_NAME.search(name) for name in names):
        return "day"
    if len(names) > 1 and all(_MONTH_IN_NAME.search(name) for name in names):
        return "month"
    return None


def _granularity(sample: Sample, chosen: Moments, days: int, seen: str) -> tuple[str | None, str]:
    by_file = _by_file(sample)
    if by_file is not None:
        return by_file, f"the files are named by {by_file}"
    if days < _MONTHLY_FROM_DAYS:
        return "day", f"the {seen} spans {counted(days, 'day')}"
    if chosen.grain in {"quarter", "year"} or chosen.facts.daily * _DAYS_OF_A_MONTH < 1:
        return None, f"hardly a row a month in {counted(days, 'day')}: made whole"
    return "month", f"the {seen} spans {counted(days, 'day')}"


def _any_start(every: str) -> str:
    return "2000-01" if every == "month" else "2000-01-01"
