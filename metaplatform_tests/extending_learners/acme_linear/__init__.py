"""Linear models: what the book says of them."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from metaplatform.kinds import Fault, Many, ModelSpec


class LinearModel(ModelSpec):
    """A model: a weight for each feature, by ridge regression of numbers, logistic regression of true and false.

    Large weights cost ``penalties``: of these the one is taken that does best on the validation rows.
    """

    kind: Literal["linear"]
    penalties: Many[float] = Field(default=(0.1, 1.0, 10.0), min_length=1)

    def faults(self) -> Iterator[Fault]:
        """Yield penalties without which there may be no solution."""
        for index, penalty in enumerate(self.penalties):
            if penalty <= 0:
                message = f"a penalty of {penalty:g} bounds no weight"
                yield Fault("no-penalty", ("penalties", index), f"{penalty:g}", message, "give more than 0")
