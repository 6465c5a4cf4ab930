"""Books made to break their reader: a clear fault, in bounded time and memory, nothing run and nothing written.

All are read in one child process with limits of its own. The bounds are generous: they tell a reader that
grows with the square of its text from one that does not, and are no measurement.
"""

# ruff: noqa: S608 — the SQL is what is made here

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SECONDS = 60
MEGABYTES = 1_500
READER = """
import json, resource, sys, time
from pathlib import Path
limit = int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit * 4, limit * 4))
resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.specs.loading import read_book
for folder in sorted(Path(sys.argv[2]).iterdir()):
    started = time.process_time()
    manifest, issues = read_book(folder / "metadata")
    found = {
        "name": folder.name,
        "seconds": time.process_time() - started,
        "megabytes": peak_memory(),
        "count": len(issues),
        "rules": sorted({issue.rule for issue in issues if issue.severity == "error"}),
        "culprits": max((len(issue.culprit) for issue in issues), default=0),
        "sound": manifest is not None,
    }
    print(json.dumps(found), flush=True)
"""
SOURCE = "sources:\n  t: {kind: csv, path: x.csv, columns: {a: bigint, b: varchar}}\n"


def derived(sql: str) -> str:
    return (
        SOURCE + f"  s: {{kind: csv, path: x, columns: {{a: bigint, b: varchar}}, derive: {{x: {json.dumps(sql)}}}}}\n"
    )


def query(sql: str) -> str:
    return SOURCE + f"tables:\n  q: {{sql: {json.dumps(sql)}}}\n"


def partitioned(start: str, timezone: str) -> str:
    every = f"{{every: day, start: {start}, timezone: {timezone}}}"
    return f"sources:\n  s: {{kind: csv, path: x, event_timestamp: a, partitions: {every}}}\n"


def doubled(step: str) -> str:
    steps = "".join(f", c{number} as ({step.replace('?', f'c{number - 1}')})" for number in range(1, 40))
    return query(f"with c0 as (select a, b from raw.t){steps} select a from c39")


def many(chapter: str, entity: str, count: int) -> str:
    return f"{chapter}:\n" + "".join(f"  {entity.replace('?', str(number))}\n" for number in range(count))


