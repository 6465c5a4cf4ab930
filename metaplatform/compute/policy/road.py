"""The road of the data through the book: what follows from what, and what of it can be made now."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from metaplatform.chapters import OUTPUTS, PREDICTIONS, chapter_of
from metaplatform.naming import ref_name
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.families import MonitorSpec
from metaplatform.specs.fields.partitions import PartitionSpec


@dataclass(frozen=True)
class Stock:
    """What there is to make tables from.

    ``built`` gives the partitions that each table has been made for (``""`` where there are none); None
    takes every table to be there. ``scorable`` names the predictions whose model version exists.
    """

    built: Mapping[str, frozenset[str]] | None
    scorable: frozenset[str]


class Road:
    """A book's references in order, each behind all it reads; made once for many questions."""

    def __init__(self, manifest: Manifest) -> None:
        """Read the book's references; it has no cycles once it is validated."""
        self.manifest = manifest
        self.order = topological_order(manifest)
        self.parents = {ref: manifest.upstream(ref) for ref in self.order}
        self.partitions = {ref: manifest.partitions(ref) for ref in self.order}
        self.on_demand = made_by_reactions(manifest)
        self._children: dict[str, list[str]] = {}
        self._reached: dict[str, frozenset[str]] = {}
        for ref in self.order:
            for parent in self.parents[ref] if chapter_of(ref).stored else ():
                self._children.setdefault(parent, []).append(ref)

    def reach(self, ref: str) -> frozenset[str]:
        """Return ``ref`` and all that is made of it; models end the road, because they wait for their policy."""
        if ref not in self._reached:
            reached, pending = {ref}, [ref]
            while pending:
                found = [child for child in self._children.get(pending.pop(), ()) if child not in reached]
                reached.update(found)
                pending.extend(found)
            self._reached[ref] = frozenset(reached)
        return self._reached[ref]

    def inputs(self, ref: str) -> tuple[str, ...]:
        """Return the tables that ``ref`` is made behind."""
        return tuple(
            parent
            for parent in self.parents[ref]
            if chapter_of(parent).stored and self.manifest.entities[parent].is_table
        )

    def selection(
        self, roots: Collection[str], stock: Stock, *, scheme: PartitionSpec | None, partition: str, score: bool = True
    ) -> tuple[str, ...]:
        """Return the roots and all that follows from them and can be made in one run, in order.

        ``scheme`` is what ``partition`` is a partition of; nothing of another scheme is made. What lacks an
        input, or a model version, is left out with everything behind it. Views follow whatever they show.
        Without ``score`` no partition of a prediction follows, unless it was scored before.
        """
        chosen: dict[str, None] = {}
        stuck: set[str] = set()
        for ref in self.order:
            if ref in roots:
                chosen[ref] = None
                continue
            follows = not chosen.keys().isdisjoint(self.parents[ref])
            hindered = not stuck.isdisjoint(self.parents[ref])
            if not (follows or hindered) or not self._made_by_itself(ref, scheme):
                continue
            shows = follows and self.manifest.entities[ref].shows
            made = not hindered and self._may_score(ref, stock, partition, score)
            if shows or (made and self._can(ref, stock, scheme, partition, chosen)):
                chosen[ref] = None
            else:
                stuck.add(ref)
        return tuple(chosen)

    def missing(self, stock: Stock, scheme: PartitionSpec | None) -> dict[str, list[str]]:
        """Return tables of ``scheme`` that could have been made and are not, with those partitions, oldest first.

        Files are not tables: those that are gone are ``outdated``. Predictions wait for ``plan_scoring``.
        """
        found: dict[str, list[str]] = {}
        for ref in self.order:
            made = self.manifest.entities[ref].made_of_tables
            if not made or self.partitions[ref] != scheme or ref in self.on_demand or stock.built is None:
                continue
            have = stock.built.get(ref, frozenset())
            parent = self.manifest.partition_parent(ref) if scheme else None
            wanted = stock.built.get(parent, frozenset()) if parent else frozenset({""})
            found[ref] = [key for key in sorted(wanted - have) if self._can(ref, stock, scheme, key, ())]
        return {ref: keys for ref, keys in found.items() if keys}

    def outdated(
        self, stock: Stock, scheme: PartitionSpec | None, stale: Mapping[str, Collection[str]]
    ) -> dict[str, list[str]]:
        """Return what of ``stale`` (partitions by reference) can be made again, with those partitions, oldest first."""
        found: dict[str, list[str]] = {}
        for ref in self.order:
            if (
                ref not in stale
                or self.partitions[ref] != scheme
                or ref in self.on_demand
                or not chapter_of(ref).stored
            ):
                continue
            found[ref] = [key for key in sorted(stale[ref]) if self._can_again(ref, stock, scheme, key)]
        return {ref: keys for ref, keys in found.items() if keys}

    def monitors(
        self, selected: Collection[str], partition: str, known: Mapping[str, datetime] | None
    ) -> tuple[str, ...]:
        """Return the monitors that watch the selected predictions: drift, and performance where labels are mature.

        ``known`` gives the moment as of which labels are known, by model; without it no labels of a partition are.
        """
        return tuple(
            name
            for name, monitor in self.manifest.monitors.items()
            if monitor.prediction_ref in selected
            and (not monitor.waits_for_labels or self._mature(monitor, partition, known))
        )

    def _mature(self, monitor: MonitorSpec, partition: str, known: Mapping[str, datetime] | None) -> bool:
        scheme = self.partitions[monitor.prediction_ref]
        return scheme is None or (known is not None and labels_mature(self.manifest, monitor, partition, known))

    def _made_by_itself(self, ref: str, scheme: PartitionSpec | None) -> bool:
        return chapter_of(ref).stored and ref not in self.on_demand and self.partitions[ref] in (scheme, None)

    def _may_score(self, ref: str, stock: Stock, partition: str, score: bool) -> bool:  # noqa: FBT001  # private
        if not PREDICTIONS.holds(ref):
            return True
        scored = partition in (stock.built or {}).get(ref, frozenset())
        wanted = score or scored or self.partitions[ref] is None
        return wanted and ref_name(ref) in stock.scorable

    def _can_again(self, ref: str, stock: Stock, scheme: PartitionSpec | None, partition: str) -> bool:
        """Tell whether what was made can be made once more: views show what there is."""
        made_of_all = self._can(ref, stock, scheme, partition, ())
        return self._may_score(ref, stock, partition, score=True) and (made_of_all or self.manifest.entities[ref].shows)

    def _can(
        self, ref: str, stock: Stock, scheme: PartitionSpec | None, partition: str, chosen: Collection[str]
    ) -> bool:
        return all(
            parent in chosen or self._available(ref, parent, stock, scheme, partition) for parent in self.inputs(ref)
        )

    def _available(self, ref: str, parent: str, stock: Stock, scheme: PartitionSpec | None, partition: str) -> bool:
        """Tell whether ``ref`` can be made of ``parent``, as far as it is built.

        Of its own scheme ``ref`` needs the same partition, or for what it only looks up, a later one:
        then the partition has no rows. Everything else is read as a whole.
        """
        if stock.built is None:
            return True
        have = stock.built.get(parent, frozenset())
        if scheme is None or self.partitions[ref] != scheme or self.partitions[parent] != scheme:
            return bool(have)
        looked_up = parent != self.manifest.partition_parent(ref)
        return partition in have or (looked_up and max(have, default="") > partition)


