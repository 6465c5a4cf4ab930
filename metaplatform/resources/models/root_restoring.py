"""What a storage root has lost, made again of what it still holds."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from metaplatform import places
from metaplatform.chapters import MODELS
from metaplatform.resources.models.model_registry import CHAMPION, ModelRegistry, loss_of
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Promotion
from metaplatform.text.plurals import counted

_LOST = (
    "Not restored, because only the database had it: metrics that monitors logged over time (the loop itself reads "
    "monitoring.observations, which is whole), trainings that failed, and what other tools have kept there."
)


def restore_registry(root: Path) -> list[str]:
    """Make MLflow's database below ``root`` again if it is lost or damaged; return what was done, in lines.

    A damaged one is kept under another name. Nobody else is at work there; until the new one is whole, there is none.

    Raises:
        RegistryError: if the number of a version cannot be told.
        StorageError: if the ledger or a record is damaged.
    """
    database, files = root / places.MLFLOW_DATABASE, root / places.MODEL_FILES
    loss = loss_of(database, files)
    if loss is None:
        return [f"{database}: it can be read, and is left as it is"]
    promotions = Ledger(Warehouse(root=str(root))).read(Promotion)
    registry = ModelRegistry(tracking_uri=f"sqlite:///{database}", artifact_root=str(files))
    with tempfile.TemporaryDirectory(dir=root, prefix=".restoring-") as folder:
        made = Path(folder) / places.MLFLOW_DATABASE
        restored = registry.model_copy(update={"tracking_uri": f"sqlite:///{made}"}).restore(promotions)
        if database.exists() and database.stat().st_size:
            database.replace(root / places.DAMAGED_DATABASE)
        made.replace(database)
    told = (line for model, versions in restored.items() for line in _told(registry, model, versions, promotions))
    return [f"{database}: {loss}", *told, _LOST]


def _told(
    registry: ModelRegistry, model: str, versions: Sequence[int], promotions: Sequence[Promotion]
) -> Iterator[str]:
    champion = registry.champion(model)
    standing = f"{CHAMPION} is version {champion.version}" if champion else f"there is no {CHAMPION}"
    numbers = ", ".join(map(str, versions))
    yield f"{MODELS.ref(model)}: restored {counted(len(versions), 'version')} ({numbers}); {standing}"
    gone = sorted({each.challenger_version for each in promotions if each.model == model} - set(versions))
    if gone:
        lost = ", ".join(map(str, gone))
        yield f"{MODELS.ref(model)}: cannot restore {lost}: no files of theirs are in {places.MODEL_FILES}"
