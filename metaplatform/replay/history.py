"""Replays a book over the time its sources cover, and sums up what the loop did."""

import logging
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import dagster as dg

from metaplatform.composition import definitions_of
from metaplatform.execution import RunFailedError, deployment_instance, run_in_process
from metaplatform.factories.automation.run_requests import REASON_TAG
from metaplatform.factories.automation.state import Loop
from metaplatform.factories.contracts import contract_key
from metaplatform.factories.steps import REPLAY_TAG
from metaplatform.replay.conductor import Conductor
from metaplatform.replay.results import ReplayResult
from metaplatform.replay.room import make_room
from metaplatform.replay.shortfalls import shortfalls
from metaplatform.replay.summary import summarise
from metaplatform.replay.ticks import replay_ticks
from metaplatform.resources.clock import Clock
from metaplatform.resources.root_use import root_alone
from metaplatform.specs.deployment import Deployment
from metaplatform.specs.manifest import Manifest


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
    accept: Callable[[Path], object] = lambda _: None,
) -> ReplayResult:
    """Let the sources' history arrive moment by moment; return what happened.

    ``accept`` is told the storage root once it is the replay's.

    Raises:
        StorageError: if the root is live or in use, or holds data and ``fresh`` is not asked for.
        MetaplatformError: if a run fails.
    """
    started = time.monotonic()
    for name in ("dagster", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with root_alone(deployment.root):
        make_room(deployment, fresh=fresh)
        accept(deployment.root)
        definitions = definitions_of(manifest, deployment)
        with deployment_instance(deployment) as instance:
            _read_sources(manifest, definitions, instance, progress)
            loop = _loop(manifest, definitions)
            start, end = _span(loop, until)
            ticks = replay_ticks(manifest, start, end)
            progress.start(len(ticks))
            skip = frozenset() if with_reactions else frozenset({"reactions", "messages"})
            conductor = Conductor(definitions, instance, progress.run, skip)
            before = start
            for now in ticks:
                progress.moment(now)
                conductor.play(before, now)
                before = now
        rows = list(summarise(_loop(manifest, definitions)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    notes = tuple(shortfalls(loop, conductor.runs, end))
    return ReplayResult(tuple(rows), conductor.runs, time.monotonic() - started, peak, str(deployment.root), notes)


def _loop(manifest: Manifest, definitions: dg.Definitions) -> Loop:
    resources = dict(definitions.resources or {})
    return Loop(manifest, resources["warehouse"], resources["registry"], Clock().now(), replaying=True)


def _read_sources(
    manifest: Manifest, definitions: dg.Definitions, instance: dg.DagsterInstance, progress: Progress
) -> None:
    """Read every source, by the check that reads it live: what they hold says which moments there are to walk."""
    repository = definitions.get_repository_def()
    for name in manifest.sources:
        reason = f"raw.{name}: files are read"
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
