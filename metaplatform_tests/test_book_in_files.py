"""A deployment whose book is in files: a broken file takes no asset away, and a run keeps its book."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from metaplatform.composition import platform_resources
from metaplatform.errors import BookError, MetaplatformError
from metaplatform.factories.automation.book import book_sensor
from metaplatform.resources.book.book_source import ServedBook
from metaplatform.resources.book.deployed_book import book_of
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.process.code_server import serves
from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform_tests.live import (
    COUNTRIES,
    WORKSPACE,
    assets_shown,
    dagster_dev,
    free_ports,
    graphql,
    run_of_all,
    running,
    spec_hashes,
    wait_for_log,
    wait_healthy,
)
from metaplatform_tests.scenario import BOOK, write_project

BROKEN = BOOK.replace("metric: roc_auc", "metric: roc_auk")
EDITED = BOOK.replace("rounds: 40", "rounds: 41")


def deployment_at(project: Path, **settings: str) -> Deployment:
    return Deployment(book=project / "metadata", root=project / "storage", **settings)


def code_server(deployment: Deployment) -> ServedBook:
    """Return what a live code server that starts now is built from."""
    source = book_of(deployment, {})
    served = source.serve_live()
    source.built(served)
    return served


def test_a_code_server_takes_the_last_good_book_in_place_of_a_broken_file(tmp_path: Path) -> None:
    write_project(tmp_path)
    deployment = deployment_at(tmp_path)
    good = code_server(deployment)
    assert good.refused == ()
    write_project(tmp_path, book=BROKEN)
    for _ in range(2):
        kept = code_server(deployment)
        assert kept.manifest == good.manifest
        assert kept.manifest.identity == good.manifest.identity
        assert [(issue.owner, issue.location.line) for issue in kept.refused if issue.location] == [
            ("models.returns", BROKEN[: BROKEN.index("roc_auk")].count("\n") + 1)
        ]
        assert kept.since is not None
    write_project(tmp_path, book=EDITED)
    corrected = code_server(deployment)
    assert (corrected.refused, corrected.manifest.models["returns"].training.rounds) == ((), 41)
    (tmp_path / "metadata" / "shop.yaml").unlink()
    assert code_server(deployment).manifest == corrected.manifest


def test_all_else_is_told_of_the_faults(tmp_path: Path) -> None:
    """A replay, a plan, a run that nobody's code server started: what they load is the files' book or none."""
    write_project(tmp_path)
    deployment = deployment_at(tmp_path)
    code_server(deployment)
    write_project(tmp_path, book=BROKEN)
    with pytest.raises(BookError, match="roc_auk"):
        book_of(deployment, {}).serve()


def test_a_good_book_is_that_of_its_folder_and_overlay_and_moves_with_its_project(tmp_path: Path) -> None:
    write_project(tmp_path / "one")
    deployment = deployment_at(tmp_path / "one")
    good = code_server(deployment)
    write_project(tmp_path / "two", book=BROKEN)
    (tmp_path / "one" / "environments").mkdir()
    (tmp_path / "one" / "environments" / "prod.yaml").write_text("models: {returns: {training: {rounds: lots}}}\n")
    for other in ({"book": tmp_path / "two" / "metadata"}, {"environment": "prod"}):
        with pytest.raises(BookError):
            code_server(deployment.model_copy(update=other))
    (tmp_path / "one").rename(tmp_path / "moved")
    write_project(tmp_path / "moved", book=BROKEN)
    assert code_server(deployment_at(tmp_path / "moved")).manifest.entities == good.manifest.entities


def empty(kept: Path) -> None:
    kept.write_text("")


def refused_by_newer_rules(kept: Path) -> None:
    text = kept.read_text().replace('"model": "returns"', '"model": "nobody"')
    kept.write_text(text.replace('"checked_by": "', '"checked_by": "0'))


@pytest.mark.parametrize("harm", [empty, refused_by_newer_rules, Path.unlink])
def test_a_last_good_book_that_is_none_any_more_is_not_served(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    write_project(tmp_path)
    deployment = deployment_at(tmp_path)
    pin = code_server(deployment).pin
    [kept] = (deployment.root / "book" / "kept").glob(f"*/{pin}.json")
    harm(kept)
    write_project(tmp_path, book=BROKEN)
    with pytest.raises(BookError, match=r"shop\.yaml"):
        code_server(deployment)


def test_a_pinned_book_and_the_last_good_one_outlive_many_edits(tmp_path: Path) -> None:
    write_project(tmp_path)
    deployment = deployment_at(tmp_path)
    good = code_server(deployment)
    write_project(tmp_path, book=EDITED)
    run = book_of(deployment, {}).serve()
    for number in range(12):
        write_project(tmp_path, book=f"{BOOK}# {number}\n")
        book_of(deployment, {}).serve()
        step = book_of(deployment, {}).serve(run.pin)
        assert step.manifest.models["returns"].training.rounds == 41
    write_project(tmp_path, book=BROKEN)
    assert code_server(deployment).manifest == good.manifest


def test_a_run_whose_book_is_no_longer_kept_reads_the_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_project(tmp_path)
    served = book_of(deployment_at(tmp_path), {}).serve("0123")
    assert served.manifest == load_book(tmp_path / "metadata")
    assert "0123 is no longer kept" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["dagster", "api", "grpc", "--socket", "s"], {}, True),
        (["dagster", "api", "grpc", "--socket", "s"], {"DAGSTER_IS_DEFS_VALIDATION_CLI": "1"}, False),
        (["dagster", "asset", "materialize"], {}, False),
        (["pytest"], {}, False),
    ],
)
def test_only_a_code_server_that_validates_nothing_is_live(
    arguments: list[str], environment: dict[str, str], *, expected: bool
) -> None:
    assert serves(environment, arguments) is expected


class Sensor:
    """The sensor of a code server that starts now."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        source = book_of(deployment, {})
        served = source.serve_live()
        source.built(served)
        self.sensor = book_sensor(source, served, 1)

    def look(self) -> str:
        resources = platform_resources(self.deployment)
        context = dg.build_sensor_context(resources={name: resources[name] for name in ("notifier", "clock")})
        return self.sensor.evaluate_tick(context).skip_message or ""

    @property
    def alerts(self) -> list[str]:
        Notifier(root=str(self.deployment.root)).deliver(Clock().now())
        path = self.deployment.root / "notifications" / "book.jsonl"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_broken_files_fail_each_look_and_alert_once(tmp_path: Path) -> None:
    write_project(tmp_path)
    before = Sensor(deployment_at(tmp_path))
    assert "is that of its source" in before.look()
    write_project(tmp_path, book=BROKEN)
    after = Sensor(deployment_at(tmp_path))
    assert after.sensor.minimum_interval_seconds >= 30, "failed ticks are kept for long"
    for sensor in (before, before, after, after):
        with pytest.raises(
            MetaplatformError, match=r"shop\.yaml:\d+:\d+: error: models\.returns: promotion\.metric: 'roc_auk'"
        ):
            sensor.look()
        assert len(sensor.alerts) == 1
    write_project(tmp_path, book=EDITED)
    assert "another sound book" in before.look()
    assert "is accepted" in after.look()
    write_project(tmp_path)
    assert "is that of its source" in before.look()


