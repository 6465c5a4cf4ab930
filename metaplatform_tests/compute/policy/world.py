"""A warehouse as small as it can be: what sources hold, what arrived, what is built; plans change it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from metaplatform.compute.policy.arrivals import ArrivalState, plan_arrivals
from metaplatform.compute.policy.plans import RunPlan
from metaplatform.compute.policy.stale import stale_partitions
from metaplatform.specs.book.builds import Built, BuiltPartition
from metaplatform.specs.book.fingerprints import Contents
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_contents import EMPTY
from metaplatform.specs.entities.outputs import FileOutput, ViewsOutput


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


RowsOf = Callable[["World", str, str], str]
"""What a step that makes a partition now would store, in a word."""


@dataclass
class World:
    """Facts by source and partition; ``runs`` are unfinished: each a plan and the references still to make."""

    manifest: Manifest
    held: dict[tuple[str, str], str] = field(default_factory=dict)
    arrived: dict[tuple[str, str], str] = field(default_factory=dict)
    last: dict[tuple[str, str], str] = field(default_factory=dict)
    built: dict[str, set[str]] = field(default_factory=dict)
    scorable: set[str] = field(default_factory=set)
    ingested: list[tuple[str, str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    runs: list[tuple[RunPlan, list[str]]] = field(default_factory=list)
    blocked: dict[tuple[str, str], str] = field(default_factory=dict)
    reading: set[str] = field(default_factory=set)
    records: dict[str, dict[str, BuiltPartition]] = field(default_factory=dict)
    rows_of: RowsOf | None = None
    made: list[tuple[str, str]] = field(default_factory=list)

    def put(self, source: str, *partitions: str, content: str = "A") -> "World":
        self.held |= {(source, partition): content for partition in partitions or ("",)}
        return self

    @property
    def state(self) -> ArrivalState:
        names = {source for source, _ in self.held}
        contents = {
            name: {key: content for (source, key), content in self.held.items() if source == name} for name in names
        }
        built = {ref: frozenset(keys) for ref, keys in self.built.items()}
        busy = frozenset(ref for plan, left in self.runs if left for ref in plan.refs)
        stale = stale_partitions(self.manifest, {ref: Built({}, made) for ref, made in self.records.items()})
        return ArrivalState(
            contents,
            dict(self.arrived),
            built,
            frozenset(self.scorable),
            dict(self.last),
            busy,
            frozenset(self.reading),
            dict(self.blocked),
            stale=stale,
        )

    def plans(self, now: datetime) -> tuple[RunPlan, ...]:
        return plan_arrivals(self.manifest, self.state, now)

    def start(self, plans: Iterable[RunPlan]) -> None:
        for plan in plans:
            self.keys.append(plan.key)
            self.runs.append((plan, list(plan.refs)))

    def step(self, run: int) -> None:
        """Make the next table of an unfinished run."""
        plan, left = self.runs[run]
        self.make(left[0], plan)
        left.pop(0)
        if not left:
            self.runs.pop(run)

    def make(self, ref: str, plan: RunPlan) -> None:
        scheme = self.manifest.partitions(ref)
        if scheme is None:
            self.make_part(ref, "")
            return
        for partition in scheme.keys_between(plan.partition, plan.last or plan.partition):
            self.make_part(ref, partition)

    def make_part(self, ref: str, partition: str) -> None:
        prefix, name = ref.split(".", 1)
        needs = () if isinstance(self.manifest.entities[ref], ViewsOutput) else self.manifest.upstream(ref)
        for parent in needs:
            if self.is_table(parent):
                assert self.has(ref, parent, partition), f"{ref} of {partition!r} lacks {parent}"
        if prefix == "raw":
            self.arrived[name, partition] = content = self.held.get((name, partition), EMPTY)
            self.ingested.append((name, partition, content))
            self.last[name, partition] = str(len(self.ingested))
        if self.is_table(ref):
            self.built.setdefault(ref, set()).add(partition)
        if self.rows_of is not None and not isinstance(self.manifest.entities[ref], ViewsOutput):
            self.record(ref, partition)

    def record(self, ref: str, partition: str) -> None:
        """Keep what the step made of what, as the platform's steps do; rows come of rows, by the test's own rule."""
        assert self.rows_of is not None
        built = {other: Built({}, made) for other, made in self.records.items()}
        read = Contents(self.manifest, built).read(ref, partition)
        content = self.rows_of(self, ref, partition)
        inputs = dict(self.manifest.lineage.inputs(ref))
        made = BuiltPartition(self.manifest.spec_hash(ref), inputs, 0, str(len(self.made)), read=read, content=content)
        self.records.setdefault(ref, {})[partition] = made
        self.made.append((ref, partition))

    def is_table(self, ref: str) -> bool:
        files = isinstance(self.manifest.entities[ref], FileOutput | ViewsOutput)
        return not files and not ref.startswith(("models.", "monitoring.", "reactions."))

    def has(self, ref: str, parent: str, partition: str) -> bool:
        """Tell whether the input is there, by the rule as it is documented."""
        have = self.built.get(parent, set())
        line = self.manifest.partitions(ref)
        if line is None or self.manifest.partitions(parent) != line:
            return bool(have)
        later = parent != self.manifest.partition_parent(ref) and any(key > partition for key in have)
        return partition in have or later

    def settle(self, now: datetime) -> list[RunPlan]:
        """Run what is planned, one run after the other, until nothing is; return the plans in order."""
        done: list[RunPlan] = []
        while plans := self.plans(now):
            self.start(plans)
            while self.runs:
                self.step(0)
            done.extend(plans)
            assert len(done) < 2_000, "this never comes to rest"
        return done
