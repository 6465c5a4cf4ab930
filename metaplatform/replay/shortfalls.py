"""What a replay did not come to, and why, in words."""

from collections.abc import Collection, Iterator
from datetime import datetime

from metaplatform.chapters import SOURCES
from metaplatform.factories.automation.state import Loop, blocked_partitions
from metaplatform.resources.sinks.outbox import Outbox
from metaplatform.specs.entities.inference import PredictionSpec
from metaplatform.specs.records.ledger import Decision
from metaplatform.text.moments import shown
from metaplatform.text.plurals import counted


def shortfalls(loop: Loop, runs: int, end: datetime) -> Iterator[str]:
    """Yield what was held back or not sent, why there was no run by ``end``, and why a prediction scored nothing."""
    held = blocked_partitions(loop)
    for (name, _), told in held.items():
        yield f"{SOURCES.ref(name)} is held back: {told}"
    if unsent := Outbox(loop.warehouse.root_path).waiting():
        why = next((waiting.reason for waiting in unsent if waiting.reason), "they are not due yet")
        yield f"{counted(len(unsent), 'message')} not sent, tried again by `metaplatform ui`: {why}"
    if not runs:
        yield from _idle(loop, end, held)
        return
    for prediction in loop.manifest.predictions.values():
        if not loop.warehouse.partitions(prediction.ref):
            yield f"{prediction.ref} scored nothing: {_unscored(loop, prediction)}"


def _idle(loop: Loop, end: datetime, held: Collection[object]) -> Iterator[str]:
    empty = [SOURCES.ref(name) for name, contents in loop.contents.items() if not contents.stored]
    if empty:
        yield f"nothing was to be done: no rows in {', '.join(empty)}"
    elif not held:
        yield f"nothing was to be done: no partition that has rows ends by {shown(end, loop.manifest.timezone)}"


def _unscored(loop: Loop, prediction: PredictionSpec) -> str:
    versions = {found.version for found in loop.registry.versions(prediction.model)}
    if prediction.version != "champion" and prediction.version not in versions:
        return f"{prediction.model_ref} has no version {prediction.version}"
    if versions:
        return f"no rows to score for {prediction.model_ref}"
    decisions = loop.ledger.read(Decision, model=prediction.model)
    why = decisions[-1].reasons if decisions else "nothing has asked for a training"
    return f"{prediction.model_ref} was never trained: {why}"
