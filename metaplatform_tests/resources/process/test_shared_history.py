"""Dagster's history in a real PostgreSQL: chosen by one variable, refused with the reason, and nobody else's."""

import importlib.util
from itertools import count
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from metaplatform.errors import MetaplatformError
from metaplatform.execution import deployment_instance
from metaplatform.resources.process.dagster_home import HISTORY_URL, write_dagster_home
from metaplatform.resources.process.shared_history import home_in_use
from metaplatform.specs.book.deployment import Deployment
from metaplatform_tests.resources import databases

_HIDDEN = "s3cret-word"
numbers = count()


@pytest.fixture
def url(server: str) -> str:
    """Return the URL of an empty database, as people write it."""
    made = databases.new_database(server, f"history_{next(numbers)}")
    return made.replace("postgresql+psycopg2://", "postgresql://")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(book=tmp_path / "metadata", root=tmp_path / "storage")


def refusal(home: Path, url: str) -> str:
    with pytest.raises(MetaplatformError) as caught, home_in_use(home, environment={HISTORY_URL: url}):
        pass
    return str(caught.value)


@dg.asset
def once() -> None:
    """Nothing."""


def test_one_variable_moves_the_history_there_and_the_settings_hold_no_secret(
    deployment: Deployment, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dagster_home(deployment.dagster_home)
    monkeypatch.setenv(HISTORY_URL, url)
    with deployment_instance(deployment) as instance:
        run = dg.materialize([once], instance=instance).run_id
    # As the daemon, the pages, and `dagster` by hand open it.
    with dg.DagsterInstance.from_config(str(deployment.dagster_home)) as instance:
        assert instance.has_run(run)
    with sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://")).connect() as connection:
        assert connection.exec_driver_sql("select run_id from runs").scalars().all() == [run]
    assert url not in (deployment.dagster_home / "dagster.yaml").read_text()
    assert not list(deployment.dagster_home.rglob("*.db"))


def test_a_replay_keeps_its_own(deployment: Deployment, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HISTORY_URL, url)
    with deployment_instance(deployment, replaying=True) as instance:
        dg.materialize([once], instance=instance)
    assert list(deployment.dagster_home.rglob("*.db"))
    with deployment_instance(deployment) as instance:
        assert instance.get_runs_count() == 0


def test_a_variable_that_is_taken_away_is_missed(tmp_path: Path, url: str) -> None:
    with home_in_use(tmp_path, environment={HISTORY_URL: url}) as home:
        pass
    assert write_dagster_home(home, shared=True) == home
    with pytest.raises(MetaplatformError, match=f"{HISTORY_URL}, which is not set"):
        write_dagster_home(home)


def test_a_storage_that_a_person_has_chosen_is_not_overruled(tmp_path: Path, url: str) -> None:
    (tmp_path / "dagster.yaml").write_text("storage: {sqlite: {base_dir: there}}\n")
    assert "chooses a storage" in refusal(tmp_path, url)
    assert (tmp_path / "dagster.yaml").read_text() == "storage: {sqlite: {base_dir: there}}\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (f"postgresql://ann:{_HIDDEN}@127.0.0.1:1/shop", "cannot be used: connection"),
        (f"postgresql://ann:{_HIDDEN}@nowhere.invalid/shop", "cannot be used"),
        (f"postgresql://ann:{_HIDDEN}@x@127.0.0.1/shop", "several '@'"),
        (f"mysql://ann:{_HIDDEN}@127.0.0.1/shop", "not the URL of a PostgreSQL database"),
        (f"ann {_HIDDEN}", "not a database URL"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_and_nothing_is_written(tmp_path: Path, given: str, said: str) -> None:
    told = refusal(tmp_path / "home", given)
    assert said in told
    assert _HIDDEN not in told
    assert not (tmp_path / "home").exists()


def test_a_user_who_is_refused_is_told_without_the_password(tmp_path: Path, url: str) -> None:
    wrong = sa.make_url(url).set(username="nobody", password=_HIDDEN).render_as_string(hide_password=False)
    told = refusal(tmp_path, wrong)
    assert "nobody" in told
    assert _HIDDEN not in told


def test_the_extra_that_is_missing_is_named(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "dagster_postgres" else found(name, *more)
    )
    assert "pip install metaplatform[postgres]" in refusal(tmp_path, url)


def test_tables_of_another_version_of_dagster_are_left_alone(tmp_path: Path, url: str) -> None:
    environment = {HISTORY_URL: url}
    with home_in_use(tmp_path, environment=environment), pytest.MonkeyPatch.context() as patch:
        patch.setenv(HISTORY_URL, url)
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            instance.get_runs_count()
    with home_in_use(tmp_path, environment=environment):
        pass
    with sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://")).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'of-next-year'")
    assert "another version of Dagster" in refusal(tmp_path, url)


def test_the_history_of_another_root_is_not_taken(tmp_path: Path, url: str) -> None:
    environment = {HISTORY_URL: url}
    with home_in_use(tmp_path / "one", environment=environment):
        pass
    told = refusal(tmp_path / "two", url)
    assert "it has the history of another storage root" in told
    (tmp_path / "one").rename(tmp_path / "moved")
    with home_in_use(tmp_path / "moved", environment=environment):
        pass


def test_one_ui_serves_it(tmp_path: Path, url: str) -> None:
    environment = {HISTORY_URL: url}
    with home_in_use(tmp_path, serve=True, environment=environment):
        with home_in_use(tmp_path, environment=environment):
            pass
        with (
            pytest.raises(MetaplatformError, match="another `metaplatform ui` serves"),
            home_in_use(tmp_path, serve=True, environment=environment),
        ):
            pass
    with home_in_use(tmp_path, serve=True, environment=environment):
        pass
