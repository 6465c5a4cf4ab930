"""A deployment whose book is in a database: a sound edit reaches it by itself, a bad one never, a run keeps its own."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from metaplatform.cli.commands import app
from metaplatform.composition import definitions_of, platform_resources
from metaplatform.errors import BookError, MetaplatformError
from metaplatform.factories.automation.book import book_sensor
from metaplatform.resources.book.book_connections import book_engine, book_url
from metaplatform.resources.book.book_database import BookDatabase
from metaplatform.resources.book.book_source import BookLook
from metaplatform.resources.book.deployed_book import book_of
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform_tests.live import (
    COUNTRIES,
    WORKSPACE,
    Daemon,
    assets_shown,
    dagster_dev,
    free_ports,
    run_of_all,
    running,
    spec_hashes,
    wait_for_log,
    wait_healthy,
)
from metaplatform_tests.processes import python
from metaplatform_tests.resources import databases
from metaplatform_tests.scenario import write_month, write_project

URL = "METAPLATFORM_BOOK_URL"


def push(url: str, metadata: Path) -> None:
    BookDatabase(url).push(load_book(metadata), {}, by="tester", now=datetime.now(UTC), delete=False, force=False)


def edit(url: str, sql: str) -> None:
    with book_engine(book_url(url)).begin() as connection:
        connection.exec_driver_sql(sql)


def deployment_at(project: Path) -> Deployment:
    return Deployment(book=project / "metadata", root=project / "storage", book_source="sql")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an SQLite database that holds the shop's book, known to the environment."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    push(url, write_project(tmp_path))
    monkeypatch.setenv(URL, url)
    return url


def test_a_deployment_reads_the_accepted_snapshot_and_never_the_database(shop: str, tmp_path: Path) -> None:
    deployment = deployment_at(tmp_path)
    book = book_of(deployment)
    first = book.serve()
    assert first.manifest.entities == load_book(tmp_path / "metadata").entities
    assert first.pin == book.content() == BookDatabase(shop).read().hash
    edit(shop, "UPDATE ML_Models SET rounds = 41")
    assert book.serve().manifest.models["returns"].training.rounds == 40
    (tmp_path / "book.db").unlink()
    assert book_of(deployment).serve() == first


def test_a_look_accepts_a_sound_edit_and_refuses_an_unsound_one(shop: str, tmp_path: Path) -> None:
    book = book_of(deployment_at(tmp_path))
    first = book.serve().pin
    assert book.look() == BookLook(str(first), first)
    edit(shop, "UPDATE ML_Models SET rounds = 41")
    second = book.look().content
    assert second == book.content() != first
    assert book.serve().manifest.models["returns"].training.rounds == 41
    assert book.serve(first).manifest.models["returns"].training.rounds == 40
    edit(shop, "UPDATE ML_Predictions SET model = 'nobody'")
    assert ("predictions.order_returns", "nobody") in [(issue.owner, issue.culprit) for issue in book.look().refused]
    assert book.content() == second


def test_a_first_load_of_an_unsound_or_absent_book_says_so(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(shop, "UPDATE ML_Predictions SET model = 'nobody'")
    with pytest.raises(BookError, match="nobody"):
        book_of(deployment_at(tmp_path)).serve()
    monkeypatch.delenv(URL)
    with pytest.raises(MetaplatformError, match=URL):
        book_of(deployment_at(tmp_path)).serve()


def test_a_plan_and_an_apply_take_the_book_as_the_database_has_it_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit that no sensor has seen yet is planned, without being accepted, and applied; a bad one is not."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    push(url, write_project(tmp_path, book=COUNTRIES))
    deployment = deployment_at(tmp_path)
    settings = {URL: url, "METAPLATFORM_BOOK": str(deployment.book), "METAPLATFORM_ROOT": str(deployment.root)}
    for name, value in {**settings, "METAPLATFORM_BOOK_SOURCE": "sql"}.items():
        monkeypatch.setenv(name, value)
    assert "Made 3 assets" in invoked("apply", "--yes")
    book, table = book_of(deployment), deployment.root / "warehouse" / "tables" / "countries"
    first = book.content()
    edit(url, "UPDATE SQL_Tables SET sql = 'select country from raw.customers' WHERE name = 'shares'")
    assert "tables.shares" in invoked("plan", "--detailed-exitcode", code=3)
    assert book.content() == first
    edit(url, "UPDATE SQL_Tables SET sql = sql || ' having count(*) > 1' WHERE name = 'countries'")
    invoked("apply", code=2)
    assert book.content() == first, "nobody has said yes"
    assert "readers would break" in told_by("apply", "--yes")
    assert "Made 2 assets" in invoked("apply", "--yes", "--allow-breaking")
    assert book.content() == BookDatabase(url).read().hash != first
    assert len(spec_hashes(table)) == 2
    edit(url, "UPDATE SQL_Tables SET sql = 'select nothing from nowhere'")
    assert "nowhere" in told_by("plan")
    assert "nowhere" in told_by("apply", "--yes")
    (tmp_path / "book.db").unlink()
    assert "no such file" in (told := invoked("plan"))
    assert "accepted last" in told
    assert "Nothing to do" in told


def invoked(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def told_by(*words: str) -> str:
    with pytest.raises(MetaplatformError) as caught:
        CliRunner().invoke(app, words, catch_exceptions=False)
    return str(caught.value)


def test_a_refused_edit_is_told_at_every_look_and_alerts_once_even_after_a_restart(shop: str, tmp_path: Path) -> None:
    deployment = deployment_at(tmp_path)
    alerts = deployment.root / "notifications" / "book.jsonl"
    assert "is that of its source" in looked(deployment)
    edit(shop, "UPDATE ML_Predictions SET model = 'nobody'")
    for _ in range(2):
        told = looked(deployment)
        assert "is refused" in told
        assert "predictions.order_returns: 'nobody' is not defined" in told
        assert len(alerts.read_text(encoding="utf-8").splitlines()) == 1
    edit(shop, "UPDATE ML_Monitors SET drift_share = 7")
    assert "is refused" in looked(deployment)
    assert len(alerts.read_text(encoding="utf-8").splitlines()) == 2, "another bad edit is another alert"
    edit(shop, "UPDATE ML_Predictions SET model = 'returns'")
    edit(shop, "UPDATE ML_Monitors SET drift_share = NULL")
    assert "is accepted" in looked(deployment, loaded="another")


def looked(deployment: Deployment, *, loaded: str | None = None) -> str:
    """Return what the sensor of a code server that was just started says."""
    source = book_of(deployment)
    served = source.serve_live()
    sensor = book_sensor(source, replace(served, content=loaded or served.content), 1)
    resources = platform_resources(deployment)
    context = dg.build_sensor_context(resources={name: resources[name] for name in ("notifier", "clock")})
    try:
        return sensor.evaluate_tick(context).skip_message or ""
    except MetaplatformError as error:
        return str(error)
    finally:
        Notifier(root=str(deployment.root)).deliver(Clock().now())


def test_assets_of_a_book_in_a_database_link_to_no_file(shop: str, tmp_path: Path) -> None:
    deployment = deployment_at(tmp_path)
    graph = definitions_of(book_of(deployment).serve().manifest, deployment).get_repository_def().asset_graph
    assert "dagster/code_references" not in graph.get(dg.AssetKey(["models", "returns"])).metadata


def test_a_run_keeps_the_book_it_started_with_in_all_its_processes(tmp_path: Path) -> None:
    """Every step is a fresh process that starts after the new book was accepted."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    push(url, write_project(tmp_path, book=COUNTRIES))
    root = tmp_path / "storage"
    environment = {
        **os.environ,
        URL: url,
        "DAGSTER_HOME": str(write_dagster_home(root / "dagster")),
        "METAPLATFORM_BOOK": str(tmp_path / "metadata"),
        "METAPLATFORM_BOOK_SOURCE": "sql",
        "METAPLATFORM_EXECUTOR": "multiprocess",
        "METAPLATFORM_ROOT": str(root),
    }
    book = book_of(Deployment(book=tmp_path / "metadata", root=root, book_source="sql"), environment)
    os.environ[URL] = url
    try:
        old = book.serve().manifest
        with run_of_all(tmp_path, environment) as run:
            # The run's own process has read the book; none of its steps has been started.
            wait_for_log(tmp_path / "run.log", "RUN_START", run)
            edit(url, "UPDATE SQL_Tables SET sql = sql || ' order by country'")
            book.look()
            new = book.serve().manifest
            assert "STEP_SUCCESS" not in (tmp_path / "run.log").read_text(), "the edit came too late to prove anything"
            assert run.wait(180) == 0, (tmp_path / "run.log").read_text()[-3000:]
        with run_of_all(tmp_path, {**environment, "METAPLATFORM_EXECUTOR": "in_process"}) as run:
            assert run.wait(180) == 0, (tmp_path / "run.log").read_text()[-3000:]
    finally:
        del os.environ[URL]
    for name in ("countries", "shares"):
        ref = f"tables.{name}"
        assert old.spec_hash(ref) != new.spec_hash(ref)
        assert spec_hashes(root / "warehouse" / "tables" / name) == [old.spec_hash(ref), new.spec_hash(ref)]


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[str]:
    with databases.postgresql(tmp_path / "server") as uri:
        yield uri


