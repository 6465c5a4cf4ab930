"""What entities tell against themselves is passed on as they tell it."""

import pytest

from metaplatform.specs.rules.entity_faults import faults_of_entities
from metaplatform_tests.specs.rules.alone import shop, silent, tells

PARAMETERS = "models/lateness/training/parameters"


def test_faults_are_told_at_their_place_with_their_severity_and_nearest_name() -> None:
    at = "models.lateness/training"
    tells(
        faults_of_entities,
        shop({PARAMETERS: {"max_deph": 3, "seed": 1, "eta": 0.1}, "models/lateness/training/rounds": 20}),
        f"error unknown-parameter at {at}/parameters/max_deph (key): max_deph, perhaps max_depth | no parameter",
        f"error owned-parameter at {at}/parameters/seed (key): seed | set 'training.seed'",
        f"warning never-stops-early at {at}: 20 | not less than rounds (20) | allow more rounds",
    )


@pytest.mark.parametrize("rounds", [21, 300])
def test_a_training_that_can_stop_early_is_sound(rounds: int) -> None:
    silent(faults_of_entities, shop({"models/lateness/training/rounds": rounds}))


def test_each_model_tells_its_own_faults() -> None:
    tells(
        faults_of_entities,
        shop({PARAMETERS: {"zzz": 1}, "models/delay/training/parameters": {"objective": "binary:logistic"}}),
        "error unknown-parameter at models.lateness/training/parameters/zzz (key): zzz",
        "error owned-parameter at models.delay/training/parameters/objective (key): objective | regression",
    )


def test_what_is_known_of_a_broken_model_is_told_and_no_more() -> None:
    broken = {"models/lateness/training/rounds": "many", PARAMETERS: {"zzz": 1}}
    tells(
        faults_of_entities,
        shop(broken),
        "error unknown-parameter at models.lateness/training/parameters/zzz (key): zzz",
    )
    silent(faults_of_entities, shop({"models/lateness/training/rounds": "many"}))
