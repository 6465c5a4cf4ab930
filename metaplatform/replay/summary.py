"""What the loop kept of a replay → a row for each scored partition."""

from collections.abc import Iterator
from datetime import UTC, datetime

import ibis

from metaplatform.compute.evaluation import evaluate
from metaplatform.compute.inference import Predictor
from metaplatform.factories.automation.state import Loop
from metaplatform.factories.labelled_rows import encoded_rows, labelled_frame, labels_of, order_of, scored_labels
from metaplatform.factories.performance import realized_rows
from metaplatform.factories.steps import Step
from metaplatform.factories.training import THREADS
from metaplatform.naming import history_ref
from metaplatform.replay.results import Period, ReplayRow, drift_share
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.records import Action, Decision, Observation, Promotion

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


def summarise(loop: Loop) -> Iterator[ReplayRow]:
    """Yield a row for each partition of each prediction, in time order."""
    for prediction in loop.manifest.predictions.values():
        partitions = sorted(loop.warehouse.partitions(f"predictions.{prediction.name}"))
        periods = _periods(loop, prediction, partitions)
        for partition, period in zip(partitions, periods, strict=True):
            yield _row(loop, prediction, partition, period)


def _periods(loop: Loop, prediction: PredictionSpec, partitions: list[str]) -> list[Period]:
    """Return what was kept from each partition's end to the next one's; the first takes nothing from before."""
    spec = loop.manifest.partitions(f"predictions.{prediction.name}")
    starts = [spec.window(partition).end if spec else datetime.min.replace(tzinfo=UTC) for partition in partitions]
    ends = [*starts[1:], _END_OF_TIME][: len(starts)]
    decisions = loop.ledger.read(Decision, model=prediction.model)
    promotions = loop.ledger.read(Promotion, model=prediction.model)
    actions = loop.ledger.read(Action, prediction=prediction.name)
    return [
        Period(
            tuple(kept for kept in decisions if start <= kept.decided_at < end),
            tuple(kept for kept in promotions if start <= kept.decided_at < end),
            tuple(kept for kept in actions if kept.partition == partition),
        )
        for partition, start, end in zip(partitions, starts, ends, strict=True)
    ]


def _row(loop: Loop, prediction: PredictionSpec, partition: str, period: Period) -> ReplayRow:
    model = loop.manifest.models[prediction.model]
    monitors = frozenset(
        name for name, monitor in loop.manifest.monitors.items() if monitor.prediction == prediction.name
    )
    champion, live, since = _live(loop, prediction, partition)
    decision = period.decision
    return ReplayRow(
        prediction=prediction.name,
        partition=partition,
        rows=loop.warehouse.partitions(f"predictions.{prediction.name}")[partition].rows,
        drift_share=drift_share(loop.ledger.read(Observation, kind="drift"), monitors, partition),
        champion=champion,
        metric=model.promotion.metric,
        live=live,
        first=_first_version(loop, prediction, partition, since),
        decision=decision.outcome if decision else "",
        reason=decision.reasons if decision else "",
        promotion=period.promotion,
        actions=len(period.actions),
    )


def _step(loop: Loop, prediction: PredictionSpec, partition: str) -> Step:
    return Step(
        loop.manifest, f"predictions.{prediction.name}", "replay", partition or None, loop.now, {}, lambda _: None
    )


def _live(loop: Loop, prediction: PredictionSpec, partition: str) -> tuple[int, float | None, datetime | None]:
    """Return the version whose out-of-sample scores the partition got, their metric, and where its rows begin."""
    model = loop.manifest.models[prediction.model]
    realized = realized_rows(_step(loop, prediction, partition), prediction.name, model, loop.warehouse, loop.registry)
    if realized.version is None:
        scored = loop.warehouse.partitions(history_ref(f"predictions.{prediction.name}"))[partition]
        return scored.model_version or 0, None, None
    scores = evaluate(realized.labels, realized.scores, model.task).scores
    return realized.version.version, scores[model.promotion.metric], realized.version.trained_until


def _first_version(loop: Loop, prediction: PredictionSpec, partition: str, since: datetime | None) -> float | None:
    """Return the metric of the model's first version on the partition, as if it had never been retrained.

    Rows before ``since`` are left out: what the live version has learnt from, the first one may have, too.
    """
    model = loop.manifest.models[prediction.model]
    step = _step(loop, prediction, partition)
    bundle = loop.registry.load(model.name, min(found.version for found in loop.registry.versions(model.name)))
    with loop.warehouse.session() as session:
        labels = labels_of(session, loop.manifest, model, loop.now, step.window)
        frame = labelled_frame(session, loop.manifest, model, labels, step.window)
        moment = loop.manifest.spine_of(model).event_timestamp
        frame = frame if since is None else frame.filter(frame[moment] >= ibis.literal(since))
        predictor = Predictor(bundle.booster, bundle.encoding.names, threads=THREADS)
        order = order_of(loop.manifest, model)
        encoded = encoded_rows(frame, bundle.encoding, order=order)
        truths, scores = scored_labels(session, encoded, bundle.encoding, predictor, order=order)
    return evaluate(truths, scores, model.task).scores[model.promotion.metric]
