"""What a plan tells of sources is what the loop then does."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from metaplatform.planning.state import plan_of
from metaplatform.planning.text import summary, to_markdown
from metaplatform_tests.factories.live_loop import LiveLoop

DAYS = ("2024-01-01", "2024-01-02")


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[LiveLoop]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield LiveLoop(tmp_path, instance)


def pending(loop: LiveLoop) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    plan = plan_of(loop.manifest, loop.deployment)
    assert not plan.work
    return {change.ref: (change.reasons, change.partitions) for change in plan.changes if change.state == "pending"}


def test_a_plan_says_what_the_loop_has_yet_to_read_and_to_take_in(loop: LiveLoop) -> None:
    loop.prices()
    paths = [loop.orders(day, 1, 2) for day in DAYS]
    loop.settle()
    assert plan_of(loop.manifest, loop.deployment).empty
    paths[1].unlink()
    assert pending(loop) == {"raw.orders": (("files have changed since they were read",), ())}
    for request in loop.tick().run_requests:
        loop.run(request)
    assert pending(loop) == {"raw.orders": (("what was read of them has not been taken in yet",), (DAYS[1],))}
    plan = plan_of(loop.manifest, loop.deployment)
    assert summary(plan) == "1 for the loop to take in."
    assert "Taken in by the loop" in to_markdown(plan)
    loop.settle()
    assert plan_of(loop.manifest, loop.deployment).empty


def test_a_plan_says_what_is_held_back_and_which_files_are_not_there(loop: LiveLoop) -> None:
    prices = loop.prices()
    loop.orders(DAYS[0], 1, 2)
    loop.settle()
    loop.orders(DAYS[1], 1, "47.16 EUR")
    prices.unlink()
    loop.reasons_until_told()
    found = pending(loop)
    assert found["raw.orders"][0] == (f"held back: 1 of 2 rows of {DAYS[1]} are in quarantine",)
    assert found["raw.prices"][0][0].startswith("no file matches 'data/prices.csv'")
