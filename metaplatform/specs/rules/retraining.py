"""Models and their watchers: metrics, votes and schedules that can work."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter  # type: ignore[import-untyped]

from metaplatform.chapters import MODELS, MONITORS, PREDICTIONS
from metaplatform.errors import Issue
from metaplatform.specs.entities.training import VOTES, ModelSpec, RetrainPolicy, VoteSpec
from metaplatform.specs.fields.metrics import metrics_of
from metaplatform.specs.fields.references import Path
from metaplatform.specs.rules.book import Book
from metaplatform.specs.unknown import readable

_CRON_FIELDS = 5
_ANY_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def wrong_monitors(book: Book) -> Iterator[Issue]:
    """Yield votes over monitors of another kind, or of another model."""
    for name, model in book.manifest.models.items():
        retrain = model.retrain
        if retrain is not None:
            for trigger in VOTES:
                yield from readable(_votes(book, name, trigger, getattr(retrain, trigger)))


def wrong_metrics(book: Book) -> Iterator[Issue]:
    """Yield metrics that the task of the model, or of the model watched, does not have."""
    for name, model in book.manifest.models.items():
        metric = model.promotion.metric
        if metric not in metrics_of(model.task):
            yield _wrong_metric(book, MODELS.ref(name), ("promotion", "metric"), metric, model)
    for name, monitor in book.manifest.monitors.items():
        watched = book.model_of(monitor.prediction)
        if watched is None:
            continue
        for metric in monitor.limits:
            if metric not in metrics_of(watched.task):
                yield _wrong_metric(book, MONITORS.ref(name), ("metrics", metric), metric, watched)


def impossible_schedules(book: Book) -> Iterator[Issue]:
    """Yield cron texts that are not five valid fields, or never come, and time zones nobody knows."""
    for name, model in book.manifest.models.items():
        if model.retrain is not None:
            yield from readable(_impossible_schedule(book, name, model.retrain))
            zone = model.retrain.timezone
            if not _is_zone(zone):
                message = f"'{zone}' is not an IANA time zone"
                fix = "write one such as 'Europe/Berlin'"
                path = ("retrain", "timezone")
                yield book.issue("invalid-timezone", MODELS.ref(name), path, culprit=zone, message=message, fix=fix)


def _impossible_schedule(book: Book, name: str, retrain: RetrainPolicy) -> Iterator[Issue]:
    schedule = retrain.schedule
    if schedule is not None and not _comes(schedule):
        message = f"'{schedule}' is not a cron schedule of five fields that ever ticks"
        fix = "write minute, hour, day of month, month and day of week, such as '0 6 * * 1'"
        path: Path = ("retrain", "schedule")
        yield book.issue("invalid-cron", MODELS.ref(name), path, culprit=schedule, message=message, fix=fix)


def impossible_versions(book: Book) -> Iterator[Issue]:
    """Yield pinned versions that no registry gives."""
    for name, prediction in book.manifest.predictions.items():
        if isinstance(prediction.version, int) and prediction.version < 1:
            yield book.issue(
                "invalid-value",
                PREDICTIONS.ref(name),
                ("version",),
                culprit=str(prediction.version),
                message="version: versions count from 1",
                fix="write 'champion', or a version's number",
            )


def _votes(book: Book, name: str, trigger: str, vote: VoteSpec | None) -> Iterator[Issue]:
    for index, monitor in enumerate(vote.monitors if vote else ()):
        found = book.manifest.monitors.get(monitor)
        if found is None:
            continue
        watched = book.manifest.predictions.get(found.prediction)
        if found.vote != trigger:
            message = f"monitor '{monitor}' is a {found.kind} monitor"
        elif watched is not None and watched.model != name and watched.model_ref in book.defined:
            message = f"monitor '{monitor}' watches model '{watched.model}'"
        else:
            continue
        yield book.issue(
            "wrong-monitor",
            MODELS.ref(name),
            ("retrain", trigger, "monitors", index),
            culprit=monitor,
            message=message,
            fix=f"name a {trigger} monitor over a prediction of '{name}'",
        )


def _wrong_metric(book: Book, ref: str, path: Path, metric: str, model: ModelSpec) -> Issue:
    return book.issue(
        "wrong-metric",
        ref,
        path,
        culprit=metric,
        message=f"'{metric}' is not a metric of a {model.task} model",
        fix=f"use one of: {', '.join(metrics_of(model.task))}",
        at_key=MONITORS.holds(ref),
    )


def _comes(schedule: str) -> bool:
    fields = schedule.split()
    # Croniter throws dice for a field that starts with R, and asks for a seed where it starts with H.
    if len(fields) != _CRON_FIELDS or any(field[0] in "RrHh" for field in fields):
        return False
    try:
        croniter(schedule, _ANY_MOMENT).get_next(datetime)
    except (ValueError, KeyError, OverflowError):
        return False
    return True


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