LEVELS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
UNKNOWN = ", ".join(f"c{number}" for number in range(5_000))
BOOKS: dict[str, tuple[str, list[str]]] = {
    "parentheses": (derived("(" * 5_000 + "1" + ")" * 5_000), ["sql-syntax"]),
    "nots": (derived("not " * 9_000 + "true"), ["sql-syntax"]),
    "minuses": (derived("- " * 15_000 + "1"), ["sql-syntax"]),
    "brackets": (derived("[" * 15_000 + "1" + "]" * 15_000), ["sql-syntax"]),
    "cases": (derived("case when true then " * 1_500 + "1" + " end" * 1_500), ["sql-syntax"]),
    "calls": (derived("abs(" * 7_000 + "1" + ")" * 7_000), ["sql-syntax"]),
    "subqueries": (
        query("select 1 as x from " + "(select 1 as x from " * 900 + "raw.t" + ") as y" * 900),
        ["sql-syntax"],
    ),
    "long sum": (derived("a" + " + a" * 9_000), []),
    "long or": (derived("a = 1" + " or a = 1" * 4_000), []),
    "four megabytes": (derived("a" + " + a" * 1_000_000), ["sql-too-long"]),
    "long list": (derived("a in (" + ",".join(["1"] * 9_000) + ")"), []),
    "unknown columns": (query(f"select {UNKNOWN} from raw.t"), ["unknown-column"]),
    "joins that double": (doubled("select x.a, x.b from ? as x join ? as y using (a)"), []),
    "stars that double": (doubled("select x.*, y.* from ? as x, ? as y"), []),
    "aliases": (f"a0: &a0 [x]\n{LEVELS}", ["yaml-syntax"]),
    "aliases of sql": (
        f"{SOURCE}tables:\n  q: {{sql: &s 'select {UNKNOWN} from raw.t'}}\n"
        + "".join(f"  q{number}: {{sql: *s}}\n" for number in range(3_000)),
        ["yaml-syntax"],
    ),
    "nesting": ("sources: " + "[" * 100_000, ["yaml-syntax"]),
    "flow nesting": ("sources: " + "{a: " * 100_000, ["yaml-syntax"]),
    "entities": (many("sources", "s?: {kind: csv, path: x, key: [zz]}", 5_000), []),
    "broken entities": (many("sources", "s?: {kind: csv, pth: x}", 3_000), ["missing-key", "unknown-key"][1:]),
    "broken references": (
        many("sources", "source_?: {kind: csv, path: x}", 1_500)
        + many("outputs", "o?: {kind: csv, table: raw.sourse_?}", 1_500),
        ["unknown-reference"],
    ),
    "keys": (
        "tables:\n  q:\n" + "".join(f"    k{number}: 1\n" for number in range(10_000)),
        ["missing-key", "unknown-key"],
    ),
    "columns": (
        "sources:\n  q:\n    kind: csv\n    path: x\n    columns:\n"
        + "".join(f"      k{number}: intt\n" for number in range(6_000)),
        ["unknown-type"],
    ),
    "repeated keys": (
        "tables:\n  q:\n    sql: select 1 as x\n" + "    k: 1\n" * 10_000,
        ["duplicate-key", "unknown-key"],
    ),
    "long name": ("tables:\n  ? " + "a" * 1_000_000 + "\n  : {sql: select 1 as x}\n", ["invalid-value"]),
    "path in a name": (
        "tables:\n  ../../x: {sql: select 1 as x}\n  /etc/passwd: {sql: select 1 as x}\n",
        ["invalid-value"],
    ),
    "sql in a name": ('tables:\n  "x\'; drop table raw.t; --": {sql: select 1 as x}\n', ["invalid-value"]),
    "right to left": (
        'tables:\n  "a\\u202eb": {sql: select 1 as x}\n  "a\\u200b": {sql: select 1 as x}\n',
        ["invalid-value"],
    ),
    "long zone": (partitioned("2024-01-01", "a" * 300), ["invalid-value"]),
    "zone that is a folder": (partitioned("2024-01-01", "Europe"), ["invalid-value"]),
    "zone that is a path": (partitioned("2024-01-01", "../../../etc/passwd"), ["invalid-value"]),
    "last day": (partitioned("9999-12-31", "America/New_York"), ["invalid-value"]),
    "first day": (partitioned("0001-01-01", "Asia/Tokyo"), ["invalid-value"]),
    "nested type": (
        "sources:\n  s: {kind: csv, path: x, columns: {a: 'int" + "[]" * 100_000 + "'}}\n",
        ["unknown-type"],
    ),
    "paths out": ("sources:\n  s: {kind: csv, path: ../../../etc/*}\n", ["invalid-path"]),
    "stars in a path": ("sources:\n  s: {kind: csv, path: data/" + "**/" * 30 + "x.csv}\n", ["invalid-path"]),
    "package that would run": ("sources:\n  s: {kind: csv, path: x, package: antigravity.x}\n", ["invalid-value"]),
    "tag of python": ("sources: !!python/object/apply:os.system ['touch RAN']\n", ["wrong-type"]),
    **{
        f"reaches out {number}": (query(sql), rules)
        for number, (sql, rules) in enumerate(
            [
                ("select * from read_csv('/etc/passwd')", ["forbidden-sql"]),
                ("select * from read_text('/etc/passwd')", ["forbidden-sql"]),
                ("select * from glob('/*')", ["forbidden-sql"]),
                ("select * from '/etc/passwd'", ["unknown-reference"]),
                ("select * from duckdb_settings()", ["forbidden-sql"]),
                ("attach '/tmp/x.db'", ["sql-syntax"]),
                ("copy raw.t to '/tmp/RAN'", ["sql-syntax"]),
                ("pragma database_list", ["sql-syntax"]),
                ("install httpfs", ["sql-syntax"]),
                ("call pragma_version()", ["sql-syntax"]),
                ("select getenv('HOME') as x from raw.t", ["unknown-function"]),
                ("select current_setting('threads') as x from raw.t", ["unknown-function"]),
                ("select query('select 1') as x from raw.t", ["unknown-function"]),
                ("select a from raw.t; drop table raw.t", ["sql-syntax"]),
                ("with x as (delete from raw.t returning a) select a from x", ["forbidden-sql"]),
                ("select a from raw.t into outfile '/tmp/RAN'", ["sql-syntax"]),
            ]
        )
    },
}


