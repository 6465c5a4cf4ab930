"""A book mounted into somebody's own Dagster project, beside their assets, sensors and resources, and another book."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster import ComponentTree

import metaplatform
from metaplatform import BookEntry, InstructionBook
from metaplatform.errors import StorageError
from metaplatform.execution import sole_apply
from metaplatform.factories.asset_specs import mounted
from metaplatform.factories.automation.alerts import failed_runs
from metaplatform.factories.automation.state import Loop
from metaplatform.factories.mount import Mount
from metaplatform.replay.conductor import Conductor
from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform.resources.storage.root_use import holder_of, mark_root
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.loading import load_book
from metaplatform_tests.factories.test_keys import ACCOUNTS, accounts
from metaplatform_tests.small_project import SmallProject, moment

pytestmark = pytest.mark.filterwarnings(
    # Dagster's own, of how it reads defs.yaml and modules, and says where each asset stands.
    "ignore::pydantic.warnings.PydanticDeprecatedSince20",
    "ignore:Function `load_definitions_from_modules?`",
    "ignore:Class `.*CodeReference",
    "ignore:Parameter `.*` of",
)
REPOSITORY = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
BOOK = (
    "spec_version: 2\n"
    + ACCOUNTS
    + """\
monitors:
  kept: {kind: performance, prediction: leavers, metrics: {roc_auc: {max_loss: 0.4}}}
outputs:
  leavers_file: {kind: csv, table: predictions.leavers}
reactions:
  call: {prediction: leavers, when: probability > 0.5, materialize: [outputs.leavers_file], notify: [{kind: file}]}
"""
)
LIGHT = BOOK.partition("models:")[0]
"""The same source, read as the first book reads it; and no model, so that it takes no time."""
GUIDE = (REPOSITORY / "docs" / "component.md").read_text(encoding="utf-8")
[SHOP] = re.findall(r"```yml\n(.*?)```", GUIDE, re.DOTALL)
OWN_ASSET, COMPONENT = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
TWIN = """\
type: metaplatform.InstructionBook
attributes:
  book: ../../../../twin
  root: ../../../../.metaplatform/twin
  key_prefix: twin
  translation: {key: "twin/{{ chapter }}_of_{{ name }}"}
"""
OWN = (
    OWN_ASSET
    + """

ACCOUNTS = dg.AssetKey(["acme", "raw", "accounts"])


@dg.asset(key=ACCOUNTS)
def accounts() -> None: ...


@dg.asset_check(asset=ACCOUNTS)
def contract() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.sensor(target=[letters])
def arrivals() -> dg.SkipReason:
    raise AssertionError("it is another's")


@dg.op
def maintain_tables() -> None: ...


@dg.job
def maintenance() -> None:
    maintain_tables()


defs = dg.Definitions(
    assets=[letters, accounts],
    asset_checks=[contract],
    sensors=[arrivals],
    jobs=[maintenance, dg.define_asset_job("everything", ["acme/shop/raw/accounts", "acme/shop/predictions/leavers"])],
    resources={"warehouse": object(), "clock": object(), "book": object()},
)
"""
)
DEFINITIONS = """\
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
TABLES = ("raw.accounts", "features.sizes", "predictions.leavers")
JANUARY, MARCH = moment("2024-02-03"), moment("2024-03-05")


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def write_project(folder: Path, package: str, *, books: dict[str, str], own: str = OWN) -> Path:
    """Write a Dagster project as `create-dagster project` lays it out, and a book beside it."""
    config = f'[project]\nname = "{package}"\nversion = "0"\n[tool.dg]\ndirectory_type = "project"\n'
    code = f"src/{package}"
    files = {
        "pyproject.toml": f'{config}[tool.dg.project]\nroot_module = "{package}"\n',
        f"{code}/__init__.py": "",
        f"{code}/definitions.py": DEFINITIONS,
        f"{code}/defs/__init__.py": "",
        f"{code}/defs/own.py": own,
        "metadata/book.yaml": BOOK,
        "twin/book.yaml": LIGHT,
        **{f"{code}/defs/{name}/defs.yaml": text for name, text in books.items()},
    }
    write_files(folder, files)
    return folder


