"""One of a thing is one thing."""

import pytest

from metaplatform.text.plurals import counted


@pytest.mark.parametrize(("number", "told"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_000, "12,000 rows")])
def test_a_number_has_its_noun(number: int, told: str) -> None:
    assert counted(number, "row") == told


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert [counted(number, "entity", "entities") for number in (1, 2)] == ["1 entity", "2 entities"]
