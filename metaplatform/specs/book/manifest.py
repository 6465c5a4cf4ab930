"""The manifest: the whole book as one value, and what follows from its references."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from metaplatform.chapters import CHAPTERS, MODELS, MONITORS, SOURCES, TABLES, Chapter, chapter_of
from metaplatform.errors import Location
from metaplatform.naming import ref_name, stable_id
from metaplatform.specs.book.following import Following
from metaplatform.specs.book.lineage import Lineage
from metaplatform.specs.entities.alerts import AlertSpec
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.entities.families import MonitorSpec, OutputSpec, SourceSpec
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.inference import PredictionSpec
from metaplatform.specs.entities.ingestion import TableSpec, TimedTable
from metaplatform.specs.entities.reactions import ReactionSpec
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.specs.fields.reads import WHOLE, Reach, rows_followed
from metaplatform.sql.expressions import canonical_fields


@dataclass(frozen=True)
class Manifest:
    """Every entity of the book by name, in book order; made by ``specs.loading``.

    ``root`` is the project folder that relative source paths start from; ``source_folders`` are others that the
    deployment lets sources read. ``locations`` maps a reference
    to where the book defines it. ``known_hashes`` are spec hashes worked out before, by reference.
    """

    root: str
    source_folders: tuple[str, ...] = field(default=(), compare=False)
    sources: Mapping[str, SourceSpec] = field(default_factory=dict)
    tables: Mapping[str, TableSpec] = field(default_factory=dict)
    feature_sets: Mapping[str, FeatureSetSpec] = field(default_factory=dict)
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    predictions: Mapping[str, PredictionSpec] = field(default_factory=dict)
    outputs: Mapping[str, OutputSpec] = field(default_factory=dict)
    monitors: Mapping[str, MonitorSpec] = field(default_factory=dict)
    reactions: Mapping[str, ReactionSpec] = field(default_factory=dict)
    alerts: Mapping[str, AlertSpec] = field(default_factory=dict)
    locations: Mapping[str, Location] = field(default_factory=dict)
    known_hashes: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def entities(self) -> Mapping[str, Entity]:
        """Return every entity by reference (``raw.flights``), in the order of the road."""
        return {
            chapter.ref(name): entity for chapter in CHAPTERS.values() for name, entity in self.entries(chapter).items()
        }

    def entries(self, chapter: Chapter) -> Mapping[str, Entity]:
        """Return the entities of a chapter by name."""
        found: Mapping[str, Entity] = getattr(self, chapter.name)
        return found

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """Return the references of all that runs make or judge: who is told of troubles is not an asset."""
        return tuple(ref for ref in self.entities if chapter_of(ref).asset)

    def timed_table(self, ref: str) -> TimedTable:
        """Return the source or SQL table behind ``ref``.

        Raises:
            KeyError: if ``ref`` is neither.
        """
        found = self.timed_at(ref)
        if found is None:
            raise KeyError(ref)
        return found

    def source_at(self, ref: str) -> SourceSpec | None:
        """Return the source behind ``ref``, or None if it is something else, or nothing."""
        return self.sources.get(ref_name(ref)) if SOURCES.holds(ref) else None

    def timed_at(self, ref: str) -> TimedTable | None:
        """Return the source or SQL table behind ``ref``, or None if it is something else, or nothing."""
        return self.tables.get(ref_name(ref)) if TABLES.holds(ref) else self.source_at(ref)

    def spine_of(self, model: ModelSpec) -> TimedTable:
        """Return the table whose rows the model's feature set describes."""
        return self.timed_table(self.feature_sets[model.feature_set].spine)

    def label_delay(self, model: ModelSpec) -> Duration:
        """Return how long after its event timestamp a label of ``model`` is known."""
        outcomes = self.spine_of(model).outcomes
        return model.label_delay or (outcomes.delay if outcomes else Duration())

    def features_of(self, model: ModelSpec) -> tuple[str, ...]:
        """Return the features the model reads, in feature set order."""
        names = model.features or self.feature_sets[model.feature_set].feature_names
        return tuple(name for name in names if name not in model.exclude)

    def identity_of(self, prediction: str) -> tuple[str, ...]:
        """Return the columns that say which row a prediction is about, and when: key, then event timestamp."""
        return self.spine_of(self.models[self.predictions[prediction].model]).identity

    def upstream(self, ref: str) -> tuple[str, ...]:
        """Return the references that ``ref`` reads or is ordered after, without repeats."""
        entity = self.entities[ref]
        return tuple(dict.fromkeys((*entity.upstream(self), *entity.after)))

    def reads(self, ref: str) -> dict[str, tuple[Reach, ...]]:
        """Return what the result of ``ref`` is computed from, and how much of it.

        Unlike ``upstream`` without what only comes first (``after``), and without a model whose pinned
        version scores: training it again changes nothing there.
        """
        reached = self.entities[ref].reads(self)
        own = self.partitions(ref)
        if own is None:
            return dict.fromkeys(reached, (WHOLE,))
        return {
            other: tuple(self._bounded(reach, own, other) for reach in reaches) for other, reaches in reached.items()
        }

    def _bounded(self, reach: Reach, own: PartitionSpec, other: str) -> Reach:
        """Return a reach, whole where nothing says which rows of the input lie within it."""
        if reach.kind == "same":
            return reach if self.partitions(other) == own else WHOLE
        if reach.kind == "span":
            return reach if self.event_timestamp(other) else WHOLE
        return reach

    def event_timestamp(self, ref: str) -> str | None:
        """Return the column of a stored table that says when its rows are; None if there is none."""
        entity = self.entities.get(ref)
        rows = entity.described_rows(self) if entity else None
        found = self.timed_table(rows) if rows else self.timed_at(ref)
        return found.event_timestamp if found else None

    def partitions(self, ref: str) -> PartitionSpec | None:
        """Return the partitions of ``ref``, which flow down from a source; None if there are none, or no source."""
        if ref not in self._schemes:
            self._schemes[ref] = self._scheme(ref)
        return self._schemes[ref]

    def _scheme(self, ref: str) -> PartitionSpec | None:
        seen: set[str] = set()
        current: str | None = ref
        while current is not None and current in self.entities and current not in seen:
            seen.add(current)
            if (source := self.source_at(current)) is not None:
                return source.partitions
            current = self.partition_parent(current)
        return None

    def partition_parent(self, ref: str) -> str | None:
        """Return the reference whose partitions ``ref`` has; None for a source, and for what has no partitions."""
        return self.entities[ref].partition_parent(self)

    @cached_property
    def timezone(self) -> str:
        """Return the zone that the partitions of all sources share, UTC if there is none: moments are shown in it."""
        zones = {source.partitions.timezone for source in self.sources.values() if source.partitions}
        return zones.pop() if len(zones) == 1 else "UTC"

    def zone(self, ref: str) -> str:
        """Return the zone in which moments about ``ref`` are shown: that of its partitions, or else the book's."""
        model = self.models.get(ref_name(ref)) if MODELS.holds(ref) else None
        spec = self.partitions(model.feature_set_ref if model else ref)
        return spec.timezone if spec else self.timezone

    def spec_hash(self, ref: str) -> str:
        """Return 12 hex digits of what decides the asset's result: equal for books that mean the same."""
        if ref not in self._hashes:
            canonical = json.dumps(canonical_fields(self.entities[ref].semantic_fields()), sort_keys=True)
            self._hashes[ref] = hashlib.sha256(canonical.encode()).hexdigest()[:12]
        return self._hashes[ref]

    @cached_property
    def lineage(self) -> Lineage:
        """Return the lineage that everything in the book would have, were all of it made from this book."""
        return Lineage(self.reads, self.spec_hash)

    @cached_property
    def following(self) -> Following:
        """Return what everything in the book follows of the rows of what it reads; checks and views follow none."""
        on_demand = {ref for reaction in self.reactions.values() for ref in reaction.materialize}
        refs = [ref for ref, entity in self.entities.items() if not (entity.shows or MONITORS.holds(ref))]
        tracked = {ref: {} if ref in on_demand else rows_followed(ref, self.reads(ref)) for ref in refs}
        return Following(tracked, {ref: self.upstream(ref) for ref in refs}, self.partitions)

    @cached_property
    def identity(self) -> str:
        """Return 16 hex digits of all the book says, presentation and policies too."""
        fields = {ref: entity.model_dump(mode="json") for ref, entity in self.entities.items()}
        return stable_id(json.dumps(fields, sort_keys=True))

    @cached_property
    def _hashes(self) -> dict[str, str]:
        """Return the hashes asked for so far: sensors ask at every tick."""
        return dict(self.known_hashes)

    @cached_property
    def _schemes(self) -> dict[str, PartitionSpec | None]:
        """Return the partitions asked for so far, for each of thousands of records."""
        return {}