def test_a_run_keeps_the_book_of_its_files_in_all_its_processes(tmp_path: Path) -> None:
    """Every step is a fresh process that starts after the file was broken."""
    write_project(tmp_path, book=COUNTRIES)
    root = tmp_path / "storage"
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(write_dagster_home(root / "dagster")),
        "METAPLATFORM_BOOK": str(tmp_path / "metadata"),
        "METAPLATFORM_EXECUTOR": "multiprocess",
        "METAPLATFORM_ROOT": str(root),
    }
    book = load_book(tmp_path / "metadata")
    with run_of_all(tmp_path, environment) as run:
        wait_for_log(tmp_path / "run.log", "RUN_START", run)
        write_project(tmp_path, book=COUNTRIES.replace("from raw.customers", "from raw.nowhere"))
        assert "STEP_SUCCESS" not in (tmp_path / "run.log").read_text(), "the edit came too late to prove anything"
        assert run.wait(180) == 0, (tmp_path / "run.log").read_text()[-3000:]
    for name in ("countries", "shares"):
        assert spec_hashes(root / "warehouse" / "tables" / name) == [book.spec_hash(f"tables.{name}")]


RELOAD = 'mutation { reloadRepositoryLocation(repositoryLocationName: "metaplatform") { __typename } }'


@pytest.mark.live
def test_assets_outlive_a_broken_file_and_a_killed_code_server_with_nobodys_help(tmp_path: Path) -> None:
    """As `metaplatform ui` runs them, also after a restart with the broken file in place."""
    metadata = write_project(tmp_path, book=COUNTRIES)
    (tmp_path / "workspace.yaml").write_text(WORKSPACE, encoding="utf-8")
    environment = {
        "DAGSTER_HOME": str(write_dagster_home(tmp_path / "storage" / "dagster")),
        "METAPLATFORM_BOOK": "metadata",
        "METAPLATFORM_ROOT": "storage",
        "METAPLATFORM_SENSOR_INTERVAL_SECONDS": "2",
    }
    alerts = tmp_path / "storage" / "notifications" / "book.jsonl"

    def wait_for(met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not met():
            child.check()
            assert time.monotonic() < deadline, child.log.read_text(encoding="utf-8")[-3000:]
            time.sleep(0.5)

    service = dagster_dev(tmp_path, free_ports(1)[0])
    with running(service, logs=tmp_path / "logs", environment=environment) as child:
        wait_healthy(child)
        good = assets_shown(service.url)
        assert "tables.shares" in good
        (metadata / "more.yaml").write_text("tables: [half written", encoding="utf-8")
        graphql(service.url, RELOAD)
        assert assets_shown(service.url) == good
    with running(service, logs=tmp_path / "logs", environment=environment) as child:
        wait_healthy(child)
        assert assets_shown(service.url) == good
        wait_for(alerts.exists)
        [alert] = map(json.loads, alerts.read_text(encoding="utf-8").splitlines())
        assert "metadata/more.yaml:" in alert["body"]
        assert alert["facts"]["entities"] == "book"
        corrected = "tables: {ages: {sql: select max(age) as age from raw.customers}}\n"
        (metadata / "more.yaml").write_text(corrected, encoding="utf-8")
        wait_for(lambda: assets_shown(service.url) == good | {"tables.ages"})
