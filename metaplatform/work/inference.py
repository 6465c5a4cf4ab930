"""Predictions: each partition scored by the version that the book asks for."""

from itertools import chain

import ibis
import pyarrow as pa

from metaplatform.compute.chosen_rows import in_partition
from metaplatform.compute.encoding import encode, knows
from metaplatform.compute.inference import KEPT_PREFIX, Scorer, Share, score, shares
from metaplatform.errors import RegistryError
from metaplatform.naming import PARTITION, history_ref
from metaplatform.resources.engine.session import Session
from metaplatform.resources.models.model_registry import ModelRegistry, ModelVersion
from metaplatform.resources.storage.warehouse import WriteResult
from metaplatform.specs.book.definitions import redefined
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.inference import SCORE_COLUMNS, PredictionSpec
from metaplatform.work.acted_rows import note_matches
from metaplatform.work.builds import recorded
from metaplatform.work.keys import check_key
from metaplatform.work.steps import Made, Step, Url, table_metadata


@recorded
def predict(step: Step) -> Made:
    """Score the step's partition (or all rows) by the version that the book asks for.

    Raises:
        RegistryError: if there is no such version yet, or it learnt features of other definitions than the book's.
    """
    spec = step.manifest.predictions[step.name]
    version = version_asked_for(step.manifest, spec, step.registry)
    written = score_partition(step, spec, version)
    facts = {
        **table_metadata(step, written),
        "model": version.model,
        "model_version": version.version,
        **({"mlflow": Url(version.url)} if version.url else {}),
    }
    return Made(facts, model_version=version.version)


def version_asked_for(manifest: Manifest, spec: PredictionSpec, registry: ModelRegistry) -> ModelVersion:
    """Return the version that scores: the champion's, or the one pinned in the book.

    Raises:
        RegistryError: if there is no such version yet, or it learnt features of other definitions than the book's.
    """
    pinned = spec.version != "champion"
    version = registry.version(spec.model, int(spec.version)) if pinned else registry.champion(spec.model)
    if version is None:
        raise RegistryError(
            owner=spec.ref,
            culprit=f"model '{spec.model}' has no champion yet",
            fix=f"materialize {spec.model_ref} first; its first version becomes champion",
        )
    if changed := redefined_features(manifest, version, registry):
        raise RegistryError(
            owner=spec.ref,
            culprit=f"version {version.version} learnt another definition of {', '.join(changed)}",
            fix=f"train {spec.model_ref} again (`metaplatform apply`), or take the edit back",
        )
    return version


def redefined_features(manifest: Manifest, version: ModelVersion, registry: ModelRegistry) -> tuple[str, ...]:
    """Return the features of a version that the book defines otherwise than it did when the version learnt them."""
    return redefined(registry.definitions(version), manifest, manifest.models[version.model].feature_set)


def score_partition(step: Step, spec: PredictionSpec, version: ModelVersion) -> WriteResult:
    """Score the step's partition (or all rows) and store it: as the current rows, and in the history of versions.

    Each row is scored by the version that is asked for, or by an earlier champion where that has learnt from the row.
    """
    with step.warehouse.session() as session:
        rows = rows_to_score(session, step, spec)
        scored = [_scored(session, step, spec, share, rows) for share in shares_of(step, spec, version, rows)]
        batches = pa.RecordBatchReader.from_batches(scored[0].schema, chain.from_iterable(scored))
        written = step.warehouse.replace(step.ref, batches, partition=step.partition, metadata=step.commit)
        _keep_history(session, step, spec)
        note_matches(session, step, spec.name)
    return written


def shares_of(step: Step, spec: PredictionSpec, version: ModelVersion, rows: ibis.Table) -> tuple[Share, ...]:
    """Return which version scores which of the ``rows``; the first share is that of the version asked for."""
    if spec.in_sample:
        return (Share(version.version),)
    registry = step.registry
    champions = registry.champions(spec.model) if spec.version == "champion" else ()
    earlier = champions[champions.index(version) + 1 :] if version in champions else ()
    able = (
        each
        for each in earlier
        if knows(rows, registry.load(each.model, each.version).encoding)
        and not redefined_features(step.manifest, each, registry)
    )
    start = step.window.start if step.window else None
    return shares([(each.version, each.trained_until) for each in (version, *able)], start)


