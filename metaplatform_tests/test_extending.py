"""Kinds from outside the package work like those that come with it: the distribution is the one of the guide."""

import json
import re
import sqlite3
import tomllib
from pathlib import Path

import polars as pl
import pytest

from metaplatform import kinds as facts
from metaplatform.kinds import learning, work
from metaplatform_tests.extended import Project
from metaplatform_tests.factories.test_keys import ACCOUNTS, accounts

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
MODULES = dict(re.findall(r'```python\n"""(acme_kinds/\w+\.py)"""\n\n(.*?)```', GUIDE, re.DOTALL))
DISTRIBUTION, *_ = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
ENTRIES, _VISITS = re.findall(r"```yml\n(.*?)```", GUIDE, re.DOTALL)
_SOURCE, _, _REST = ACCOUNTS.partition("feature_sets:\n")
BOOK = "spec_version: 2\n" + _SOURCE + ENTRIES + _REST.partition("\n")[2]
ASSETS = """
import json, sys
from metaplatform.composition import load_definitions
from pathlib import Path
definitions = load_definitions(dict(METAPLATFORM_BOOK="metadata"), Path("."))
graph = definitions.resolve_asset_graph()
found = {
    "kinds": {key.to_user_string(): sorted(graph.get(key).kinds) for key in graph.get_all_asset_keys()},
    "checks": sorted(key.name for key in graph.asset_check_keys),
    "heavy": sorted({"evidently", "mlflow", "xgboost", "pandas", "acme_kinds.work"} & sys.modules.keys()),
}
print(json.dumps(found))
"""


def install(folder: Path, modules: dict[str, str], pyproject: str) -> None:
    """Put a distribution into ``folder`` as pip lays it out: its modules, its name and its entry points."""
    project = tomllib.loads(pyproject)["project"]
    for path, text in modules.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    lines = [f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"]
    (about / "METADATA").write_text("".join(lines))
    groups = project["entry-points"].items()
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in found.items()) for group, found in groups
    ]
    (about / "entry_points.txt").write_text("\n".join(points))


def project_with(tmp_path: Path, modules: dict[str, str], pyproject: str, book: str = BOOK) -> Project:
    installed, folder = tmp_path / "site", tmp_path / "project"
    installed.mkdir()
    install(installed, modules, pyproject)
    project = Project(folder, (installed,), {"ACME_MESSAGES": str(folder / "messages")})
    project.edit(book)
    (folder / "messages").mkdir()
    (folder / "data").mkdir()
    for number, month in enumerate(("2024-01", "2024-02", "2024-03")):
        accounts(month, number * 1_000).to_csv(folder / "data" / f"{month}.csv", index=False)
    return project


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = project_with(tmp_path_factory.mktemp("extended"), MODULES, DISTRIBUTION)
    project.platform("replay", "--reactions", "--json", "summary.json")
    return project


def test_a_book_with_all_of_them_is_sound_with_its_data_and_nothing_is_stale_once_it_is_made(replayed: Project) -> None:
    replayed.platform("validate", "--with-data")
    assert json.loads(replayed.platform("plan", "--json"))["changes"] == []


def test_features_of_such_a_kind_are_those_that_polars_works_out(replayed: Project) -> None:
    rows = pl.concat(
        pl.read_csv(path, schema_overrides={"part": pl.String}, try_parse_dates=True)
        for path in sorted((replayed.folder / "data").glob("*.csv"))
    )
    found = pl.read_delta(str(replayed.folder / ".metaplatform" / "warehouse" / "features" / "sizes"))
    wanted = (
        found.select("account", "part", "opened_at")
        .join(rows.select(pl.col("part").cast(pl.Decimal(4, 2)), pl.col("opened_at").alias("at"), "size"), on="part")
        .filter((pl.col("at") < pl.col("opened_at")) & (pl.col("at") >= pl.col("opened_at") - pl.duration(days=20)))
        .group_by("account", "part")
        .agg((pl.col("size") > 0.5).mean().alias("wanted"))
    )
    compared = found.join(wanted, on=["account", "part"], how="left")
    assert compared.height == 720
    assert (compared["large_share"] - compared["wanted"]).abs().max() < 1e-12
    assert compared["wanted"].null_count() == compared["large_share"].null_count() > 0


