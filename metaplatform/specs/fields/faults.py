"""What is wrong with one value of an entity, as a value."""

from dataclasses import dataclass
from typing import Literal

from metaplatform.specs.fields.references import Path


@dataclass(frozen=True)
class Fault:
    """What is wrong with one value of an entity; ``at_key`` where the key itself is at fault."""

    rule: str
    path: Path
    culprit: str
    message: str
    fix: str
    nearest: str | None = None
    at_key: bool = False
    severity: Literal["error", "warning"] = "error"