def scored_by(daemon: Daemon) -> set[int | None]:
    partitions = daemon.ledger._warehouse.partitions("predictions.order_returns")
    return {state.model_version for state in partitions.values()}


@pytest.mark.live
def test_one_update_in_postgresql_changes_the_version_used_for_inference_and_a_bad_one_is_refused(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No deploy, no restart, nobody's help: plain SQL, and the daemon that runs anyway."""
    push(postgresql, write_project(tmp_path))
    monkeypatch.setenv(URL, postgresql)
    # Of the month that made it learn again a new version scores what it has not learnt: the next one shows it.
    for month in ("2024-01", "2024-02", "2024-03", "2024-04", "2024-05"):
        write_month(tmp_path, month, shifted=month > "2024-03")
    deployment = deployment_at(tmp_path)
    settings = {"METAPLATFORM_BOOK": "metadata", "METAPLATFORM_ROOT": "storage", "METAPLATFORM_BOOK_SOURCE": "sql"}
    python("-m", "metaplatform", "replay", cwd=tmp_path, env={**os.environ, **settings}, check=True)
    book = book_of(deployment)
    first = book.content()
    daemon = Daemon.over(tmp_path)
    daemon.environment["METAPLATFORM_BOOK_SOURCE"] = "sql"
    assert scored_by(daemon) > {1}
    alerts = deployment.root / "notifications" / "book.jsonl"
    try:
        daemon.start()
        daemon.wait_for("a look at the book", lambda: daemon.looks("book") >= 1)
        edit(postgresql, "UPDATE ML_Predictions SET model_version = 1 WHERE name = 'order_returns'")
        daemon.wait_for("the edit accepted", lambda: book.content() != first)
        daemon.wait_for("predictions by version 1", lambda: scored_by(daemon) == {1})
        good = book.content()

        edit(postgresql, "UPDATE ML_Predictions SET model = 'nobody'")
        daemon.wait_for("an alert", alerts.exists)
        looks = {sensor: daemon.looks(sensor) for sensor in ("book", "scoring", "arrivals")}
        daemon.wait_for("further looks", lambda: all(daemon.looks(name) >= seen + 2 for name, seen in looks.items()))
    finally:
        daemon.stop()
    assert book.content() == good
    [alert] = alerts.read_text(encoding="utf-8").splitlines()
    assert "nobody" in alert
    assert "predictions.order_returns" in alert
    assert scored_by(daemon) == {1}


@pytest.mark.live
def test_under_dagsters_own_servers_a_new_row_is_a_new_asset_in_the_ui_by_itself(tmp_path: Path) -> None:
    """As `metaplatform ui` runs them: the sensor has the shared code server start anew."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    push(url, write_project(tmp_path, book=COUNTRIES))
    (tmp_path / "workspace.yaml").write_text(WORKSPACE, encoding="utf-8")
    environment = {
        URL: url,
        "DAGSTER_HOME": str(write_dagster_home(tmp_path / "storage" / "dagster")),
        "METAPLATFORM_BOOK": "metadata",
        "METAPLATFORM_BOOK_SOURCE": "sql",
        "METAPLATFORM_ROOT": "storage",
        "METAPLATFORM_SENSOR_INTERVAL_SECONDS": "2",
    }
    service = dagster_dev(tmp_path, free_ports(1)[0])
    with running(service, logs=tmp_path / "logs", environment=environment) as child:
        wait_healthy(child)
        assert "tables.countries" in assets_shown(service.url)
        edit(url, "INSERT INTO SQL_Tables (name, sql) VALUES ('ages', 'select max(age) as age from raw.customers')")
        deadline = time.monotonic() + 120
        while "tables.ages" not in assets_shown(service.url):
            child.check()
            assert time.monotonic() < deadline, child.log.read_text(encoding="utf-8")[-3000:]
            time.sleep(0.5)
