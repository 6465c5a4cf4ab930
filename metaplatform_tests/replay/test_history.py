"""A replay of the shop: the loop closes, the same way each time, and says so."""

import json
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from metaplatform.cli import commands
from metaplatform.composition import definitions_of
from metaplatform.errors import StorageError
from metaplatform.execution import deployment_instance, run_in_process
from metaplatform.hosting.report_server import report_server
from metaplatform.replay.history import replay_history
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform.specs.records.ledger import Action, Decision, Observation, Promotion
from metaplatform.work.steps import NOW_TAG, REPLAY_TAG
from metaplatform_tests.damage import check_told, cut_short, garbage, gone, last_gone, run
from metaplatform_tests.processes import python
from metaplatform_tests.replay.silence import Silent
from metaplatform_tests.scenario import MONTHS, ORDERS_A_MONTH, write_month, write_project

SHIFT = "2024-04"


def replay(project: Path, root: Path, *, as_people_do: bool = False) -> dict[str, Any]:
    """Run the command in a process of its own; as people do, it imports and hashes anew."""
    options = ("--book", project / "metadata", "--root", root, "--json", f"{root}.json")
    command = ("-m", "metaplatform", "replay", "--reactions", *options)
    if as_people_do:
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, timeout=600)
    else:
        done = python(*command)
    assert done.returncode == 0, done.stderr[-4000:]
    assert SHIFT in done.stdout
    return json.loads(Path(f"{root}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_project(folder)
    for month in MONTHS:
        write_month(folder, month, shifted=month >= SHIFT)
    return folder


@pytest.fixture(scope="module")
def replayed(project: Path) -> tuple[Path, dict[str, Any]]:
    return project / "storage", replay(project, project / "storage")


PREDICTIONS = "predictions.order_returns"


def registry_of(root: Path) -> ModelRegistry:
    return ModelRegistry(tracking_uri=f"sqlite:///{root / 'mlflow.db'}", artifact_root=str(root / "mlartifacts"))


def scored_in(warehouse: Warehouse, ref: str, partition: str) -> list[dict[str, Any]]:
    with warehouse.session() as session:
        table = session.table(ref)
        return session.stream(table.filter(table["_partition"] == partition)).read_all().to_pylist()


def rows_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["partition"]: row for row in result["rows"]}


def test_every_month_behind_the_first_training_is_scored(replayed: tuple[Path, dict[str, Any]]) -> None:
    rows = rows_of(replayed[1])
    assert list(rows) == list(MONTHS[2:])
    assert {row["rows"] for row in rows.values()} == {ORDERS_A_MONTH}


def test_the_month_that_drifts_is_retrained_for_and_a_better_version_promoted(
    replayed: tuple[Path, dict[str, Any]],
) -> None:
    rows = rows_of(replayed[1])
    assert rows["2024-03"]["champion"] == 1
    assert rows[SHIFT]["decision"] == "retrain"
    assert "promoted" in rows[SHIFT]["promotion"]
    assert rows["2024-05"]["champion"] > 1
    assert rows["2024-05"]["live"] > rows["2024-05"]["first"]


def test_live_performance_is_never_measured_on_rows_the_version_has_seen(
    replayed: tuple[Path, dict[str, Any]],
) -> None:
    root, result = replayed
    assert rows_of(result)[SHIFT]["live"] == rows_of(result)[SHIFT]["first"]
    seen = Ledger(Warehouse(root=str(root))).read(Observation, kind="performance", partition=SHIFT)
    assert {observation.model_version for observation in seen} == {1}


def test_a_re_score_replaces_its_partition_alone_and_keeps_every_versions_rows(
    replayed: tuple[Path, dict[str, Any]],
) -> None:
    warehouse = Warehouse(root=str(replayed[0]))
    current = warehouse.partitions("predictions.order_returns")
    assert {key: state.rows for key, state in current.items()} == dict.fromkeys(MONTHS[2:], ORDERS_A_MONTH)
    rows = {ref: scored_in(warehouse, ref, SHIFT) for ref in (PREDICTIONS, f"{PREDICTIONS}__history")}
    learnt_until = {found.version: found.trained_until for found in registry_of(replayed[0]).versions("returns")}
    assert all(row["ordered_at"] >= learnt_until[row["model_version"]] for found in rows.values() for row in found)
    kept = Counter(row["model_version"] for row in rows[f"{PREDICTIONS}__history"])
    assert kept[1] == ORDERS_A_MONTH
    again = sum(row["ordered_at"] >= learnt_until[2] for row in rows[PREDICTIONS])
    assert again < ORDERS_A_MONTH
    by_version = Counter({1: ORDERS_A_MONTH - again, 2: again})
    assert Counter(row["model_version"] for row in rows[PREDICTIONS]) == +by_version


def test_each_prediction_row_says_which_version_made_it_in_which_run_and_when(
    replayed: tuple[Path, dict[str, Any]],
) -> None:
    with Warehouse(root=str(replayed[0])).session() as session:
        table = session.table("predictions.order_returns")
        stamps = table.select("model_name", "model_version", "run_id", "scored_at").distinct()
        found = session.stream(stamps).read_all()
    assert all(column.null_count == 0 for column in found.columns)
    assert set(found["model_name"].to_pylist()) == {"returns"}


def test_a_reaction_acts_once_on_each_row_that_any_version_found(replayed: tuple[Path, dict[str, Any]]) -> None:
    root = replayed[0]
    warehouse = Warehouse(root=str(root))
    actions = Ledger(warehouse).read(Action)
    assert (SHIFT, 1) in {(action.partition, action.model_version) for action in actions}
    with warehouse.session() as session:
        history = session.table("predictions.order_returns__history")
        due = session.stream(history.filter(history["probability"] > 0.5).select("order_id").distinct()).read_all()
        acted = session.stream(session.table("reactions.call_customers").select("order_id")).read_all()
    assert sorted(acted["order_id"].to_pylist()) == sorted(due["order_id"].to_pylist())
    assert sum(action.rows for action in actions) == acted.num_rows
    lines = (root / "notifications" / "call_customers.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(actions)
    assert (root / "reports" / "returns_report" / f"{SHIFT}.html").exists()


def test_one_cause_leads_to_one_retrain_and_each_retrain_to_one_promotion_verdict(
    replayed: tuple[Path, dict[str, Any]],
) -> None:
    ledger = Ledger(Warehouse(root=str(replayed[0])))
    fired = [decision.decision_id for decision in ledger.read(Decision, outcome="retrain")]
    assert sorted(fired) == sorted(promotion.promotion_id for promotion in ledger.read(Promotion))


def test_outputs_hold_what_the_predictions_hold(replayed: tuple[Path, dict[str, Any]]) -> None:
    root = replayed[0]
    exported = sorted(path.stem for path in (root / "exports" / "returns_file").glob("*.csv"))
    assert exported == list(MONTHS[2:])
    lines = (root / "exports" / "returns_file" / f"{SHIFT}.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == ORDERS_A_MONTH + 1
    assert (root / "warehouse.duckdb").exists()


def test_the_same_book_and_seed_give_the_same_predictions_twice(
    project: Path, replayed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    again = replay(project, tmp_path / "again", as_people_do=True)
    same = (
        "partition",
        "rows",
        "drift_share",
        "champion",
        "live",
        "first",
        "decision",
        "reason",
        "promotion",
        "actions",
    )
    assert [[row[name] for name in same] for row in again["rows"]] == [
        [row[name] for name in same] for row in replayed[1]["rows"]
    ]
    scores = []
    for root in (replayed[0], tmp_path / "again"):
        with Warehouse(root=str(root)).session() as session:
            table = session.table("predictions.order_returns").select("order_id", "probability", "model_version")
            scores.append(session.stream(table.order_by("order_id")).read_all())
    assert scores[0].equals(scores[1])


def test_a_replay_that_has_come_to_its_end_has_nothing_left_to_go_on_with(
    replayed: tuple[Path, dict[str, Any]],
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = Path(shutil.copytree(replayed[0], tmp_path / "storage"))
    code = run(monkeypatch, "replay", "--resume", "--book", str(project / "metadata"), "--root", str(root))
    assert code in {0, None}, capfd.readouterr().err
    predictions = [Warehouse(root=str(each)).version(PREDICTIONS) for each in (replayed[0], root)]
    assert predictions[0] == predictions[1]


def test_a_second_replay_says_what_is_there_and_touches_nothing(
    project: Path, replayed: tuple[Path, dict[str, Any]]
) -> None:
    root = replayed[0]
    version = Warehouse(root=str(root)).version("predictions.order_returns")
    deployment = Deployment(book=project / "metadata", root=root)
    with pytest.raises(StorageError, match="--fresh"):
        replay_history(
            load_book(project / "metadata"),
            deployment,
            until=None,
            fresh=False,
            with_reactions=False,
            progress=Silent(),
        )
    assert Warehouse(root=str(root)).version("predictions.order_returns") == version


def test_a_root_that_was_moved_loads_its_champion_scores_and_leads_to_its_pages(
    replayed: tuple[Path, dict[str, Any]], project: Path, tmp_path: Path
) -> None:
    """Links are relative to Dagster's page, and what is behind them lies below the root, wherever that is."""
    moved = Path(shutil.copytree(replayed[0], tmp_path / "moved"))
    deployment = Deployment(book=project / "metadata", root=moved)
    definitions = definitions_of(load_book(deployment.book), deployment)
    champion = dict(definitions.resources or {})["registry"].champion("returns")
    assert champion.source.startswith(moved.as_uri())
    with deployment_instance(deployment) as instance:

        def link(asset: str, name: str) -> str:
            event = instance.get_latest_materialization_event(dg.AssetKey(asset.split(".")))
            assert event is not None
            assert event.asset_materialization is not None
            return str(event.asset_materialization.metadata[name].value)

        run_in_process(
            definitions.get_repository_def(),
            instance,
            assets=[dg.AssetKey(["predictions", "order_returns"])],
            partition=MONTHS[-1],
            tags={NOW_TAG: "2024-07-02T00:00:00+00:00", REPLAY_TAG: "true"},
        )
        assert link("predictions.order_returns", "mlflow") == f"/mlflow/#/models/returns/versions/{champion.version}"
        page = link("outputs.returns_report", "report")
    assert page.startswith("/reports/")
    with report_server(moved / "reports", port=0) as url:
        address = url + page.removeprefix("/reports")
        with urllib.request.urlopen(address) as answer:  # noqa: S310  # an address of our own
            assert answer.status == 200


def test_nothing_below_a_root_says_where_the_root_is_but_what_is_put_right_or_only_shown(
    replayed: tuple[Path, dict[str, Any]],
) -> None:
    """MLflow's addresses are put right, the views made anew; logs and Dagster's history say where a table once was."""
    root = replayed[0]
    where = str(root).encode()
    saying = {path.relative_to(root) for path in root.rglob("*") if path.is_file() and where in path.read_bytes()}
    logs = {path for path in saying if path.parent.name == "_delta_log"}
    for log in logs:
        text = (root / log).read_bytes()
        assert text.count(where) == text.count(b'"location":"file://' + where), f"{log} is read by more than people"
    others = {path.parts[0] for path in saying - logs}
    assert others == {"mlflow.db", "warehouse.duckdb", "dagster"}


def rescored(project: Path, root: Path, partition: str) -> None:
    """Score a partition once more, as a person would from Dagster's page."""
    deployment = Deployment(book=project / "metadata", root=root)
    definitions = definitions_of(load_book(deployment.book), deployment)
    with deployment_instance(deployment) as instance:
        run_in_process(
            definitions.get_repository_def(),
            instance,
            assets=[dg.AssetKey(["predictions", "order_returns"])],
            partition=partition,
            tags={NOW_TAG: "2024-07-02T00:00:00+00:00", REPLAY_TAG: "true"},
        )


def test_a_root_that_has_lost_its_mlflow_db_knows_and_scores_as_before_once_it_is_restored(
    replayed: tuple[Path, dict[str, Any]], project: Path, tmp_path: Path
) -> None:
    first, second = (Path(shutil.copytree(replayed[0], tmp_path / name)) for name in ("first", "second"))
    (second / "mlflow.db").unlink()
    asked = ("versions", "returns", "--json", "--root")
    lost = CliRunner().invoke(commands.app, [*asked, str(second)])
    assert "metaplatform root restore" in str(lost.exception)
    restored = CliRunner().invoke(commands.app, ["root", "restore", str(second)])
    assert restored.exit_code == 0, restored.output
    before, after = (CliRunner().invoke(commands.app, [*asked, str(root)]).stdout for root in (first, second))
    assert after == before
    tags = [[version.tags for version in registry_of(root).versions("returns")] for root in (first, second)]
    assert tags[0] == tags[1]
    scores = []
    for root in (first, second):
        rescored(project, root, MONTHS[-1])
        rows = scored_in(Warehouse(root=str(root)), PREDICTIONS, MONTHS[-1])
        scores.append(sorted((row["order_id"], row["probability"], row["model_version"]) for row in rows))
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("mlflow.db", gone),
        ("mlflow.db", cut_short),
        ("dagster/history/runs.db", garbage),
        ("dagster/history/runs/index.db", garbage),
        ("warehouse/raw/orders/_delta_log", last_gone),
        ("warehouse/monitoring/decisions/_delta_log", last_gone),
        ("warehouse/predictions/order_returns/_delta_log/00000000000000000000.json", gone),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_replay_goes_on_over_a_damaged_root_or_says_in_one_message_why_not(
    replayed: tuple[Path, dict[str, Any]],
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    file: str,
    damage: Callable[[Path], None],
) -> None:
    root = Path(shutil.copytree(replayed[0], tmp_path / "storage"))
    damage(root / file)
    standing = json.loads((root / "replay.json").read_text())
    (root / "replay.json").write_text(json.dumps({**standing, "played": f"{MONTHS[-1]}-02T00:00:00+00:00"}))
    code = run(monkeypatch, "replay", "--resume", "--book", str(project / "metadata"), "--root", str(root))
    told = capfd.readouterr()
    check_told(code, told.err, file)
    healed = file.startswith("dagster/")
    assert code == (0 if healed else 1), (told.out, told.err)
