"""The composition root takes the book's parameters and overlay from the deployment's environment."""

from pathlib import Path

import pytest

from metaplatform.composition import load_definitions
from metaplatform.errors import BookError
from metaplatform_tests.scenario import BOOK, write_project

PARAMETERS = "spec_version: 2\nparameters:\n  seed: {type: integer}\n"


def code_version(environment: dict[str, str], folder: Path) -> str | None:
    specs = load_definitions(environment, folder).resolve_all_asset_specs()
    return next(spec.code_version for spec in specs if spec.key.path == ["models", "returns"])


def test_variables_and_overlay_reach_the_definitions(tmp_path: Path) -> None:
    write_project(tmp_path, book=PARAMETERS + BOOK.replace("seed: 7", 'seed: "${seed}"'))
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").write_text("parameters: {seed: {default: 7}}\n")
    with pytest.raises(BookError, match="METAPLATFORM_PARAMETER_SEED is not set"):
        load_definitions({}, tmp_path)

    prod = code_version({"METAPLATFORM_ENVIRONMENT": "prod"}, tmp_path)
    assert code_version({"METAPLATFORM_PARAMETER_SEED": "7"}, tmp_path) == prod
    changed = {"METAPLATFORM_ENVIRONMENT": "prod", "METAPLATFORM_PARAMETER_SEED": "8"}
    assert code_version(changed, tmp_path) != prod

    write_project(tmp_path / "plain")
    assert code_version({}, tmp_path / "plain") == prod
