"""The columns that files have, held against those that their source declares."""

from collections.abc import Mapping, Sequence

from metaplatform.errors import DataError
from metaplatform.specs.entities.ingestion import FileSource


def check_columns(found: Sequence[str], declared: Mapping[str, str], *, frozen: bool, owner: str, culprit: str) -> None:
    """Compare the columns of a file with those declared, if any are.

    Raises:
        DataError: listing what is missing, what is new (where ``frozen``), or what is there twice.
    """
    folded = [name.casefold() for name in found]
    twice = sorted({name for name in found if folded.count(name.casefold()) > 1})
    missing = [name for name in declared if name not in found]
    new = [name for name in found if name not in declared] if declared and frozen else []
    faults = [("twice", twice), ("missing", missing), ("not declared", new)]
    if any(names for _, names in faults):
        listed = "; ".join(
            f"columns {fault}: {', '.join(repr(name) for name in names)}" for fault, names in faults if names
        )
        raise DataError(
            owner=owner,
            culprit=f"{culprit}: {listed}",
            fix="fix the file, or declare its columns as they are (`contract: evolve` adds new ones by itself)",
        )


def check_headers(headers: Mapping[str, Sequence[str]], spec: FileSource) -> None:
    """Compare the columns of each file, by its name for people, with those declared, if any are.

    Where the source evolves, a file may lack what another file has. No file has a column that its folders say.

    Raises:
        DataError: as :func:`check_columns` does, for the first file at fault.
    """
    frozen = spec.contract == "freeze"
    declared = spec.columns_of_files
    somewhere = {name for found in headers.values() for name in found}
    for label, found in headers.items():
        spared = [] if frozen else [name for name in declared if name in somewhere and name not in found]
        check_columns([*found, *spared], declared, frozen=frozen, owner=spec.ref, culprit=label)
        own = {name.casefold(): field for field in ("hive_columns", "name_columns") for name in getattr(spec, field)}
        both = [name for name in found if name.casefold() in own]
        if both:
            field = own[both[0].casefold()]
            raise DataError(
                owner=spec.ref,
                culprit=f"{label} has the column '{both[0]}' itself, which `{field}` takes from its path",
                fix=f"take it out of `{field}`, or rename it in the files",
            )