@dataclass(frozen=True)
class Reading:
    """What the child said of one book."""

    name: str
    seconds: float
    megabytes: float
    count: int
    rules: list[str]
    culprits: int
    sound: bool


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reading]:
    root = tmp_path_factory.mktemp("hostile")
    for name, (text, _) in BOOKS.items():
        folder = root / name / "metadata"
        folder.mkdir(parents=True)
        (folder / "book.yaml").write_text(text, encoding="utf-8")
    _unlike_any_text(root)
    before = sorted(root.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", READER, str(MEGABYTES), str(root)],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    found = {line["name"]: Reading(**line) for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, f"after {list(found)[-1:]}: {done.stderr[-2_000:]}"
    assert sorted(root.rglob("*")) == before
    return found


def _unlike_any_text(root: Path) -> None:
    """Make the books that are more, or other, than one file of text."""
    for name in ("fifty megabytes", "thousands of files", "odd files", "deep folders"):
        (root / name / "metadata").mkdir(parents=True)
    with (root / "fifty megabytes" / "metadata" / "big.yaml").open("w") as file:
        file.write("sources:\n" + "  # nothing\n" * 4_500_000)
    (root / "thousands of files" / "metadata" / "book.yaml").write_text("spec_version: 2\n")
    for number in range(1_500):
        text = f"sources:\n  s{number}: {{kind: csv, path: x}}\n"
        (root / "thousands of files" / "metadata" / f"{number}.yaml").write_text(text)
    odd = root / "odd files" / "metadata"
    os.mkfifo(odd / "pipe.yaml")
    (odd / "zero.yaml").symlink_to("/dev/zero")
    (odd / "passwd.yaml").symlink_to("/etc/passwd")
    (odd / "loop.yaml").symlink_to("loop.yaml")
    (odd / "up").symlink_to("..")
    (odd / "folder.yaml").mkdir()
    (root / "deep folders" / "metadata" / "/".join(["d"] * 200)).mkdir(parents=True)
    (root / "deep folders" / "metadata" / "a.yaml").write_text("sources: {}\n")


@pytest.mark.parametrize("name", BOOKS)
def test_a_hostile_book_is_a_clear_fault_in_bounded_time_and_memory(name: str, readings: dict[str, Reading]):
    reading, (_, rules) = readings[name], BOOKS[name]
    assert reading.seconds < SECONDS
    assert reading.megabytes < MEGABYTES
    assert (reading.rules, reading.sound) == (rules, not rules)


def test_of_a_file_that_is_too_large_nothing_is_read(readings: dict[str, Reading]):
    assert readings["fifty megabytes"].rules == ["file-too-large"]
    assert readings["fifty megabytes"].seconds < 1


def test_thousands_of_files_are_a_book(readings: dict[str, Reading]):
    assert (readings["thousands of files"].sound, readings["thousands of files"].count) == (True, 1_500)
    assert readings["thousands of files"].seconds < SECONDS


def test_what_is_no_file_or_leads_elsewhere_is_neither_waited_for_nor_followed(readings: dict[str, Reading]):
    assert readings["odd files"].rules == ["link-not-followed", "unreadable-file"]
    assert readings["odd files"].count == 5
    assert readings["deep folders"].seconds < SECONDS
