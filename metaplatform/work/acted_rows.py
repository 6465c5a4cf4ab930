"""The rows that a reaction has acted on: a table of its own, in which each row of a prediction stands once.

It holds the columns that say which row a prediction is about, the version that scored it, and the action. Rows that
were left alone, because a backfill scored them, stand there without an action.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import ibis
from filelock import FileLock
from ibis import Table

from metaplatform import places
from metaplatform.chapters import PREDICTIONS
from metaplatform.compute.chosen_rows import in_partition
from metaplatform.compute.sql_columns import where
from metaplatform.resources.engine.session import Session
from metaplatform.resources.storage.match_records import MatchRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.entities.reactions import ReactionSpec
from metaplatform.specs.records.matches import Matches
from metaplatform.work.steps import BACKFILL_TAGS, STAND_BY_TAG, Step

_ACTION, _VERSION, _AT = "action_id", "model_version", "acted_at"


@contextmanager
def acting(warehouse: Warehouse, reaction: str) -> Iterator[None]:
    """Let one process at a time look at a reaction's open rows and act on them; a killed one's lock is free again."""
    folder = warehouse.root_path / places.MATCHES
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{reaction}.lock"):
        yield


class ActedRows:
    """What a reaction has done, and has still to do, about the step's partition of its prediction (None: all of it).

    Everything is seen as it was when ``session`` first looked.
    """

    def __init__(self, session: Session, reaction: ReactionSpec, step: Step) -> None:
        warehouse = step.warehouse
        self._session, self._reaction, self._step = session, reaction, step
        self._ref = reaction.ref
        self._identity = step.manifest.identity_of(reaction.prediction)
        prediction = reaction.prediction_ref
        self.scored = in_partition(session.table(prediction), step.partition)
        # A key that has changed its type has done so for readers of the predictions, too.
        schema = warehouse.schema(prediction)
        warehouse.retype(self._ref, {name: schema.field(name).type for name in self._identity}, metadata=step.commit)
        self._kept = in_partition(session.table(self._ref), step.partition) if warehouse.exists(self._ref) else None

    def open(self) -> Table:
        """Return the rows that meet the condition and were neither acted on nor left alone."""
        matching = where(self.scored, self._reaction.when, owner=self._ref)
        if self._kept is None:
            return matching
        names = [*self._identity, *([_VERSION] if self._reaction.on_new_version else [])]
        return matching.anti_join(self._kept, [matching[name].identical_to(self._kept[name]) for name in names])

    def open_count(self) -> int:
        """Return how many rows are open."""
        return self._count(self.open())

    def keep(self, action: str, at: datetime) -> int:
        """Keep the open rows as acted on by ``action`` (``""``: as left alone), in one commit; return how many."""
        stamps = {_ACTION: ibis.literal(action), _AT: ibis.literal(at, type="timestamp('UTC')")}
        # Each made first: what reads a table twice must not be streamed.
        new = self._session.keep(self.open().select(*self._identity, _VERSION).mutate(**stamps), owner=self._ref)
        rows = self._count(new)
        if rows:
            made = new if self._kept is None else self._kept.select(*new.columns).union(new)
            self._step.warehouse.replace(
                self._ref,
                self._session.stream(self._session.keep(made, owner=self._ref)),
                partition=self._step.partition,
                metadata=self._step.commit,
            )
        return rows

    def actions(self) -> dict[str, tuple[int, int]]:
        """Return rows and model version of each action on the partition, by its id."""
        if self._kept is None:
            return {}
        acted = self._kept.filter(self._kept[_ACTION] != "")
        found = acted.group_by(_ACTION).aggregate(rows=acted.count(), version=acted[_VERSION].max())
        rows = self._session.stream(found).read_all().to_pylist()
        return {row[_ACTION]: (row["rows"], row["version"]) for row in rows}

    def of(self, action: str) -> Table:
        """Return the scored rows that ``action`` is about."""
        kept = in_partition(self._session.table(self._ref), self._step.partition)
        acted = kept.filter(kept[_ACTION] == action)
        return self.scored.semi_join(acted, [self.scored[name].identical_to(acted[name]) for name in self._identity])

    def _count(self, rows: Table) -> int:
        return int(self._session.stream(rows.aggregate(rows=rows.count())).read_all()["rows"][0].as_py())


def note_matches(session: Session, step: Step, prediction: str) -> None:
    """Count, for each reaction to ``prediction``, what it has to act on in the partition that was just scored.

    What a backfill scores is left alone, unless the reaction says otherwise.
    """
    if STAND_BY_TAG in step.tags:
        return
    warehouse, records = step.warehouse, MatchRecords(step.warehouse.root_path)
    version = warehouse.partitions(PREDICTIONS.ref(prediction)).get(step.partition or "")
    for reaction in step.manifest.reactions.values():
        if reaction.prediction != prediction:
            continue
        rows = 0
        if version is not None:
            with acting(warehouse, reaction.name):
                acted = ActedRows(session, reaction, step)
                if BACKFILL_TAGS.isdisjoint(step.tags) or reaction.on_backfill:
                    rows = acted.open_count()
                else:
                    acted.keep("", step.now)
        found = Matches(prediction, rows, version.model_version or 0 if version else 0, step.run_id)
        records.keep(reaction.name, {step.partition or "": found})
