"""What the loop kept of a replay → a row for each scored partition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import ibis

from metaplatform.compute.evaluation import evaluate
from metaplatform.compute.inference import Predictor
from metaplatform.factories.automation.state import WorkingLoop
from metaplatform.naming import history_ref
from metaplatform.replay.results import Period, ReplayRow, drift_share, unjudged
from metaplatform.resources.delta_tables import PartitionState
from metaplatform.resources.exports import Exports
from metaplatform.resources.model_bundle import ModelBundle
from metaplatform.resources.notifier import Notifier
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.records import Action, Decision, Observation, Promotion
from metaplatform.specs.training import ModelSpec
from metaplatform.work.label_maturity import labels_known_at
from metaplatform.work.labelled_rows import encoded_rows, labelled_frame, labels_of, order_of, scored_labels
from metaplatform.work.performance import realized_rows
from metaplatform.work.steps import Step

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


def summarise(loop: WorkingLoop) -> Iterator[ReplayRow]:
    """Yield a row for each partition of each prediction, in time order."""
    for prediction in loop.manifest.predictions.values():
        yield from _History(loop, prediction).rows()


@dataclass(frozen=True)
class _History:
    """What the loop kept of one prediction; what its partitions share is read once."""

    loop: WorkingLoop
    prediction: PredictionSpec

    def rows(self) -> Iterator[ReplayRow]:
        """Yield a row for each partition."""
        partitions = sorted(self._scored)
        for partition, period in zip(partitions, self._periods(partitions), strict=True):
            yield self._row(partition, period)

    @property
    def _ref(self) -> str:
        return f"predictions.{self.prediction.name}"

    @cached_property
    def _model(self) -> ModelSpec:
        return self.loop.manifest.models[self.prediction.model]

    @cached_property
    def _scored(self) -> Mapping[str, PartitionState]:
        return self.loop.warehouse.partitions(self._ref)

    @cached_property
    def _first_bundle(self) -> ModelBundle:
        registry = self.loop.registry
        return registry.load(self._model.name, min(found.version for found in registry.versions(self._model.name)))

    @cached_property
    def _verdicts(self) -> list[Observation]:
        return self.loop.ledger.read(Observation, column="")

    @cached_property
    def _monitors(self) -> frozenset[str]:
        monitors = self.loop.manifest.monitors.items()
        return frozenset(name for name, monitor in monitors if monitor.prediction == self.prediction.name)

    def _periods(self, partitions: list[str]) -> list[Period]:
        """Return what was kept from each partition's end to the next one's; the first takes nothing from before."""
        spec = self.loop.manifest.partitions(self._ref)
        starts = [spec.window(partition).end if spec else datetime.min.replace(tzinfo=UTC) for partition in partitions]
        ends = [*starts[1:], _END_OF_TIME][: len(starts)]
        ledger = self.loop.ledger
        decisions = ledger.read(Decision, model=self._model.name)
        promotions = ledger.read(Promotion, model=self._model.name)
        actions = ledger.read(Action, prediction=self.prediction.name)
        return [
            Period(
                tuple(kept for kept in decisions if start <= kept.decided_at < end),
                tuple(kept for kept in promotions if start <= kept.decided_at < end),
                tuple(kept for kept in actions if kept.partition == partition),
            )
            for partition, start, end in zip(partitions, starts, ends, strict=True)
        ]

    def _row(self, partition: str, period: Period) -> ReplayRow:
        champion, live, since = self._live(partition)
        decision = period.decision
        return ReplayRow(
            prediction=self.prediction.name,
            partition=partition,
            rows=self._scored[partition].rows,
            drift_share=drift_share(self._verdicts, self._monitors, partition),
            champion=champion,
            metric=self._model.promotion.metric,
            live=live,
            first=self._first(partition, since),
            decision=decision.outcome if decision else "",
            reason=decision.reasons if decision else "",
            promotion=period.promotion,
            actions=len(period.actions),
            unjudged=unjudged(self._verdicts, self._monitors, partition),
        )

    def _step(self, partition: str) -> Step:
        root = self.loop.warehouse.root
        return Step(
            self.loop.manifest,
            self._ref,
            "replay",
            partition or None,
            self.loop.now,
            self.loop.warehouse,
            self.loop.registry,
            Exports(root=root),
            Notifier(root=root),
        )

    def _live(self, partition: str) -> tuple[int, float | None, datetime | None]:
        """Return the version whose out-of-sample scores the partition got, their metric, and where its rows begin."""
        realized = realized_rows(self._step(partition), self.prediction.name, self._model)
        if realized.version is None:
            return self.loop.warehouse.partitions(history_ref(self._ref))[partition].model_version or 0, None, None
        scores = evaluate(realized.labels, realized.scores, self._model.task).scores
        return realized.version.version, scores[self._model.promotion.metric], realized.version.trained_until

    def _first(self, partition: str, since: datetime | None) -> float | None:
        """Return the metric of the model's first version on the partition, as if it had never been retrained.

        Rows before ``since``, which the live version has learnt from, are left out, and what the first one has.
        """
        manifest, window = self.loop.manifest, self._step(partition).window
        bundle, moment = self._first_bundle, manifest.spine_of(self._model).event_timestamp
        learnt_until = bundle.lineage.trained_until
        since = max(since or learnt_until, learnt_until)
        with self.loop.warehouse.session() as session:
            known = labels_known_at(manifest, self._model, self.loop.warehouse, self.loop.now)
            labels = labels_of(session, manifest, self._model, known, window)
            frame = labelled_frame(session, manifest, self._model, labels, window)
            frame = frame.filter(frame[moment] >= ibis.literal(since))
            predictor = Predictor(bundle.booster, bundle.encoding.names, threads=session.threads)
            order = order_of(manifest, self._model)
            encoded = encoded_rows(frame, bundle.encoding, order=order)
            truths, scores = scored_labels(session, encoded, bundle.encoding, predictor, order=order)
        return evaluate(truths, scores, self._model.task).scores[self._model.promotion.metric]
