"""One judged score of a monitor, as profile, drift and performance all report it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "failed", "skipped"]
"""``skipped`` means that there was too little to judge; it is not a pass."""

_ORDER = {"failed": 0, "skipped": 1, "passed": 2}


@dataclass(frozen=True)
class Finding:
    """What ``check`` found: on ``column``, or ``""`` for a verdict over all of them.

    ``score`` and ``threshold`` are in the check's own unit and None where it has none; ``detail`` is a
    sentence for people.
    """

    check: str
    column: str
    score: float | None
    threshold: float | None
    status: Status
    detail: str


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with failed ones first, each group by how far the score is over its threshold."""

    def rank(finding: Finding) -> tuple[int, float, str]:
        excess = (finding.score or 0.0) / finding.threshold if finding.threshold else finding.score or 0.0
        return _ORDER[finding.status], -excess, finding.column

    return sorted(findings, key=rank)


def as_markdown(findings: Iterable[Finding], *, limit: int = 50) -> str:
    """Return a Markdown table of the ``limit`` worst findings, saying how many more there are."""
    rows = worst_first(findings)
    lines = ["| check | column | score | threshold | status | detail |", "|---|---|---:|---:|---|---|"]
    lines += [
        f"| {cell(row.check)} | {cell(row.column)} | {number(row.score)} | {number(row.threshold)} "
        f"| {row.status} | {cell(row.detail)} |"
        for row in rows[:limit]
    ]
    if len(rows) > limit:
        lines.append(f"\n… and {len(rows) - limit} more.")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Return text that stays inside its Markdown cell and starts no HTML."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def number(value: float | None) -> str:
    """Return a number for people: four significant digits, empty if there is none."""
    return "" if value is None else f"{value:.4g}"
