"""What a storage root knows of its models: the book that last ran there, the ledger and the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metaplatform.errors import MetaplatformError
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.records.ledger import Decision
from metaplatform.text.nearest import nearest_name


@dataclass(frozen=True)
class Past:
    """The ledger and the registry of a storage root, and the ``book`` that last ran there, as JSON values."""

    ledger: Ledger
    registry: ModelRegistry
    book: Mapping[str, Any]

    @classmethod
    def below(cls, deployment: Deployment) -> "Past":
        """Return the past of a deployment."""
        root = deployment.root
        registry = ModelRegistry(tracking_uri=deployment.tracking_uri, artifact_root=str(deployment.model_files))
        return cls(Ledger(Warehouse(root=str(root))), registry, BuildRecords(root).applied())

    @property
    def zone(self) -> str:
        """Return the time zone that the partitions of all sources share, UTC if there is none."""
        lines = [source["partitions"] for source in self.book.get("sources", {}).values() if source.get("partitions")]
        zones = {line.get("timezone", "UTC") for line in lines}
        return str(zones.pop()) if len(zones) == 1 else "UTC"

    def scored_by(self, model: str) -> tuple[str, ...]:
        """Return the predictions that the champion of ``model`` scores."""
        predictions = self.book.get("predictions", {}).items()
        return tuple(
            name
            for name, spec in predictions
            if spec["model"] == model and spec.get("version", "champion") == "champion"
        )

    def check(self, model: str) -> None:
        """Refuse a model that nothing here knows, where anything is known.

        Raises:
            MetaplatformError: with the nearest name.
        """
        known = {*self.book.get("models", {}), *(kept.model for kept in self.ledger.read(Decision))}
        if known and model not in known:
            near = nearest_name(model, known)
            raise MetaplatformError(
                owner=model,
                culprit="there is no such model",
                fix=f"did you mean '{near}'?" if near else f"name one of {', '.join(sorted(known))}",
            )
