"""The house rules, read off the source: each offender is named, so that a failure says what to correct."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from metaplatform import places
from metaplatform.sql.duckdb_functions import CALLED

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "metaplatform"

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
BANNED_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "shared", "process_data"}
# Seconds and hundreds of megabytes each: loading the definitions must need none of them.
HEAVY = {"dagster_mlflow", "evidently", "matplotlib", "mlflow", "pandas", "plotly", "scipy", "sklearn", "xgboost"}
UNSAFE = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve", "skops"}
WALL_CLOCK = {
    *(("datetime", name) for name in ("now", "utcnow", "today")),
    *(("Timestamp", name) for name in ("now", "utcnow", "today")),
    *(("time", name) for name in ("time", "time_ns", "localtime", "gmtime", "ctime")),
    ("date", "today"),
    ("ibis", "now"),
    ("ibis", "today"),
}


@cache
def sources() -> dict[str, ast.Module]:
    """Return every module of the package, parsed, by its path from the repository."""
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def offenders(find: Callable[[ast.Module], Iterator[tuple[int, str]]], *, but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{file}:{line} {what}"
        for file, tree in sources().items()
        if not file.startswith(but)
        for line, what in find(tree)
    ]


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and full name of what is imported anywhere in ``tree``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def at_import_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when a module is imported: all but bodies of functions and what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING"
        if not for_types and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_import_time(child)


def test_imports_go_down_only() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_has_outgrown_one_reading() -> None:
    lengths = {file: len((ROOT / file).read_text().splitlines()) for file in sources()}
    assert {file: lines for file, lines in lengths.items() if lines >= MAX_FILE_LINES} == {}


def test_no_function_has_outgrown_one_screen() -> None:
    def long_functions(tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node, clean=False)
                lines = (node.end_lineno or 0) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
                if lines > MAX_FUNCTION_LINES:
                    yield node.lineno, f"{node.name}: {lines} lines"

    assert offenders(long_functions) == []


def test_modules_are_named_for_what_they_are_about() -> None:
    assert [file for file in sources() if BANNED_NAMES & set(Path(file).with_suffix("").parts)] == []


def test_only_the_clock_asks_what_time_it_is() -> None:
    def readings(tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
                if (owner, node.attr) in WALL_CLOCK:
                    yield node.lineno, f"{owner}.{node.attr}"
        yield from ((line, name) for line, name in imported(tree) if tuple(name.split(".")) in WALL_CLOCK)

    assert offenders(readings, but=("metaplatform/resources/process/clock.py",)) == []


def test_no_module_can_load_a_pickle() -> None:
    def unsafe(tree: ast.Module) -> Iterator[tuple[int, str]]:
        yield from ((line, name) for line, name in imported(tree) if name.split(".")[0] in UNSAFE)

    assert offenders(unsafe) == []


def test_only_the_command_line_prints() -> None:
    def prints(tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                yield node.lineno, "print"

    assert offenders(prints, but=("metaplatform/cli/",)) == []


def test_annotations_are_real_where_dagster_and_pydantic_read_them() -> None:
    def postponed(tree: ast.Module) -> Iterator[tuple[int, str]]:
        yield from ((line, name) for line, name in imported(tree) if name.startswith("__future__."))

    assert offenders(postponed) == []


def test_heavy_libraries_are_imported_in_the_step_that_uses_them() -> None:
    def heavy(tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in at_import_time(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from ((line, name) for line, name in imported(node) if name.split(".")[0] in HEAVY)

    assert offenders(heavy) == []


def test_importing_everything_but_the_two_that_act_on_import_loads_no_heavy_library() -> None:
    names = [file.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in sources()]
    code = "import importlib, sys\nfor name in sys.argv[1].split(): importlib.import_module(name)\nprint(*sys.modules)"
    modules = " ".join(name for name in names if name not in {"metaplatform.__main__", "metaplatform.definitions"})
    done = subprocess.run([sys.executable, "-c", code, modules], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert HEAVY & set(done.stdout.split()) == set()


# Brackets keep this file from naming what it looks for.
FOREIGN = {
    "a package index": r"index[-_]url|find[-_]links|\"resolved\": \"http|registry = \"http|://[^\s\"']+\.(whl|tar\.gz)\b",
    "a path of one machine": r"(?<![\w.)}*-])/(home|r[o]ot|Us[e]rs|w[o]rk)/\w",
}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_where_packages_come_from_or_a_path_of_one_machine() -> None:
    found = []
    for file in tracked_files():
        text = file.read_bytes().decode("utf-8", errors="ignore")
        for what, pattern in FOREIGN.items():
            found += [f"{file.relative_to(ROOT)}: {what}: {hit.group()}" for hit in re.finditer(pattern, text)]
    assert found == []


def test_places_below_the_storage_root_are_named_once() -> None:
    telling = {name for name in vars(places).values() if isinstance(name, str) and re.fullmatch(r"[\w/]+[./]\w+", name)}
    telling.add(places.MODEL_FILES)

    def named(tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in telling:
                yield node.lineno, str(node.value)

    assert offenders(named, but=("metaplatform/places.py",)) == []


def engine_named(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield what depends on the engine: its modules, its name as a dialect or a backend, its connection."""
    yield from ((line, name) for line, name in imported(tree) if "duckdb" in name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value == "duckdb":
            yield node.lineno, "'duckdb'"
        elif isinstance(node, ast.Attribute) and (node.attr in {"con", "raw_sql"} or node.attr.startswith("duckdb")):
            yield node.lineno, f".{node.attr}"


NAMES_THE_ENGINE = {
    "metaplatform/resources/engine/": "it is the engine",
    "metaplatform/sql/": "the book's dialect, and the functions of it",
    "metaplatform/resources/sources/": "files are read by the engine's own readers, on its connection",
    "metaplatform/scaffolding/tried_tables.py": "looks at a table as the readers of sources do, on their connection",
    "metaplatform/specs/entities/outputs.py": "the kind of asset that people see: its views are a file of the engine's",
    "metaplatform/specs/entities/databases.py": "a kind of source: files of DuckDB's that others have made",
    "metaplatform/chapters.py": "the kind of asset that people see",
}


def test_only_the_engine_and_the_dialect_name_duckdb() -> None:
    assert offenders(engine_named, but=tuple(NAMES_THE_ENGINE)) == []


def test_each_place_that_may_name_duckdb_does() -> None:
    found = offenders(engine_named)
    assert [place for place in NAMES_THE_ENGINE if not any(each.startswith(place) for each in found)] == []


def test_what_the_platform_calls_by_bare_name_is_what_is_listed() -> None:
    def called(tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "call":
                yield from ((node.lineno, name.value) for name in node.args[:1] if isinstance(name, ast.Constant))

    # Named by a variable: the two ends of a map.
    ends = {"map_keys", "map_values"}
    assert {each.rsplit(" ", 1)[1] for each in offenders(called)} | ends == CALLED


def test_every_package_has_walls_and_none_of_its_modules_is_left_out() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    walled = {container for each in contracts if each.get("exhaustive") for container in each["containers"]}
    packages = {
        ".".join(found.parent.relative_to(ROOT).parts)
        for found in PACKAGE.rglob("__init__.py")
        if len(list(found.parent.glob("*.py"))) > 1
    }
    assert packages - walled == set()
