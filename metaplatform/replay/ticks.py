"""The moments of a replay that can be known beforehand: partitions close, labels mature, cron ticks."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from dagster._utils.schedules import schedule_execution_time_iterator

from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.partitions import PartitionSpec

_YEAR = timedelta(days=366)
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
"""Time zones and their changes are a matter of the last century; crons do not tick before."""


def partition_schemes(manifest: Manifest) -> tuple[PartitionSpec, ...]:
    """Return the schemes of the partitions of the book's sources."""
    return tuple(dict.fromkeys(source.partitions for source in manifest.sources.values() if source.partitions))


def replay_ticks(
    manifest: Manifest, start: datetime, until: datetime, arrivals: Iterable[datetime] = ()
) -> tuple[datetime, ...]:
    """Return every moment in ``(start, until]`` at which something may be due, in order.

    A partition is due when it closes; its labels when each model's label delay has passed; a schedule
    when its cron ticks, within a year behind some arrival; what has no partitions at ``arrivals``. ``until`` itself is
    always one.
    """
    moments = {until, *arrivals}
    delays = {manifest.label_delay(model) for model in manifest.models.values()}
    for spec in partition_schemes(manifest):
        for key in spec.closed_keys(until):
            end = spec.window(key).end
            moments.update((end, *(delay.behind(end) for delay in delays)))
    stretches = tuple(_stretches(sorted({start, *moments}), until))
    for cron, timezone in _crons(manifest):
        moments.update(tick for since, end in stretches for tick in cron_ticks(cron, timezone, since, end))
    return tuple(sorted(moment for moment in moments if start < moment <= until))


def _stretches(moments: Sequence[datetime], until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the spans in which schedules are asked: a row of the year 24 among others makes no 2,000 years of ticks."""
    for moment, upcoming in pairwise((*moments, until)):
        yield moment, upcoming if upcoming - moment < _YEAR else moment + _YEAR


def _crons(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for model in manifest.models.values():
        if model.retrain and model.retrain.cron:
            yield model.retrain.cron


def cron_ticks(cron: str, timezone: str, start: datetime, until: datetime) -> tuple[datetime, ...]:
    """Return the UTC moments in ``(start, until]`` at which Dagster's daemon has ``cron`` tick in ``timezone``."""
    ticks: list[datetime] = []
    if until < _EARLIEST:
        return ()
    for tick in schedule_execution_time_iterator(max(start, _EARLIEST).timestamp(), cron, timezone):
        moment = tick.astimezone(UTC)
        if moment > until:
            break
        if moment > start:
            ticks.append(moment)
    return tuple(ticks)
