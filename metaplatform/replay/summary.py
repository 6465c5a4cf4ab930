"""What the loop kept of a replay → a row for each scored partition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import ibis

from metaplatform.compute.evaluation import evaluate
from metaplatform.compute.inference import Predictor
from metaplatform.factories.automation.state import WorkingLoop
from metaplatform.replay.results import Period, ReplayRow, drift_share, unjudged
from metaplatform.resources.delta.delta_partitions import PartitionState
from metaplatform.resources.models.model_bundle import ModelBundle
from metaplatform.resources.sinks.exports import Exports
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.specs.entities.inference import PredictionSpec
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.records.ledger import Action, Decision, Observation, Promotion
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
        return self.prediction.ref

    @cached_property
    def _model(self) -> ModelSpec:
        return self.loop.manifest.models[self.prediction.model]

    @cached_property
    def _scored(self) -> Mapping[str, PartitionState]:
        return self.loop.warehouse.partitions(self._ref)

    @cached_property
    def _first_version(self) -> int:
        return min(found.version for found in self.loop.registry.versions(self._model.name))

    @cached_property
    def _first_bundle(self) -> ModelBundle:
        return self.loop.registry.load(self._model.name, self._first_version)

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
        champion, live, first = self._judged(partition)
        decision = period.decision
        return ReplayRow(
            prediction=self.prediction.name,
            partition=partition,
            rows=self._scored[partition].rows,
            drift_share=drift_share(self._verdicts, self._monitors, partition),
            champion=champion,
            metric=self._model.promotion.metric,
            live=live,
            first=first,
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

    def _judged(self, partition: str) -> tuple[int, float | None, float | None]:
        """Return the version whose scores count for the partition, their metric, and the first version's."""
        realized = realized_rows(self._step(partition), self.prediction.name, self._model, of_all=True)
        version = realized.version
        if version is None or realized.since is None:
            return self._scored[partition].model_version or 0, None, None
        live = evaluate(realized.labels, realized.scores, self._model.task).scores[self._model.promotion.metric]
        first = live if version.version == self._first_version else self._first(partition, realized.since)
        return version.version, live, first

    def _first(self, partition: str, since: datetime) -> float | None:
        """Return the metric of the model's first version on the partition, as if it had never been retrained.

        Rows before ``since``, of which no score counts, are left out, and those that the first one has learnt from.
        """
        manifest, window = self.loop.manifest, self._step(partition).window
        bundle, moment = self._first_bundle, manifest.spine_of(self._model).event_timestamp
        learnt_until = bundle.lineage.trained_until
        since = max(since, learnt_until)
        with self.loop.warehouse.session() as session:
            known = labels_known_at(manifest, self._model, self.loop.warehouse, self.loop.now)
            labels = labels_of(session, manifest, self._model, known, window)
            frame = labelled_frame(session, manifest, self._model, labels, window)
            frame = frame.filter(frame[moment] >= ibis.literal(since))
            predictor = Predictor(bundle.learnt, bundle.encoding.names, threads=session.threads)
            order = order_of(manifest, self._model)
            encoded = encoded_rows(frame, bundle.encoding, order=order)
            truths, scores = scored_labels(session, encoded, bundle.encoding, predictor, order=order)
        return evaluate(truths, scores, self._model.task).scores[self._model.promotion.metric]
