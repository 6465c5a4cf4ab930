"""Models: train a challenger, compare it with the champion on rows neither has seen, promote or keep."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaplatform.compute.comparison import Comparison, compare
from metaplatform.compute.digest import Digest, digest
from metaplatform.compute.encoding import encoding_query, fit, of_other_kinds
from metaplatform.compute.evaluation import evaluate
from metaplatform.compute.inference import Predictor
from metaplatform.compute.label_counts import Prospect, shortfall
from metaplatform.compute.learners import LEARNERS, requirements_of
from metaplatform.compute.learners.learning import Fit
from metaplatform.compute.policy.retraining import take_back
from metaplatform.compute.training import TrainedModel, TrainingRefusedError, in_order, refit, train
from metaplatform.naming import HIDDEN_TAG, stable_id
from metaplatform.resources.engine.session import Session
from metaplatform.resources.models.model_bundle import Judged, ModelBundle, TrainingLineage
from metaplatform.resources.models.model_registry import ModelRegistry, ModelVersion
from metaplatform.specs.book.definitions import definitions_of, redefined
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.inference import SCORE_COLUMNS
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.records.encoding import FittedEncoding
from metaplatform.specs.records.ledger import Decision, Promotion
from metaplatform.text.moments import shown
from metaplatform.work.builds import recorded
from metaplatform.work.labelled_rows import encoded_rows, scored_labels
from metaplatform.work.steps import Made, Metadata, Step, Url
from metaplatform.work.training_rows import TrainingRows, training_prospect, training_rows

DECISION_TAG = f"{HIDDEN_TAG}decision"
"""Run tag with the retrain decision that the run answers."""
_NO_FIT = Fit({})
_MOST_SHARES = 10


def retrain(step: Step) -> Made | None:
    """Train a version and judge it; None if the rows there are allow none: the version there is stays in place.

    Raises:
        TrainingRefusedError: if they allow none, and a person has asked for the training.
    """
    try:
        return train_and_compare(step)
    except TrainingRefusedError as refused:
        keep_refusal(step, refused)
        return None


def keep_refusal(step: Step, refused: TrainingRefusedError) -> None:
    """Take back the decision that the step answers: a training that cannot be made is a reason to wait, not a fault.

    Raises:
        TrainingRefusedError: if a person has asked for the training: then the fault is theirs to hear.
    """
    decided = answered_decision(step)
    if decided is None:
        raise refused
    step.ledger.append(take_back(decided, refused.culprit, step.now))
    step.log(f"no version is made: {refused}")


def answered_decision(step: Step) -> Decision | None:
    """Return the policy's decision that the step answers, None where a person or an apply has asked for it."""
    return next(iter(step.ledger.read(Decision, decision_id=step.tags.get(DECISION_TAG, ""))), None)


@recorded
def train_and_compare(step: Step) -> Made:
    """Train a challenger before the cut, judge it beside the champion, and move the alias if it wins.

    A run that died late and is tried again finds the version it had trained, and does not train another.

    Raises:
        TrainingRefusedError: if the rows there are make no version, or none that a policy would ask for.
    """
    model, registry = step.manifest.models[step.name], step.registry
    decision = step.tags.get(DECISION_TAG) or step.run_id
    champion, versions = registry.champion(model.name), registry.versions(model.name)
    made = next((version for version in versions if version.tags.get(DECISION_TAG) == decision), None)
    if champion is not None and made is not None and champion.version == made.version:
        champion = None
    with step.warehouse.session() as session:
        rival = None if champion is None or redefined_for(step.manifest, model, champion, registry) else champion
        found = training_prospect(session, step, model, champion=rival, versions=versions)
        if made is None and answered_decision(step):
            check_worth(model, found)
        rows = training_rows(session, step, model, found.bounds)
        candidate = candidate_of(made, registry) if made else train_candidate(session, step, model, rows)
        outdated = why_outdated(step.manifest, model, rows, champion, registry)
        champion = None if outdated else champion
        comparison = compare_versions(session, model, rows, champion, candidate.bundle, registry)
        comparison = replace(comparison, reasons=(outdated,)) if outdated else comparison
        if made is None and comparison.outcome == "promoted" and model.training.refit:
            candidate = refitted(session, step, model, rows, candidate)
        challenger = made or register(step, model, candidate, decision)
    if comparison.outcome == "promoted":
        registry.promote(model.name, challenger.version)
    promotion = promotion_of(step, champion, challenger, comparison, decision)
    step.ledger.append(promotion)
    step.log(f"version {challenger.version} {promotion.outcome}: {promotion.reasons}")
    return Made(_metadata(step, challenger, comparison, promotion, rows, candidate))