def put_accounts(folder: Path) -> None:
    (folder / "data").mkdir(exist_ok=True)
    for number, month in enumerate(("2024-01", "2024-02")):
        accounts(month, number * 1_000).to_csv(folder / "data" / f"{month}.csv", index=False)


def definitions_at(folder: Path) -> dg.Definitions:
    return ComponentTree.for_project(folder).build_defs()


def books_at(folder: Path) -> dict[str, InstructionBook]:
    found = ComponentTree.for_project(folder).get_all_components(InstructionBook)
    return {book.prefix[-1]: book for book in found}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = write_project(tmp_path_factory.mktemp("acme"), "acme_shop", books={"shop": SHOP, "twin": TWIN})
    put_accounts(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "src"))
        yield folder


@pytest.fixture(scope="module")
def definitions(project: Path) -> dg.Definitions:
    return definitions_at(project)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(write_dagster_home(tmp_path / "dagster"))) as loaded:
        yield loaded


class Mounted:
    """One book of a project, lived through by its own sensors and schedules alone."""

    def __init__(self, project: Path, name: str, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.runs = list[str]()
        self.root = project / ".metaplatform" / name
        resources = definitions.resources or {}
        self.manifest, self.mount = load_book(book_of(project, name)), mount_of(project, name)
        # A book that stands still in files, and troubles of the instance, are not what is played.
        skip = frozenset({"book", "alerts"})
        self.conductor = Conductor(definitions, instance, self.runs.append, skip, mount=self.mount)
        self.warehouse = resources[self.mount.named("warehouse")]

    def live(self) -> None:
        for now in (JANUARY, MARCH):
            self.conductor.play(now)


def book_of(project: Path, name: str) -> Path:
    return project / ("twin" if name == "twin" else "metadata")


def mount_of(project: Path, name: str) -> Mount:
    mount = books_at(project)[name].mount(project.resolve(), project / ".metaplatform" / name)
    return mounted(load_book(book_of(project, name)), mount)


def content(warehouse: Warehouse, ref: str) -> pd.DataFrame:
    """Return a table's rows, without the run that made them."""
    with warehouse.session() as session:
        found = session.stream(session.table(ref)).read_all().to_pandas()
    return found.drop(columns="run_id", errors="ignore").sort_values(["account", "part"]).reset_index(drop=True)


def test_two_mounted_books_do_what_each_does_alone_by_their_own_keys_and_names(
    project: Path, definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    alone = SmallProject(tmp_path, BOOK)
    put_accounts(tmp_path)
    with alone.at_work(reactions=True):
        expected = [*alone.play(JANUARY), *alone.play(MARCH)]
    shop, twin = (Mounted(project, name, definitions, instance) for name in ("shop", "twin"))
    shop.live()
    assert shop.runs == expected
    twin.live()
    assert twin.runs[0] == expected[0], "that the other has done the same plan is nothing to it"
    made = {key for key in instance.all_asset_keys() if instance.get_latest_materialization_event(key)}
    keys = {each.mount.key(ref) for each in (shop, twin) for ref in each.manifest.assets}
    assert made == keys, "and nobody else's"
    checked = dg.AssetCheckKey(dg.AssetKey(["acme", "shop", "predictions", "leavers"]), "kept_roc_auc")
    [judged] = instance.event_log_storage.get_latest_asset_check_execution_by_key([checked]).values()
    assert judged.status.value == "SUCCEEDED"
    for each, ref in (*((shop, ref) for ref in TABLES), *((twin, ref) for ref in TABLES[:2])):
        found = content(alone.warehouse, ref)
        assert len(found) >= 240
        pd.testing.assert_frame_equal(content(each.warehouse, ref), found)
    told = json.loads((shop.root / "notifications" / "call.jsonl").read_text().splitlines()[0])
    assert told["links"]["reaction"] == "/assets/acme/shop/reactions/call"
    assert "/assets/acme/shop/outputs/leavers_file" in told["links"].values()


def test_a_books_assets_carry_its_prefix_and_translation_and_others_may_read_them(
    project: Path, definitions: dg.Definitions
) -> None:
    graph = definitions.get_repository_def().asset_graph
    scored = graph.get(dg.AssetKey(["acme", "shop", "predictions", "leavers"]))
    assert (scored.group_name, scored.tags["entry"]) == ("shop_predictions", "leavers")
    assert scored.child_keys >= {dg.AssetKey("letters"), dg.AssetKey(["acme", "shop", "outputs", "leavers_file"])}
    twins = graph.get(dg.AssetKey(["twin", "features_of_sizes"]))
    assert twins.parent_keys == {dg.AssetKey(["twin", "raw_of_accounts"])}
    assert twins.partitions_def == scored.partitions_def
    names = {sensor.name for sensor in definitions.get_repository_def().sensor_defs}
    both = {"arrivals", "messages", "book", "alerts"}
    own = {"acme_shop": both | {"scoring", "performance", "retraining", "reactions"}, "twin": both}
    assert names == {"arrivals"} | {f"{book}__{name}" for book, found in own.items() for name in found}


def test_only_runs_of_its_own_assets_keep_a_book_waiting_whole_jobs_too(
    project: Path, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    theirs = dg.AssetKey(["acme", "raw", "accounts"])

    def loop(name: str) -> Loop:
        manifest, mount = load_book(book_of(project, name)), mount_of(project, name)
        return Loop(manifest, None, None, MARCH, instance=instance, mount=mount)  # type: ignore[arg-type]

    started, check = dg.DagsterRunStatus.STARTED, dg.AssetCheckKey(theirs, "contract")
    instance.add_run(dg.DagsterRun("any", status=started, asset_selection=frozenset({theirs})))
    instance.add_run(dg.DagsterRun("any", status=started, asset_check_selection=frozenset({check})))
    assert (loop("shop").busy, loop("shop").reading) == (frozenset(), frozenset())
    instance.create_run_for_job(definitions.get_repository_def().get_job("everything"))
    assert loop("shop").busy == {"raw.accounts", "predictions.leavers", "monitoring.kept"}
    read = dg.AssetCheckKey(loop("shop").mount.key("raw.accounts"), "contract")
    instance.add_run(dg.DagsterRun("any", status=started, asset_check_selection=frozenset({read})))
    assert loop("shop").reading == {"accounts"}
    assert loop("twin").busy == loop("twin").reading == frozenset()


def test_a_book_tells_its_people_of_its_own_failed_runs_alone(project: Path, instance: dg.DagsterInstance) -> None:
    shop, twin = (mount_of(project, name) for name in ("shop", "twin"))
    for key in (dg.AssetKey("letters"), twin.key("raw.accounts")):
        run = dg.DagsterRun("any", status=dg.DagsterRunStatus.FAILURE, asset_selection=frozenset({key}))
        instance.add_run(run)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    assert list(failed_runs(instance, soon, shop)) == []
    [told] = failed_runs(instance, soon, twin)
    assert told.title == "A run failed: twin/raw_of_accounts"


def test_a_project_may_take_the_component_as_a_base_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path, "acme_python", books={}, own="")
    write_files(tmp_path, {"src/acme_python/defs/shop/component.py": COMPONENT})
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    found = {spec.key.to_user_string(): spec for spec in definitions_at(tmp_path).resolve_all_asset_specs()}
    assert found["predictions/leavers"].tags["entry"] == "leavers"


def test_a_translation_may_not_change_what_the_loop_rests_on(project: Path) -> None:
    context = ComponentTree.for_project(project).load_context

    def build(change: Any) -> dg.Definitions:
        book = InstructionBook(book=project / "metadata", root=project / "other", key_prefix="o", translation=change)
        return book.build_defs(context)

    def described(spec: dg.AssetSpec, entry: BookEntry) -> dg.AssetSpec:
        return spec.replace_attributes(description=entry.ref, deps=[*spec.deps, dg.AssetDep("calendar")])

    found = {spec.key.path[-1]: spec for spec in build(described).resolve_all_asset_specs()}
    assert found["accounts"].description == "raw.accounts"
    assert dg.AssetKey("calendar") in {dep.asset_key for dep in found["leavers"].deps}
    for change, said in (
        (lambda spec, _: spec.replace_attributes(partitions_def=None), "changes its partitions_def"),
        (lambda spec, _: spec.replace_attributes(code_version="1"), "changes its code_version"),
        (lambda spec, _: spec.replace_attributes(deps=[]), "takes away its dependency on o/raw/accounts"),
        (lambda spec, _: spec.replace_attributes(key=dg.AssetKey("one")), "its key one is that of raw.accounts too"),
    ):
        with pytest.raises(metaplatform.errors.MetaplatformError, match=said):
            build(change)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("key_prefix: twin", "key_prefix: [acme, shop]", "another book of this project has the same name"),
        (".metaplatform/twin", ".metaplatform/shop", "give each a `root` of its own"),
        ("key_prefix: twin", "key_prefix: twin\n  environment: '?'", "correct the attribute"),
    ],
)
def test_books_that_would_get_into_each_others_way_are_refused(
    old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"acme_{abs(hash(new + said))}"
    write_project(tmp_path, package, books={"shop": SHOP, "twin": TWIN.replace(old, new)}, own="")
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    with pytest.raises(Exception, match="Error while building") as caught:
        definitions_at(tmp_path)
    assert said in str(caught.value.__cause__)


def test_a_root_has_one_loop_that_of_a_deployment_or_of_the_project_that_mounts_it(tmp_path: Path) -> None:
    root, mask = tmp_path / "root", os.umask(0o022)
    try:
        mark_root(root, "live", "acme/shop")
        assert os.umask(0o022) == 0o022, "the modes of others' files are theirs"
    finally:
        os.umask(mask)
    assert (holder_of(root), root.stat().st_mode & 0o777) == ("acme/shop", 0o700)
    mark_root(root, "live", "acme/shop")
    for work in (lambda: mark_root(root, "live"), lambda: mark_root(root, "live", "acme/twin")):
        with pytest.raises(StorageError, match=r"the book that acme/shop mounts.*remove .*root\.json"):
            work()
    with pytest.raises(StorageError, match="acme/shop mounts"), sole_apply(root):
        pass
    mark_root(tmp_path / "alone", "live")
    with pytest.raises(StorageError, match="it is a deployment of its own"):
        mark_root(tmp_path / "alone", "live", "acme/shop")


def test_dg_scaffolds_checks_and_lists_a_mounted_book(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "acme_dg", books={}, own=OWN.replace('"acme", ', ""))
    entries = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in given.items()) for group, given in entries.items()]
    # As the installed package tells of itself, should the one that is installed be older.
    told = {"METADATA": "Metadata-Version: 2.1\nName: metaplatform\nVersion: 0\n", "entry_points.txt": "".join(lines)}
    write_files(tmp_path / "site" / "metaplatform-0.dist-info", told)
    paths = os.pathsep.join((str(tmp_path / "site"), str(REPOSITORY), str(project / "src")))

    def dg_says(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run(
            [BIN / "dg", *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (project / "src/acme_dg/defs/own.py").write_text("")
    dg_says("scaffold", "defs", "metaplatform.InstructionBook", "shop", "--book", "metadata")
    dg_says("check", "defs")
    found = json.loads(dg_says("list", "defs", "--json"))
    assert "shop/predictions/leavers" in {asset["asset_key"] for asset in found["assets"]}
    assert "shop__retraining" in {sensor["name"] for sensor in found["sensors"]}


def test_what_projects_may_import_is_there_when_it_is_asked_for_and_loads_nothing_heavy(project: Path) -> None:
    code = (
        "import sys, metaplatform; assert 'dagster' not in sys.modules;"
        "assert {'BookEntry', 'InstructionBook'} == set(metaplatform.__all__) <= set(dir(metaplatform));"
        "import acme_shop.definitions as d; d.defs().get_repository_def().load_all_definitions();"
        "print(sorted({'evidently', 'mlflow', 'xgboost', 'pandas'} & set(sys.modules)))"
    )
    paths = os.pathsep.join((str(REPOSITORY), str(project / "src")))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    with pytest.raises(AttributeError, match="has no attribute 'Book'"):
        _ = metaplatform.Book  # type: ignore[attr-defined]
