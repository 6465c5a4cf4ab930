"""How far a replay has come: kept below its storage root, so that it can go on after a failure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import dagster as dg

from metaplatform import places
from metaplatform.errors import StorageError
from metaplatform.execution import end_dead_runs
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.work.steps import PLAN_TAG, REPLAY_TAGS


@dataclass(frozen=True)
class Standing:
    """The last moment that was played to its end (None: not one yet), the sensors' cursors then, runs by then."""

    played: datetime | None = None
    cursors: Mapping[str, str | None] = field(default_factory=dict)
    runs: int = 0

    def keep(self, root: Path) -> None:
        """Keep it below the storage root."""
        fields = {**asdict(self), "played": self.played.isoformat() if self.played else None}
        write_whole(root / places.STANDING, json.dumps(fields).encode(), folders=True)


def standing_below(root: Path) -> Standing:
    """Return how far the replay of a storage root has come.

    Raises:
        StorageError: if nothing is known of it.
    """
    try:
        kept = json.loads((root / places.STANDING).read_text(encoding="utf-8"))
        played = datetime.fromisoformat(kept["played"]) if kept["played"] else None
        return Standing(played, dict(kept["cursors"]), int(kept["runs"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            owner=str(root), culprit="no replay recorded there how far it got", fix="run with --fresh"
        ) from error


def forget_failures(instance: dg.DagsterInstance) -> None:
    """Let plans whose runs failed, or ended with the replay's process, be asked for again; the runs stay to be seen."""
    end_dead_runs(instance, *REPLAY_TAGS)
    failed = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    for tag in REPLAY_TAGS:
        for run in instance.get_runs(dg.RunsFilter(tags={tag: "true"}, statuses=failed)):
            if PLAN_TAG in run.tags:
                instance.add_run_tags(run.run_id, {PLAN_TAG: f"{run.tags[PLAN_TAG]}/failed/{run.run_id}"})