def test_files_monitors_and_messages_of_such_kinds_are_there(replayed: Project) -> None:
    storage = replayed.folder / ".metaplatform"
    written = [
        json.loads(line)
        for path in sorted((storage / "exports" / "leavers_file").glob("*.json_lines"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    scored = pl.read_delta(str(storage / "warehouse" / "predictions" / "leavers"))
    assert len(written) == scored.height > 0
    assert {row["account"] for row in written} == {str(account) for account in scored["account"]}
    seen = pl.read_delta(str(storage / "warehouse" / "monitoring" / "observations")).filter(
        pl.col("monitor") == "enough"
    )
    assert set(seen["status"]) == {"failed"}, "each month has 240 rows, under the 300 that the monitor asks for"
    assert set(seen["kind"]) == {"volume"}
    told = list((replayed.folder / "messages").glob("*.txt"))
    assert told
    assert "call" in told[0].read_text(encoding="utf-8")


def test_dagster_shows_them_and_definitions_load_without_their_work(replayed: Project) -> None:
    found = json.loads(replayed.run(ASSETS).splitlines()[-1])
    assert found["kinds"]["outputs/leavers_file"] == ["json_lines"]
    assert "enough_volume" in found["checks"]
    assert found["heavy"] == []


def test_the_schema_explains_them(replayed: Project) -> None:
    definitions = json.loads(replayed.platform("schema"))["$defs"]
    assert definitions["acme_kinds.ShareFeatures"]["properties"]["window"]["description"].startswith(
        "Shares of the table's rows"
    )
    assert definitions["acme_kinds.VolumeMonitor"]["properties"]["least"]["anyOf"][0] == {"type": "integer"}
    assert definitions["acme_kinds.JsonLinesOutput"]["properties"]["kind"]["anyOf"][0]["const"] == "json_lines"


def test_the_book_as_tables_holds_them_and_gives_them_back(replayed: Project) -> None:
    url = f"sqlite:///{replayed.folder / 'book.db'}"
    replayed.platform("book", "push", "--to", url)
    with sqlite3.connect(replayed.folder / "book.db") as database:
        [(kind, settings)] = database.execute("SELECT kind, settings FROM ML_Monitors").fetchall()
        blocks = database.execute("SELECT name, block_kind, block_window, settings FROM Feature_Engineering").fetchall()
    assert (kind, json.loads(settings)) == ("volume", {"least": 300})
    assert [(name, kind) for name, kind, *_ in blocks] == [("size", "expression"), ("large_share", "share")]
    assert json.loads(blocks[1][3]) == {"window": "20 days"}
    before = replayed.platform("plan", "--json")
    replayed.platform("book", "pull", "--to", url, "--book", "pulled")
    assert replayed.platform("plan", "--json", "--book", "pulled") == before


def test_the_guide_shows_the_sources_that_are_tested() -> None:
    """Tested in ``test_extending_sources.py``."""
    shown = dict(re.findall(r"```python\n# ([\w/]+\.py)\n(.*?)```", GUIDE, re.DOTALL))
    assert len(shown) == 2
    for path, text in shown.items():
        [file] = Path(__file__).parent.glob(f"extending_*/{path}")
        assert text == file.read_text(encoding="utf-8"), path


def test_what_a_distribution_may_import_is_what_the_public_modules_name() -> None:
    """What it imports beyond them could change with any release."""
    shown = re.findall(r"^from (metaplatform[\w.]*) import", "\n".join(MODULES.values()), re.MULTILINE)
    assert set(shown) == {"metaplatform.kinds", "metaplatform.kinds.work"}
    for module in (facts, learning, work):
        public = {name for name in vars(module) if not name.startswith("_")} - {"learning", "work"}
        assert public == set(module.__all__)


def test_each_fault_of_a_field_of_such_a_kind_is_told_at_its_line(tmp_path: Path) -> None:
    book = BOOK.replace("least: 300", "leest: 300").replace("window: 20 days", "window: 20 dogs")
    told = project_with(tmp_path, MODULES, DISTRIBUTION, book).platform("validate", fails=True)
    assert "unknown key 'leest'" in told
    assert "Did you mean 'least'?" in told
    assert "20 dogs" in told


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("acme_kinds:VolumeMonitors", "AttributeError"),
        ("acme_nothing:VolumeMonitor", "ModuleNotFoundError"),
        ("acme_kinds:ShareFeatures", "it is not a class below metaplatform.specs.entities.monitoring.Monitor"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_told_to_a_book_that_uses_it_alone(
    tmp_path: Path, broken: str, why: str
) -> None:
    pyproject = DISTRIBUTION.replace('volume = "acme_kinds:VolumeMonitor"', f'volume = "{broken}"')
    project = project_with(tmp_path, MODULES, pyproject)
    told = project.platform("validate", fails=True)
    assert "acme-kinds 1.0" in told
    assert why in told
    project.edit(re.sub(r"monitors:\n.*\n", "", BOOK))
    project.platform("validate")


def test_of_two_distributions_with_one_kind_neither_is_chosen(tmp_path: Path) -> None:
    project = project_with(tmp_path, MODULES, DISTRIBUTION)
    install(project.installed[0], {}, DISTRIBUTION.replace('name = "acme-kinds"', 'name = "other-kinds"'))
    told = project.platform("validate", fails=True)
    assert "acme-kinds 1.0: its entry point 'volume' in metaplatform.monitors cannot be used" in told
    assert "other-kinds 1.0 adds the same kind" in told


def test_a_kind_that_is_built_in_is_not_replaced(tmp_path: Path) -> None:
    taken = DISTRIBUTION.replace('volume = "acme_kinds:', 'drift = "acme_kinds:')
    project = project_with(tmp_path, MODULES, taken, re.sub(r"kind: volume", "kind: drift", BOOK))
    told = project.platform("validate", fails=True)
    assert "unknown key 'least'" in told


def test_a_kind_without_its_work_says_so_where_it_runs(tmp_path: Path) -> None:
    pyproject = re.sub(r"volume = \"acme_kinds.work:judge_volume\"\n", "", DISTRIBUTION)
    project = project_with(tmp_path, MODULES, pyproject)
    told = project.platform("replay", fails=True)
    assert "no entry point 'volume' in metaplatform.monitors.work" in told


def test_a_book_is_compiled_again_when_what_it_is_made_with_changes(tmp_path: Path) -> None:
    project = project_with(tmp_path, MODULES, DISTRIBUTION)
    project.platform("plan")
    facts = project.installed[0] / "acme_kinds" / "__init__.py"
    facts.write_text(facts.read_text().replace("    least: int\n", "    least: int\n    most: int\n"))
    told = project.platform("plan", fails=True)
    assert "'most' is missing" in told
