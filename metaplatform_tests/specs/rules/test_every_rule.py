"""Every rule is tested alone, both ways, and concludes nothing from what cannot be read."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from metaplatform.specs.rules import DEFAULT_RULES
from metaplatform.specs.rules.book import Rule
from metaplatform_tests.specs.rules.alone import SHOP, judge, shop, short, silent

HERE = Path(__file__).parent
WRONG = [[]]
"""No field of the shop takes it."""


@cache
def tried(file: str, how: str) -> frozenset[str]:
    """Return the names of the rules that the tests in a file call: ``tells`` or ``silent``."""
    path = HERE / file
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return frozenset(
        node.args[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == how
        and isinstance(node.args[0], ast.Name)
    )


def name_of(rule: Rule) -> str:
    return str(rule.__name__)


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=name_of)
def test_every_rule_is_tested_alone_where_it_tells_and_where_it_is_silent(rule: Rule) -> None:
    file = f"test_{rule.__module__.rpartition('.')[2]}.py"
    assert name_of(rule) in tried(file, "tells")
    assert name_of(rule) in tried(file, "silent")


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=name_of)
def test_the_shop_is_sound(rule: Rule) -> None:
    silent(rule, SHOP)


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=name_of)
def test_a_book_of_nothing_is_sound(rule: Rule) -> None:
    silent(rule, {})


def places(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every value below an entity."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        here = f"{path}/{key}" if path else str(key)
        yield here
        yield from places(inner, here)


PLACES = [path for path in places(SHOP) if path.count("/") > 1]


def test_nothing_is_concluded_from_a_value_that_cannot_be_read() -> None:
    told = {path: [*map(short, judge(DEFAULT_RULES, shop({path: WRONG})))] for path in PLACES}
    assert {path: found for path, found in told.items() if found} == {}