@dataclass(frozen=True)
class Candidate:
    """A version as it is judged: its bundle, and what its training gave beside."""

    bundle: ModelBundle
    fit: Fit = _NO_FIT


def candidate_of(version: ModelVersion, registry: ModelRegistry) -> Candidate:
    """Return a registered version as it was judged."""
    return Candidate(registry.load(version.model, version.version))


def check_worth(model: ModelSpec, found: Prospect) -> None:
    """Check that the policy still wants the training now that its labels are counted.

    Raises:
        TrainingRefusedError: if it does not.
    """
    if missing := shortfall(model, found):
        raise TrainingRefusedError(
            owner=model.ref, culprit=missing.text, fix="wait for more labels, or lower what the book asks"
        )


def train_candidate(session: Session, step: Step, model: ModelSpec, rows: TrainingRows) -> Candidate:
    """Fit the encoding and the model on the training split, and evaluate them on the holdout."""
    encoding = fitted_encoding(session, step, model, rows, rows.split.training(rows.frame))
    # Once for all three splits: the joins with the categories cost more than the rows.
    encoded = session.keep(encoded_rows(rows.frame, encoding, order=rows.order))
    learnt, stopping = rows.split.training(encoded), rows.split.validation(encoded)
    trained = train(
        session.stream(in_order(learnt, encoding, order=rows.order)),
        session.stream(in_order(stopping, encoding, order=rows.order)),
        model,
        feature_types=encoding.feature_types,
        seed=model.training.seed,
        threads=session.threads,
    )
    found = "".join(f", {name} {value}" for name, value in trained.fit.found.items())
    step.log(f"trained on {trained.training_rows} rows{found}")
    return Candidate(make_bundle(session, step, model, rows, encoded, encoding, trained), trained.fit)


def fitted_encoding(
    session: Session, step: Step, model: ModelSpec, rows: TrainingRows, learnt: ibis.Table
) -> FittedEncoding:
    """Return the encoding that the rows to learn from give."""
    names = step.manifest.features_of(model)
    categories = session.stream(encoding_query(learnt, names, max_categories=model.training.max_categories)).read_all()
    return fit(rows.frame.schema(), names, categories, origin=rows.bounds.start)


def refitted(session: Session, step: Step, model: ModelSpec, rows: TrainingRows, candidate: Candidate) -> Candidate:
    """Return the candidate taught once more, by the whole window up to the cut.

    Drift of the features is measured against all of these rows; that of the scores against those that what was judged
    gave to rows it had not seen, as there are no others.
    """
    judged = candidate.bundle
    encoding = fitted_encoding(session, step, model, rows, rows.frame)
    learnt = refit(
        session.stream(in_order(encoded_rows(rows.frame, encoding, order=rows.order), encoding, order=rows.order)),
        model,
        found=candidate.fit.found,
        feature_types=encoding.feature_types,
        seed=model.training.seed,
        threads=session.threads,
    )
    scores = Digest.from_json(json.dumps(dict(judged.reference))).without(encoding.names)
    reference = digest(rows.frame, encoding.names).joined(scores)
    bundle = replace(
        judged,
        learnt=learnt,
        encoding=encoding,
        lineage=replace(judged.lineage, trained_until=rows.bounds.cut),
        reference=json.loads(reference.to_json()),
        refitted_from=judged.judged,
    )
    step.log(f"refitted on all {judged.lineage.labelled_rows} rows before the cut")
    return replace(candidate, bundle=bundle)


