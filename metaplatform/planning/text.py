"""A plan in words: what machines, people and pull requests are told of it."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from metaplatform.compute.changes.plan import Change, Plan

_ESCAPED = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_{}[]()#+!|~>$"} | {"<": "&lt;", "&": "&amp;", "@": "@\u200b"}
)
_MOST_KEYS = 3
_SHORTEST_SECONDS = 6
NOTHING = "Nothing to do: everything is made as the book says."
GROUPS = {
    "rebuild": "Tables and features made again",
    "retrain": "Models trained again",
    "rescore": "Predictions scored again",
    "rewrite": "Outputs written again",
    "pending": "Taken in by the loop",
    "none": "Nothing is made again",
    "gone": "Gone from the book",
}
"""What is done → its title, in the order in which it is told."""


def group_of(change: Change) -> str:
    """Return the group that a change is told in."""
    return change.state if change.state in {"gone", "pending"} else change.action or "none"


def partitions_told(change: Change) -> str:
    """Return the partitions of a change in a few words."""
    if change.action is None and not (change.state == "pending" and change.partitions):
        return ""
    if not change.partitions or change.partitions == ("",):
        return "all"
    if len(change.partitions) <= _MOST_KEYS:
        return ", ".join(change.partitions)
    return f"{change.partitions[0]} to {change.partitions[-1]} ({len(change.partitions)})"


def minutes_told(seconds: float | None) -> str:
    """Return an estimate in minutes, ``unknown`` where there is none."""
    if seconds is None:
        return "unknown"
    return f"{seconds / 60:.1f}" if seconds >= _SHORTEST_SECONDS else "< 0.1"


def summary(plan: Plan) -> str:
    """Return the plan in a line."""
    if plan.empty:
        return NOTHING
    counts = {action: sum(change.action == action for change in plan.changes) for action in GROUPS}
    told = [f"{count} to {action}" for action, count in counts.items() if count]
    pending = sum(change.state == "pending" for change in plan.changes)
    told += [f"{pending} for the loop to take in"] if pending else []
    others = len(plan.changes) - len(plan.work) - pending + len(plan.automation)
    told += [f"{others} where nothing is made"] if others else []
    told += [f"{len(plan.breaking)} breaking"] if plan.breaking else []
    short = plan.seconds < _SHORTEST_SECONDS
    took = f"less than {_SHORTEST_SECONDS} seconds" if short else f"about {minutes_told(plan.seconds)} minutes"
    told += [took] if plan.seconds else []
    told += [f"{len(plan.unknown)} of unknown time"] if plan.unknown else []
    return ", ".join(told) + "."


def to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON values."""
    return {**asdict(plan), "empty": plan.empty, "seconds": plan.seconds, "unknown": list(plan.unknown)}


def to_markdown(plan: Plan) -> str:
    """Return the plan as a comment for a pull request: what breaks comes first, details fold."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield from ("### What this book changes", "", summary(plan))
    if plan.breaking:
        yield from ("", "**Breaking**", "")
        yield from (f"- **{_safe(change.ref)}**: {_safe('; '.join(change.breaking))}" for change in plan.breaking)
    for group, title in GROUPS.items():
        changes = [change for change in plan.changes if group_of(change) == group]
        if changes:
            yield from (
                "",
                f"**{title}**",
                "",
                "| what | why | partitions | rows | minutes |",
                "|---|---|---|---:|---:|",
            )
            yield from map(_row, changes)
    if plan.automation:
        yield from ("", "**Schedules and sensors**", "")
        yield from (
            f"- {change.kind} {_safe(change.name)} {change.state} {_safe(change.detail)}".rstrip()
            for change in plan.automation
        )
    yield from _details(plan)


def _row(change: Change) -> str:
    rows = "" if change.rows is None else f"{change.rows:,}"
    minutes = minutes_told(change.seconds) if change.action else ""
    cells = (_safe(change.ref), _safe("; ".join(change.reasons)), _safe(partitions_told(change)), rows, minutes)
    return f"| {' | '.join(cells)} |"


def _details(plan: Plan) -> Iterator[str]:
    differing = [change for change in plan.changes if change.differences]
    if not differing:
        return
    yield from ("", "<details><summary>Fields, before and now</summary>", "")
    for change in differing:
        yield f"- {_safe(change.ref)}"
        yield from (f"  - {_safe(str(difference))}" for difference in change.differences)
    yield from ("", "</details>")


def _safe(text: str) -> str:
    """Return text that Markdown and HTML take for nothing else, on one line; no name in it calls anybody."""
    return " ".join(text.split()).translate(_ESCAPED)
