"""What the result of one entity is computed from, and how much of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from metaplatform.specs.base import Entity
from metaplatform.specs.duration import Duration
from metaplatform.specs.expressions import referenced_tables
from metaplatform.specs.features import AsOfFeatures, FeatureSetSpec, JoinedFeatures, LookupFeatures, WindowFeatures
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.ingestion import TableSpec
from metaplatform.specs.outputs import FileOutput, ReportOutput, ViewsOutput
from metaplatform.specs.partitions import EARLIEST, LATEST, Window
from metaplatform.specs.training import ModelSpec

_NOTHING = Duration()
_LONGEST_CLAMP = Duration(seconds=4 * 86_400)
"""More than a month's end is moved by when months are added or taken away."""


@dataclass(frozen=True)
class Reach:
    """How much of an input one partition is made from.

    ``same``: the same partition. ``span``: the rows from ``back`` before the partition's start (None: all that lie
    before) to ``ahead`` after its end, less ``delay``. ``whole``: all there is. ``as_made``: all there is at that
    moment, and what comes later does not count.
    """

    kind: Literal["same", "span", "whole", "as_made"]
    back: tuple[Duration, ...] | None = ()
    ahead: Duration = _NOTHING
    delay: Duration = _NOTHING

    def interval(self, window: Window) -> Window:
        """Return the event timestamps that a partition with ``window`` may read."""
        if self.kind == "same":
            return window
        if self.kind != "span":
            return Window(EARLIEST, LATEST)
        try:
            start = EARLIEST if self.back is None else window.start
            for duration in self.back or ():
                start = duration.before(start)
            end = window.end if self.delay.months else self.delay.before(self.ahead.behind(window.end))
        except (ValueError, OverflowError):  # at the ends of the calendar
            return Window(EARLIEST, LATEST)
        return Window(start, max(start, end))


SAME, WHOLE, AS_MADE = Reach("same"), Reach("whole"), Reach("as_made")
Reads = Mapping[str, tuple[Reach, ...]]
"""Input → how much of it is read, by each of those who read it."""


def rows_followed(ref: str, reads: Reads) -> dict[str, tuple[Reach, ...]]:
    """Return of what ``ref`` reads whose new rows make it stale: all but what is read as it is when it is made.

    Nothing makes a model stale, nor a model what it scores: new data, and new versions, are a matter of policies.
    """
    followed = {
        other: tuple(reach for reach in reaches if reach.kind != "as_made")
        for other, reaches in reads.items()
        if not ref.startswith("models.") and not other.startswith("models.")
    }
    return {other: reaches for other, reaches in followed.items() if reaches}


def looked_back(window: Window, *, back: tuple[Duration, ...]) -> Window:
    """Return the window with its start moved back by durations: at least what rows in it can look back on."""
    return Window(Reach("span", _from_any_row(back)).interval(window).start, window.end)


def _from_any_row(back: tuple[Duration, ...]) -> tuple[Duration, ...]:
    """Return durations that reach at least as far back from a window's start as these do from any row in it."""
    return (*back, *(_LONGEST_CLAMP for duration in back if duration.months))


def reads_of(
    entity: Entity, models: Mapping[str, ModelSpec], feature_sets: Mapping[str, FeatureSetSpec]
) -> dict[str, tuple[Reach, ...]]:
    """Return the references that an entity's result is computed from, as if all had its partitions.

    Raises:
        KeyError: if the entity names a model or a feature set that is not there.
    """
    match entity:
        case TableSpec() | ReportOutput():
            # A page for people tells what was known when it was made.
            others = _of_other_inputs(entity) if isinstance(entity, TableSpec) else (AS_MADE,)
            return {ref: SAME_ONLY if ref == entity.partitioned_by else others for ref in referenced_tables(entity.sql)}
        case FeatureSetSpec():
            return _reads_of_features(entity)
        case ModelSpec():
            return {f"features.{entity.feature_set}": (WHOLE,), feature_sets[entity.feature_set].spine: (WHOLE,)}
        case PredictionSpec():
            model = models[entity.model]
            return _reads_of_prediction(entity, model, feature_sets[model.feature_set])
        case FileOutput() | ViewsOutput():
            return dict.fromkeys(entity.tables if isinstance(entity, ViewsOutput) else (entity.table,), SAME_ONLY)
    return {}


SAME_ONLY = (SAME,)


def _of_other_inputs(table: TableSpec) -> tuple[Reach, ...]:
    """Return how much a partitioned table reads of the inputs that it is not partitioned by."""
    if table.look_back is None and table.look_ahead is None:
        return (WHOLE,)
    return (Reach("span", (table.look_back or _NOTHING,), table.look_ahead or _NOTHING),)


def _reads_of_features(feature_set: FeatureSetSpec) -> dict[str, tuple[Reach, ...]]:
    """Features look back, never ahead; facts that are looked up count as they are when the row is described."""
    found: dict[str, tuple[Reach, ...]] = {feature_set.spine: SAME_ONLY}
    for block in feature_set.features:
        if isinstance(block, JoinedFeatures):
            found[block.table] = tuple(dict.fromkeys((*found.get(block.table, ()), _of_block(block))))
    return found


def _of_block(block: JoinedFeatures) -> Reach:
    match block:
        case WindowFeatures():
            return Reach("span", _from_any_row((block.window, block.delay)), delay=block.delay)
        case AsOfFeatures():
            back = None if block.within is None else _from_any_row((block.within,))
            return Reach("span", back, delay=block.delay)
        case LookupFeatures():
            return AS_MADE
    raise TypeError(block)


def _reads_of_prediction(
    prediction: PredictionSpec, model: ModelSpec, feature_set: FeatureSetSpec
) -> dict[str, tuple[Reach, ...]]:
    found: dict[str, tuple[Reach, ...]] = {f"features.{model.feature_set}": SAME_ONLY}
    if prediction.version == "champion":
        found[f"models.{prediction.model}"] = (WHOLE,)
    return {**found, feature_set.spine: SAME_ONLY} if prediction.keep else found