def register(step: Step, model: ModelSpec, candidate: Candidate, decision: str) -> ModelVersion:
    """Register a candidate as the newest version, with all that is known of its training."""
    bundle, fit = candidate.bundle, candidate.fit
    return step.registry.new_version(
        model.name,
        bundle,
        params={**model.learning, **fit.found},
        metrics={**bundle.metrics, **fit.curves},
        tags={DECISION_TAG: decision, "dagster.run_id": step.run_id},
        inputs=tuple(bundle.lineage.inputs.items()),
        requirements=requirements_of(model.kind),
    )


def make_bundle(
    session: Session,
    step: Step,
    model: ModelSpec,
    rows: TrainingRows,
    encoded: ibis.Table,
    encoding: FittedEncoding,
    trained: TrainedModel,
) -> ModelBundle:
    """Return the bundle of what was trained: holdout metrics, drift reference, and what it was made from.

    ``encoded`` are the ``rows`` once more, as a learner takes them.
    """
    predictor = Predictor(trained.learnt, encoding.names, threads=session.threads)
    labels, scores = scored_labels(session, rows.split.holdout(encoded), encoding, predictor, order=rows.order)
    # Scores of rows it has learnt from are sharper than any it will give again.
    _, unseen = scored_labels(session, rows.split.validation(encoded), encoding, predictor, order=rows.order)
    reference = digest(_before_holdout(session, rows), encoding.names).joined(
        digest(_score_table(session, SCORE_COLUMNS[model.task], [scores, unseen]))
    )
    feature_set = step.manifest.feature_sets[model.feature_set]
    inputs = {ref: step.warehouse.version(ref) or 0 for ref in (feature_set.ref, feature_set.spine)}
    definitions = definitions_of(step.manifest, feature_set.name)
    lineage = TrainingLineage(
        trained_from=rows.bounds.start,
        trained_until=rows.bounds.holdout_start,
        holdout_from=rows.bounds.holdout_start,
        cut=rows.bounds.cut,
        training_rows=trained.training_rows,
        validation_rows=trained.validation_rows,
        holdout_rows=len(labels),
        excluded_rows=rows.coverage.excluded,
        unlabelled_rows=rows.coverage.unlabelled,
        spec_hash=step.manifest.spec_hash(step.ref),
        seed=model.training.seed,
        inputs=inputs,
        definitions={name: definitions[name] for name in encoding.names},
    )
    metrics: Mapping[str, float | None] = evaluate(labels, scores, model.task).scores
    return ModelBundle(
        trained.learnt, encoding, model.task, model.target.sql, lineage, metrics, json.loads(reference.to_json())
    )


def _before_holdout(session: Session, rows: TrainingRows) -> ibis.Table:
    """Return what training and validation have seen, kept in the session: a digest reads it once a column."""
    return session.keep(rows.split.training(rows.frame).union(rows.split.validation(rows.frame)))


def _score_table(session: Session, column: str, scores: list[npt.NDArray[np.float64]]) -> ibis.Table:
    values = pa.array(np.concatenate(scores), pa.float64())
    return session.keep(ibis.memtable(pa.table({column: values})))


def why_outdated(
    manifest: Manifest, model: ModelSpec, rows: TrainingRows, champion: ModelVersion | None, registry: ModelRegistry
) -> str:
    """Return why the champion cannot be asked about rows of the book as it is now, empty if it can."""
    if champion is None:
        return ""
    bundle = registry.load(model.name, champion.version)
    reasons = _misfits(bundle, model, rows, redefined_for(manifest, model, champion, registry))
    return next((f"the champion, version {champion.version}, {reason}" for reason in reasons), "")