def topological_order(manifest: Manifest) -> tuple[str, ...]:
    """Return every reference after all it reads; the book has no cycles once it is validated."""
    order: dict[str, None] = {}
    pending = [(ref, False) for ref in reversed(tuple(manifest.entities))]
    while pending:
        ref, expanded = pending.pop()
        if ref in order:
            continue
        if expanded:
            order[ref] = None
            continue
        pending.append((ref, True))
        pending.extend((parent, False) for parent in manifest.upstream(ref) if parent not in order)
    return tuple(order)


def made_by_reactions(manifest: Manifest) -> frozenset[str]:
    """Return the outputs that only a reaction makes."""
    return frozenset(
        ref for reaction in manifest.reactions.values() for ref in reaction.materialize if OUTPUTS.holds(ref)
    )


def labels_mature(manifest: Manifest, monitor: MonitorSpec, partition: str, known: Mapping[str, datetime]) -> bool:
    """Tell whether all labels of a scored partition are mature as of the moment that ``known`` gives for its model."""
    prediction = manifest.predictions[monitor.prediction]
    scheme = manifest.partitions(monitor.prediction_ref)
    delay = manifest.label_delay(manifest.models[prediction.model])
    return scheme is not None and delay.behind(scheme.window(partition).end) <= known[prediction.model]
