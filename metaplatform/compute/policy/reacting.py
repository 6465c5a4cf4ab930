"""New predictions that meet a reaction's condition → a run of the reaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metaplatform.compute.policy.plans import RunPlan, run_key
from metaplatform.naming import stable_id
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.reactions import ReactionSpec
from metaplatform.specs.records import Action


@dataclass(frozen=True)
class ScoredPartition:
    """A prediction that was materialized: which partition, by which version, and whether by a backfill."""

    prediction: str
    partition: str
    model_version: int
    backfill: bool


def action_id(reaction: str, partition: str, model_version: int) -> str:
    """Return the key under which a reaction acts once."""
    return stable_id("action", reaction, partition, model_version)


def due_reactions(
    manifest: Manifest, scored: Iterable[ScoredPartition], acted: Sequence[Action]
) -> tuple[tuple[ReactionSpec, ScoredPartition], ...]:
    """Return the reactions to ask about each newly scored partition: each once, backfills left alone."""
    done = {action.action_id for action in acted}
    due: dict[str, tuple[ReactionSpec, ScoredPartition]] = {}
    for seen in scored:
        for reaction in manifest.reactions.values():
            key = action_id(reaction.name, seen.partition, seen.model_version)
            if (
                reaction.prediction == seen.prediction
                and key not in done
                and (reaction.on_backfill or not seen.backfill)
            ):
                due[key] = (reaction, seen)
    return tuple(due.values())


def plan_reaction(reaction: ReactionSpec, seen: ScoredPartition, rows: int) -> RunPlan | None:
    """Return the run of ``reaction``, or None if too few of the partition's ``rows`` meet its condition."""
    if rows < reaction.min_rows:
        return None
    where = f" of {seen.partition}" if seen.partition else ""
    return RunPlan(
        key=run_key("reaction", reaction.name, seen.partition, seen.model_version),
        refs=(*reaction.materialize, f"reactions.{reaction.name}"),
        monitors=(),
        partition=seen.partition,
        reason=f"{rows} rows{where} by version {seen.model_version} meet: {reaction.when}",
        tags={"metaplatform/model_version": str(seen.model_version)},
    )
