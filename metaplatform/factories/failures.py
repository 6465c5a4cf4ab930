"""What Dagster has kept of an error, as people are told it."""

from collections.abc import Iterator

from dagster_shared.error import SerializableErrorInfo

_OURS = "metaplatform."


def decisive(error: SerializableErrorInfo | None) -> SerializableErrorInfo | None:
    """Return the first error of the platform's own, which says what to do, or else the one that caused all others."""
    chain = list(_chain(error))
    return next((each for each in chain if each.message.startswith(_OURS)), chain[-1] if chain else None)


def said_by(error: SerializableErrorInfo | None) -> str:
    """Return what the decisive error says, ``""`` if nothing; without its class, if it is the platform's own."""
    found = decisive(error)
    said = found.message.strip() if found else ""
    # Dagster puts the class of an error before its text.
    return said.partition(": ")[2] if said.startswith(_OURS) else said


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    while error is not None:
        yield error
        error = error.cause
