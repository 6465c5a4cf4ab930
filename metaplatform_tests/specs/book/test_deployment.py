"""A deployment's settings go through the environment to every process that it starts."""

from pathlib import Path

import pytest

from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.entities.alerts import AlertSpec
from metaplatform.specs.entities.notifications import AppriseNotification, FileNotification

FILE = FileNotification(kind="file")


def test_the_platforms_own_messages_go_to_a_file_and_to_each_channel_once(tmp_path: Path) -> None:
    team, night = (AppriseNotification(kind="apprise", url_env=name) for name in ("TEAM_URL", "NIGHT_URL"))
    alerts = [AlertSpec(name="one", notify=(team, FILE)), AlertSpec(name="two", notify=(night, team))]
    deployment = Deployment(book=tmp_path, root=tmp_path)
    assert deployment.channels(()) == (FILE,)
    assert deployment.channels(alerts) == (FILE, team, night)
    named = deployment.model_copy(update={"notify_url_env": "NIGHT_URL"})
    assert named.channels(alerts) == (FILE, night)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"source_folders": ("/data/one", "/data/two words"), "threads": 3, "memory_limit": "4GB"},
        {"environment": "prod", "public_url": "https://ml.example.org", "notify_url_env": "ON_DUTY"},
    ],
)
def test_a_deployment_comes_back_from_the_environment_it_is_given_on_in(
    settings: dict[str, object], tmp_path: Path
) -> None:
    deployment = Deployment.model_validate({"book": tmp_path / "metadata", "root": tmp_path / "root", **settings})
    inherited = {"METAPLATFORM_ENVIRONMENT": "other", "METAPLATFORM_SOURCE_FOLDERS": "/etc"}
    given = {**inherited, **deployment.to_environment()}
    assert Deployment.from_environment(given, Path("/elsewhere")) == deployment
