"""What the loop knows of a scored partition without reading it: how many rows a reaction has still to act on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Matches:
    """Rows of a scored partition of ``prediction`` that meet a reaction's condition and were never acted on.

    ``run_id`` is the run that scored them, by ``model_version``. ``held`` is the finding that holds the reaction back
    and that people were told of, ``""`` if there is none.
    """

    prediction: str
    rows: int
    model_version: int
    run_id: str
    held: str = ""
