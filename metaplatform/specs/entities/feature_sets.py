"""Chapter ``feature_sets``: features of an entity, known at its event timestamp."""

from collections.abc import Iterator

from pydantic import Field

from metaplatform.chapters import FEATURE_SETS, TIMED
from metaplatform.specs.entities.entity import Entity, Neighbours
from metaplatform.specs.entities.families import FeatureBlock
from metaplatform.specs.entities.features import FeaturesBlock
from metaplatform.specs.fields.base import Many, Ref
from metaplatform.specs.fields.reads import SAME_ONLY, Reach
from metaplatform.specs.fields.references import Path, Reference, texts_at, whole
from metaplatform.specs.unknown import readable, until_unknown
from metaplatform.text.plurals import counted


class FeatureSetSpec(Entity):
    """What is known of each row of ``spine``: its entity key, its event timestamp, then ``features`` by blocks."""

    chapter = FEATURE_SETS
    spine: Ref
    features: Many[FeatureBlock] = Field(min_length=1)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of all features, in book order."""
        return tuple(name for block in self.features for name in block.columns)

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the references of every table read, spine first, without repeats."""
        joined = (block.joined for block in self.features if block.joined is not None)
        return tuple(dict.fromkeys((self.spine, *joined)))

    @property
    def told(self) -> str:
        """Return how many features of which rows there are."""
        return f"{counted(len(self.feature_names), 'feature')} of the rows of {self.spine}."

    @property
    def made_of_tables(self) -> bool:
        """Return True."""
        return True

    def expressions(self) -> Iterator[tuple[Path, str]]:
        """Yield every SQL expression of the blocks with its path."""
        with until_unknown():
            for index, block in enumerate(self.features):
                if isinstance(block, FeaturesBlock):
                    yield from texts_at(block, "columns", ("features", index))
                    yield from ((("features", index, field), sql) for field, sql in readable(block.conditions()))

    def aggregates_at(self, path: Path) -> bool:
        """Tell whether it is a feature of a block over many rows; its condition sees one at a time."""
        return path[-1] != "where" and isinstance(path[1], int) and self.features[path[1]].aggregates

    def references(self) -> Iterator[Reference]:
        """Yield what the set is ordered behind, its spine, and the tables that are joined."""
        yield from super().references()
        yield from whole(self, "spine", TIMED)
        with until_unknown():
            for index, block in enumerate(self.features):
                if isinstance(block, FeaturesBlock):
                    yield from block.references(("features", index))

    def reads(self, book: Neighbours) -> dict[str, tuple[Reach, ...]]:
        """Return the spine's same partition, and what the blocks look back on: features never look ahead."""
        del book
        found: dict[str, tuple[Reach, ...]] = {self.spine: SAME_ONLY}
        for block in self.features:
            if block.joined is not None:
                found[block.joined] = tuple(dict.fromkeys((*found.get(block.joined, ()), block.reach)))
        return found

    def partition_parent(self, book: Neighbours) -> str | None:
        """Return the spine."""
        del book
        return self.spine

    def own_columns(self, book: Neighbours) -> tuple[str, ...]:
        """Return the features."""
        del book
        return self.feature_names

    def described_rows(self, book: Neighbours) -> str | None:
        """Return the spine."""
        del book
        return self.spine