def _misfits(bundle: ModelBundle, model: ModelSpec, rows: TrainingRows, changed: tuple[str, ...]) -> Iterator[str]:
    kind = bundle.judged.learnt.kind
    if kind not in LEARNERS:
        yield f"is a '{kind}' model, a kind that is not installed"
    if bundle.task != model.task:
        yield f"was trained for another task: {bundle.task}"
    if lacking := [name for name in bundle.encoding.names if name not in rows.frame.columns]:
        yield f"needs features that are gone: {', '.join(lacking)}"
    if other := of_other_kinds(rows.frame, bundle.encoding):
        yield f"knows features as another type: {', '.join(other)}"
    if changed:
        yield f"learnt another definition of {', '.join(changed)}"


def redefined_for(
    manifest: Manifest, model: ModelSpec, champion: ModelVersion, registry: ModelRegistry
) -> tuple[str, ...]:
    """Return the features that the champion learnt by another definition than the book's."""
    return redefined(registry.load(model.name, champion.version).lineage.definitions, manifest, model.feature_set)


def compare_versions(
    session: Session,
    model: ModelSpec,
    rows: TrainingRows,
    champion: ModelVersion | None,
    challenger: ModelBundle,
    registry: ModelRegistry,
) -> Comparison:
    """Score both versions on the holdout rows that neither had seen when it was judged, and compare.

    A refitted champion takes part as it was judged: both are then as far behind what they would be after a refit.
    """
    held = rows.split.holdout(rows.frame)
    before = None
    if champion is not None:
        moment = held[rows.order[0]]
        held = held.filter(moment >= ibis.literal(champion.holdout_from))
        _, before = _scores(session, held, registry.load(model.name, champion.version).judged, rows.order)
    labels, scores = _scores(session, held, challenger.judged, rows.order)
    return compare(labels, before, scores, model.promotion, seed=model.training.seed)


def _scores(
    session: Session, held: ibis.Table, judged: Judged, order: tuple[str, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    predictor = Predictor(judged.learnt, judged.encoding.names, threads=session.threads)
    encoded = encoded_rows(held, judged.encoding, order=order)
    return scored_labels(session, encoded, judged.encoding, predictor, order=order)


def promotion_of(
    step: Step, champion: ModelVersion | None, challenger: ModelVersion, comparison: Comparison, decision: str
) -> Promotion:
    """Return the verdict as it is kept; the decision it answers is its key."""
    return Promotion(
        promotion_id=decision if DECISION_TAG in step.tags else stable_id("promotion", step.run_id),
        model=challenger.model,
        challenger_version=challenger.version,
        champion_version=champion.version if champion else None,
        outcome=comparison.outcome,
        metric=comparison.metric,
        champion_score=comparison.champion_score,
        challenger_score=comparison.challenger_score,
        gain=comparison.gain,
        lower_bound=comparison.lower_bound,
        rows=comparison.rows,
        reasons="; ".join(comparison.reasons) if not isinstance(comparison.reasons, str) else comparison.reasons,
        decided_at=step.now,
        run_id=step.run_id,
    )


def _metadata(
    step: Step,
    challenger: ModelVersion,
    comparison: Comparison,
    promotion: Promotion,
    rows: TrainingRows,
    candidate: Candidate,
) -> Metadata:
    return {
        "model_version": challenger.version,
        "promoted": comparison.outcome == "promoted",
        "refitted": challenger.refitted,
        "reasons": promotion.reasons,
        "decision": step.tags.get(DECISION_TAG) or step.run_id,
        "cut": shown(rows.bounds.cut, step.manifest.zone(step.ref)),
        "rows_excluded_on_purpose": rows.coverage.excluded,
        "rows_without_label": rows.coverage.unlabelled,
        **{f"holdout_{name}": value for name, value in candidate.bundle.metrics.items() if value is not None},
        **({"features_by_importance": _shares(candidate.fit.importance)} if candidate.fit.importance else {}),
        **({"mlflow": Url(challenger.url)} if challenger.url else {}),
    }


def _shares(importance: Mapping[str, float]) -> str:
    """Return the features that matter most, each with its share."""
    largest = sorted(importance.items(), key=lambda pair: -pair[1])[:_MOST_SHARES]
    return ", ".join(f"{name} {share:.0%}" for name, share in largest)
