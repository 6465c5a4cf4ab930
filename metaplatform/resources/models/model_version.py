"""A version of a model as the registry knows it, without reading its bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metaplatform.chapters import MODELS
from metaplatform.errors import RegistryError

PREFIX = "metaplatform."
"""Of the tags that the platform reads back."""
ROWS_TAG = f"{PREFIX}labelled_rows"
HOLDOUT_TAG = f"{PREFIX}holdout_from"
INSTANTS = ("trained_from", "trained_until", "cut")


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model.

    ``source`` is the address of its files. ``trained_from``, ``trained_until`` and ``cut`` are as in the
    bundle's lineage. ``url`` leads to the version in MLflow's UI, None if there is no UI.
    """

    model: str
    version: int
    run_id: str
    source: str
    aliases: tuple[str, ...]
    trained_from: datetime
    trained_until: datetime
    cut: datetime
    tags: Mapping[str, str]
    url: str | None

    @property
    def holdout_from(self) -> datetime:
        """Return where the rows begin that the version was judged on; ``trained_until`` of one that does not tell."""
        return datetime.fromisoformat(self.tags.get(HOLDOUT_TAG, self.trained_until.isoformat()))

    @property
    def refitted(self) -> bool:
        """Return whether what scores has learnt from the holdout too, after it was judged on it."""
        return self.trained_until > self.holdout_from

    @property
    def labelled_rows(self) -> int | None:
        """Return the labelled rows of its window, those of the holdout too; None of a version that does not tell."""
        rows = self.tags.get(ROWS_TAG)
        return None if rows is None else int(rows)


def version_of(found: Any, *, ui_url: str) -> ModelVersion:
    """Return MLflow's ``ModelVersion`` as ours.

    Raises:
        RegistryError: if another hand registered it.
    """
    try:
        trained_from, trained_until, cut = (datetime.fromisoformat(found.tags[PREFIX + name]) for name in INSTANTS)
    except (KeyError, ValueError) as error:
        raise RegistryError(
            owner=MODELS.ref(found.name),
            culprit=f"version {found.version} was not made by this platform ({error})",
            fix="delete it in MLflow, or register it under another name",
        ) from error
    page = f"{ui_url.rstrip('/')}/#/models/{found.name}/versions/{found.version}"
    return ModelVersion(
        model=found.name,
        version=int(found.version),
        run_id=found.run_id,
        source=found.source,
        aliases=tuple(sorted(found.aliases)),
        trained_from=trained_from,
        trained_until=trained_until,
        cut=cut,
        tags=dict(found.tags),
        url=page if ui_url else None,
    )
