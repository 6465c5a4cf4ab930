"""Schedules and sensors that follow from a book, and how two books differ in them."""

from collections.abc import Iterator, Mapping

from metaplatform.chapters import CHAPTERS
from metaplatform.compute.changes.plan import AutomationChange
from metaplatform.specs.book.manifest import Manifest

SENSORS: Mapping[str, str] = {
    "arrivals": "sources",
    "scoring": "predictions",
    "performance": "monitors",
    "retraining": "models",
    "reactions": "reactions",
}
"""Sensor → the chapter without which there is none."""


def sensors_of(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the loop's sensors."""
    return tuple(name for name, chapter in SENSORS.items() if manifest.entries(CHAPTERS[chapter]))


def schedules_of(manifest: Manifest) -> dict[str, str]:
    """Return the cron and time zone of each schedule by name."""
    return {
        f"retrain_{model.name}": "{} ({})".format(*cron)
        for model in manifest.models.values()
        if model.retrain and (cron := model.retrain.cron)
    }


def automation_changes(old: Manifest, new: Manifest) -> Iterator[AutomationChange]:
    """Yield what changes of schedules and sensors."""
    before, after = schedules_of(old), schedules_of(new)
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield AutomationChange(name, "schedule", "gone", before[name])
        elif name not in before:
            yield AutomationChange(name, "schedule", "added", after[name])
        elif before[name] != after[name]:
            yield AutomationChange(name, "schedule", "changed", f"{before[name]} → {after[name]}")
    mine, theirs = sensors_of(new), sensors_of(old)
    yield from (AutomationChange(name, "sensor", "gone") for name in theirs if name not in mine)
    yield from (AutomationChange(name, "sensor", "added") for name in mine if name not in theirs)
