"""A moment of a replay comes to rest however much arrives at it, and one that never would is ended."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from metaplatform.errors import MetaplatformError
from metaplatform.replay import conductor
from metaplatform.replay.conductor import Conductor

NOW = datetime(2024, 1, 1, tzinfo=UTC)
KEYS = [str(number) for number in range(8)]


def conductor_of(instance: dg.DagsterInstance, *, forever: bool) -> Conductor:
    """Return one over an asset whose sensor asks for a partition a look: each once, or the last one on and on."""

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(KEYS))
    def made() -> None: ...

    @dg.sensor(target=[made])
    def arrivals(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
        asked = int(context.cursor or 0)
        context.update_cursor(str(asked + 1))
        if forever or asked < len(KEYS):
            yield dg.RunRequest(asset_selection=[made.key], partition_key=KEYS[min(asked, len(KEYS) - 1)])

    nothing = dict.fromkeys(("warehouse", "registry", "notifier"), None)
    definitions = dg.Definitions(assets=[made], sensors=[arrivals], resources=nothing)
    return Conductor(definitions, instance, lambda _: None)


def test_more_partitions_than_rounds_allowed_arrive_at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "_MOST_ROUNDS", 3)
    with dg.DagsterInstance.ephemeral() as instance:
        playing = conductor_of(instance, forever=False)
        playing.settle(NOW)
        assert playing.runs == len(KEYS)


def test_what_is_asked_for_again_and_again_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "_MOST_ROUNDS", 3)
    with dg.DagsterInstance.ephemeral() as instance:
        playing = conductor_of(instance, forever=True)
        with pytest.raises(MetaplatformError, match="still new runs after 8 rounds"):
            playing.settle(NOW)