def _scored(session: Session, step: Step, spec: PredictionSpec, share: Share, rows: ibis.Table) -> pa.RecordBatchReader:
    """Return the rows of a share, scored as they are read."""
    manifest = step.manifest
    model = manifest.models[spec.model]
    bundle = step.registry.load(spec.model, share.version)
    moment = rows[str(manifest.spine_of(model).event_timestamp)]
    bounds = [moment >= ibis.literal(share.since)] if share.since else []
    bounds += [moment < ibis.literal(share.until)] if share.until else []
    kept = [f"{KEPT_PREFIX}{name}" for name in extra_columns(manifest, spec)]
    encoded = encode(
        rows.filter(bounds).view() if bounds else rows,
        bundle.encoding,
        keep=[*manifest.identity_of(spec.name), *kept],
    )
    scorer = Scorer(spec.model, share.version, model.task, bundle.learnt, bundle.encoding)
    return score(session.stream(encoded), scorer, run_id=step.run_id, scored_at=step.now, threads=session.threads)


def rows_to_score(session: Session, step: Step, spec: PredictionSpec) -> ibis.Table:
    """Return the feature rows of the step's partition, with the columns of the spine that are kept."""
    manifest = step.manifest
    feature_set = manifest.feature_sets[manifest.models[spec.model].feature_set]
    features = in_partition(session.table(feature_set.ref), step.partition)
    extra = extra_columns(manifest, spec)
    if not extra:
        return features
    key = list(manifest.timed_table(feature_set.spine).key)
    spine = in_partition(session.table(feature_set.spine), step.partition)
    check_key(session, spine, key, owner=feature_set.spine)
    kept = spine.select(*key, **{f"{KEPT_PREFIX}{name}": spine[name] for name in extra})
    return (
        features.left_join(kept, key, rname="_spine_{name}").select(*features.columns, *kept.columns[len(key) :]).view()
    )


def extra_columns(manifest: Manifest, spec: PredictionSpec) -> list[str]:
    """Return the columns of the spine that a prediction keeps beside key and event timestamp."""
    identity = manifest.identity_of(spec.name)
    return [name for name in dict.fromkeys(spec.keep) if name not in identity]


def _keep_history(session: Session, step: Step, spec: PredictionSpec) -> None:
    """Add to the history what was just written, each version's rows to its own: scores that it lacks, not again.

    Of one moment it keeps one score of a row, the last: a replay scores once more at the moment at which more arrives.
    """
    warehouse = step.warehouse
    # A column that has changed its type has done so for readers of the current rows too: older versions' follow.
    types = {field.name: field.type for field in warehouse.schema(step.ref)}
    warehouse.retype(history_ref(step.ref), types, metadata=step.commit)
    current: ibis.Table = in_partition(session.table(step.ref), step.partition)
    score_column = SCORE_COLUMNS[step.manifest.models[spec.model].task]
    identity = step.manifest.identity_of(spec.name)
    present = session.stream(current.select("model_version").distinct()).read_all()["model_version"].to_pylist()
    for version in (int(found or 0) for found in present):
        values: dict[str, str | int] = {PARTITION: step.partition} if step.partition else {}
        values["model_version"] = version
        scored = current.filter(current["model_version"] == version)
        if warehouse.exists(history_ref(step.ref)):
            history = session.table(history_ref(step.ref))
            kept = history.filter([history[name] == value for name, value in values.items()])
            new = session.keep(scored.anti_join(kept, [*identity, score_column]))
            if not session.stream(new.limit(1)).read_all().num_rows:
                continue
            scored = together(kept.anti_join(new, [*identity, "scored_at"]), new)
        warehouse.replace_where(
            history_ref(step.ref),
            session.stream(scored),
            values=values,
            partition_by=tuple(values),
            metadata=step.commit,
        )


def together(older: ibis.Table, newer: ibis.Table) -> ibis.Table:
    """Return the rows of both; a column that one lacks is null in its rows."""
    types = {**older.schema(), **newer.schema()}

    def whole(table: ibis.Table) -> ibis.Table:
        columns = {name: table[name] if name in table.columns else ibis.null(kind) for name, kind in types.items()}
        return table.select(**columns)

    return ibis.union(whole(older), whole(newer))
