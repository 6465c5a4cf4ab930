"""Names of everything the platform makes: plain strings, no library types."""

import hashlib
from collections.abc import Sequence

HIDDEN_TAG = ".dagster/metaplatform_"
"""Start of run tags that are for the platform alone: Dagster's page leaves them out, so that the reason is seen."""
PARTITION = "_partition"
"""Column of every partitioned stored table that holds the partition's key."""
FILE = "_source_file"
"""Column of rows read from files that holds the file they come from; stored rows do not have it."""


def asset_path(ref: str) -> list[str]:
    """Return the asset key path of a reference: ``raw.flights`` → ``["raw", "flights"]``."""
    return ref.split(".", 1)


def ref_of(path: Sequence[str]) -> str:
    """Return the reference of an asset key path."""
    return ".".join(path)


def ref_prefix(ref: str) -> str:
    """Return what stands before the dot of a reference: ``raw.flights`` → ``raw``."""
    return ref.partition(".")[0]


def ref_name(ref: str) -> str:
    """Return the entity's name of a reference, ``raw.flights`` → ``flights``; a text without a dot as it is."""
    return ref.partition(".")[2] or ref


def op_name(ref: str) -> str:
    """Return the Dagster op name of a reference: ``raw.flights`` → ``raw__flights``."""
    return ref.replace(".", "__")


def quarantine_ref(ref: str) -> str:
    """Return the table that holds the rows a source's contract turned away."""
    return f"{ref}__quarantine"


def staged_ref(ref: str) -> str:
    """Return the table that holds all rows of a source's files, before they arrive partition by partition."""
    return f"{ref}__staged"


def history_ref(ref: str) -> str:
    """Return the table that keeps every version's predictions of ``ref``."""
    return f"{ref}__history"


def stable_id(*parts: object) -> str:
    """Return 16 hex digits that depend on ``parts`` alone: the key of a decision, an action or a run."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
