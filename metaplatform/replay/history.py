"""Replays a book over the time its sources cover, and sums up what the loop did."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import dagster as dg

from metaplatform.chapters import SOURCES
from metaplatform.composition import definitions_of
from metaplatform.errors import MetaplatformError
from metaplatform.execution import RunFailedError, deployment_instance, run_in_process
from metaplatform.factories.automation.run_requests import REASON_TAG
from metaplatform.factories.automation.state import Loop, WorkingLoop
from metaplatform.factories.contracts import contract_key
from metaplatform.replay.conductor import Conductor
from metaplatform.replay.moments import moments_between
from metaplatform.replay.results import ReplayResult, ReplayRow
from metaplatform.replay.room import make_room
from metaplatform.replay.shortfalls import shortfalls
from metaplatform.replay.standing import Standing, forget_failures
from metaplatform.replay.summary import summarise
from metaplatform.replay.ticks import partition_schemes, replay_ticks
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.resources.process.quiet import hush_loggers
from metaplatform.resources.storage.root_use import root_alone
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.work.steps import REPLAY_TAG

_INTERRUPTED = "interrupted"


class Progress(Protocol):
    """Where a replay reports how far it is."""

    def start(self, total: int) -> None:
        """Take the number of moments to come."""

    def moment(self, now: datetime) -> None:
        """Take the moment that is played now."""

    def run(self, reason: str) -> None:
        """Take the reason of a run that starts."""


def replay_history(
    manifest: Manifest,
    deployment: Deployment,
    *,
    until: datetime | None,
    fresh: bool,
    with_reactions: bool,
    progress: Progress,
    accept: Callable[[], object] = lambda: None,
    resume: bool = False,
) -> ReplayResult:
    """Let the sources' history arrive moment by moment; return what happened, as far as it came.

    ``accept`` is called once the storage root is the replay's. ``resume`` goes on where an earlier replay of the root
    has come to; the moment that failed is played again. A run that fails ends the replay, and the result says so.

    Raises:
        StorageError: if the root is live or in use, or holds data and neither ``fresh`` nor ``resume`` is asked for.
        MetaplatformError: if the sources cannot be read.
    """
    started = time.monotonic()
    hush_loggers()
    with root_alone(deployment.root):
        standing = make_room(deployment, fresh=fresh, resume=resume)
        accept()
        definitions = definitions_of(manifest, deployment.in_process)
        with deployment_instance(deployment, replaying=True) as instance:
            forget_failures(instance)
            _read_sources(manifest, definitions, instance, progress)
            skip = frozenset() if with_reactions else frozenset({"reactions", "messages"})
            conductor = Conductor(definitions, instance, progress.run, skip, standing.runs, dict(standing.cursors))
            walk = _Walk(manifest, definitions, conductor, deployment.root)
            loop = walk.look()
            start, end = _span(loop, until)
            failure = walk.walk(start, standing.played, end, progress)
        rows = () if failure and not walk.reached else walk.summary(progress)
    return ReplayResult(
        rows=rows or (),
        runs=conductor.runs,
        seconds=time.monotonic() - started,
        peak_mib=peak_memory(),
        root=str(deployment.root),
        notes=() if failure else tuple(shortfalls(loop, conductor.runs, end)),
        reached=walk.reached.isoformat() if walk.reached else "",
        failure=failure or (_INTERRUPTED if rows is None else None),
        zone=manifest.timezone,
    )


@dataclass
class _Walk:
    """A replay on its way; ``reached`` is the moment that is played, or was played last."""

    manifest: Manifest
    definitions: dg.Definitions
    conductor: Conductor
    root: Path
    reached: datetime | None = None

    def look(self) -> WorkingLoop:
        """Return the loop as it is now, with all labels known that ever will be."""
        resources = dict(self.definitions.resources or {})
        return WorkingLoop(self.manifest, resources["warehouse"], resources["registry"], Clock().now(), replaying=True)

    def walk(self, start: datetime, played: datetime | None, end: datetime, progress: Progress) -> str | None:
        """Play each moment behind ``played`` (behind ``start``, if None) up to ``end``; return why it failed, if so."""
        before = max(start, played or start)
        ticks = replay_ticks(self.manifest, before, end, _day_ends(self.look())) if before < end else ()
        progress.start(len(ticks))
        try:
            if played is not None and not ticks:
                # What a person has approved since then arrives now.
                self.conductor.settle(before)
                Standing(before, self.conductor.cursors, self.conductor.runs).keep(self.root)
            for now in moments_between(self.look, ticks):
                self.reached = now
                progress.moment(now)
                self.conductor.play(now)
                Standing(now, self.conductor.cursors, self.conductor.runs).keep(self.root)
        except MetaplatformError as error:
            return str(error)
        except KeyboardInterrupt:
            return _INTERRUPTED
        return None

    def summary(self, progress: Progress) -> tuple[ReplayRow, ...] | None:
        """Return a row for each scored partition, as far as the walk has come; None if a Ctrl-C did not let it."""
        progress.run("summing up")
        try:
            return tuple(summarise(self.look()))
        except KeyboardInterrupt:
            return None


def _day_ends(loop: Loop) -> Iterator[datetime]:
    """Yield when the days that hold rows end, in a book without partitions: live, their rows arrive then."""
    if not partition_schemes(loop.manifest):
        for name, contents in loop.contents.items():
            if loop.manifest.sources[name].event_timestamp:
                yield from (
                    datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1) for day in contents.partitions
                )


def _read_sources(
    manifest: Manifest, definitions: dg.Definitions, instance: dg.DagsterInstance, progress: Progress
) -> None:
    """Read every source, by the check that reads it live: what they hold says which moments there are to walk."""
    repository = definitions.get_repository_def()
    for name, source in manifest.sources.items():
        reason = f"{SOURCES.ref(name)}: {source.read} are read"
        progress.run(reason)
        tags = {REASON_TAG: reason, REPLAY_TAG: "true"}
        try:
            run_in_process(repository, instance, assets=(), checks=[contract_key(name)], tags=tags)
        except RunFailedError as error:
            # What is held back for its quarantine is told at the end, and the rest goes on.
            if not error.by_check:
                raise


def _span(loop: Loop, until: datetime | None) -> tuple[datetime, datetime]:
    """Return the moment before the data begins, and that at which all of it has arrived and its labels are mature."""
    spans = [
        (spec.window(min(contents.partitions)).start, spec.window(max(contents.partitions)).end)
        for name, contents in loop.contents.items()
        if (spec := loop.manifest.sources[name].partitions) and contents.partitions
    ]
    if not spans:
        spans = [contents.span for contents in loop.contents.values() if contents.span]
    if not spans:
        end = until.replace(tzinfo=UTC) if until else loop.now
        return end - timedelta(microseconds=1), end
    last = max(end for _, end in spans)
    delays = [loop.manifest.label_delay(model) for model in loop.manifest.models.values()]
    mature = max([last, *(delay.behind(last) for delay in delays)])
    return min(start for start, _ in spans), until.replace(tzinfo=UTC) if until else mature
