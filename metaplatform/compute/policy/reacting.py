"""Rows that meet a reaction's condition and were never acted on → a run of the reaction."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from metaplatform.compute.policy.plans import RunPlan, run_key
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.monitoring import GATE
from metaplatform.specs.entities.reactions import ReactionSpec
from metaplatform.specs.records.ledger import Observation
from metaplatform.specs.records.matches import Matches
from metaplatform.text.plurals import counted

_RETRIES = 3
"""Acting again is safe: what a failed run has acted on is known."""


@dataclass(frozen=True)
class OpenMatches:
    """What a reaction has still to act on in a partition (``""`` where there are none), and what holds it back.

    ``at_work`` is whether the run that scored it is unfinished, and may judge it yet; ``hold`` is the failed profile
    of the partition that nobody has approved.
    """

    reaction: ReactionSpec
    partition: str
    found: Matches
    at_work: bool = False
    hold: Observation | None = None

    @property
    def due(self) -> bool:
        """Return whether the reaction is to act now."""
        return not self.at_work and self.hold is None and self.found.rows >= self.reaction.min_rows


def open_matches(
    manifest: Manifest,
    kept: Mapping[str, Mapping[str, Matches]],
    profiles: Collection[Observation],
    approved: Collection[str],
    unfinished: Collection[str],
) -> Iterator[OpenMatches]:
    """Yield what each reaction has to act on, by reaction and partition.

    ``kept`` gives the matches by reaction and partition, ``profiles`` the verdicts of profiles over all columns in
    order of time, ``approved`` the ids of those that a person let pass, ``unfinished`` the ids of runs at work.
    """
    holds = _holds(manifest, profiles, approved)
    for name, reaction in manifest.reactions.items():
        for partition, found in sorted(kept.get(name, {}).items()):
            # A reaction may have been given another prediction since.
            if found.prediction == reaction.prediction:
                hold = holds.get((reaction.prediction, partition))
                yield OpenMatches(reaction, partition, found, found.run_id in unfinished, hold)


def _holds(
    manifest: Manifest, profiles: Collection[Observation], approved: Collection[str]
) -> dict[tuple[str, str], Observation]:
    """Return the newest verdict of each monitor on each partition that failed and was not approved."""
    newest: dict[tuple[str, str], Observation] = {}
    # At one moment, as in a replay, the newer version is judged later; the order of ids is random.
    for seen in sorted(profiles, key=lambda seen: (seen.observed_at, seen.model_version)):
        if seen.status != "skipped":
            newest[seen.monitor, seen.partition] = seen
    return {
        (monitor.prediction, seen.partition): seen
        for seen in newest.values()
        if (monitor := manifest.monitors.get(seen.monitor)) is not None
        and GATE in monitor.checks
        and seen.status == "failed"
        and seen.observation_id not in approved
    }


def plan_reaction(matches: OpenMatches) -> RunPlan:
    """Return the run of a reaction that is due."""
    reaction, found = matches.reaction, matches.found
    where = f" of {matches.partition}" if matches.partition else ""
    return RunPlan(
        key=run_key("reaction", reaction.name, matches.partition, found.run_id),
        refs=(*reaction.materialize, reaction.ref),
        monitors=(),
        partition=matches.partition,
        reason=f"{counted(found.rows, 'new row')}{where} by version {found.model_version} meet: {reaction.when}",
        retries=_RETRIES,
    )


def told_of(matches: OpenMatches) -> str:
    """Return why a reaction does not act on a partition, for the tick's log."""
    rows = counted(matches.found.rows, "row") + (f" of {matches.partition}" if matches.partition else "")
    if matches.hold is not None:
        why = f"the profile of {matches.hold.monitor} failed: {matches.hold.detail}"
        return f"{matches.reaction.name}: {rows} held back: {why}"
    if matches.at_work:
        return f"{matches.reaction.name}: {rows} wait for the end of the run that scores them"
    return f"{matches.reaction.name}: {rows} of the {matches.reaction.min_rows} that it takes"
