"""Limits: numbers and conditions that can be met, and lists that say each thing once."""

from collections.abc import Iterator, Mapping
from typing import Literal

from sqlglot import exp

from metaplatform.chapters import MODELS, MONITORS, REACTIONS
from metaplatform.errors import Issue
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.entities.inference import SCORE_COLUMNS
from metaplatform.specs.entities.monitoring import MetricLimit
from metaplatform.specs.entities.training import VOTES
from metaplatform.specs.fields.base import Spec
from metaplatform.specs.fields.metrics import METRICS
from metaplatform.specs.fields.references import Path
from metaplatform.specs.rules.book import Book
from metaplatform.specs.rules.sql_texts import facts_of
from metaplatform.specs.unknown import readable
from metaplatform.sql.dialect import sql_text
from metaplatform.sql.expressions import shared_expression

_SCORE = SCORE_COLUMNS["binary"]
_Comparison = type[exp.Expr]
_MIRRORED: Mapping[_Comparison, _Comparison] = {
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
    exp.EQ: exp.EQ,
}
_LISTS: tuple[tuple[str, ...], ...] = (
    *((key,) for key in ("owners", "after", "features", "exclude", "tables", "materialize", "null_values")),
    *(("retrain", trigger, "monitors") for trigger in VOTES),
    ("outcomes", "columns"),
)


def impossible_limits(book: Book) -> Iterator[Issue]:
    """Yield limits that no value of the metric meets, or that none breaks."""
    for name, monitor in book.manifest.monitors.items():
        for metric, limit in monitor.limits.items():
            for key, bound, message, severity in readable(_limit_faults(metric, limit)):
                yield book.issue(
                    "impossible-limit",
                    MONITORS.ref(name),
                    ("metrics", metric, key),
                    culprit=f"{bound:g}",
                    message=message,
                    fix=f"give a bound that '{metric}' can pass and fail",
                    severity=severity,
                )
    for name, model in book.manifest.models.items():
        facts = METRICS[model.promotion.metric]
        low, high = facts.low, facts.high
        if model.promotion.min_gain >= high - low:
            yield book.issue(
                "impossible-limit",
                MODELS.ref(name),
                ("promotion", "min_gain"),
                culprit=f"{model.promotion.min_gain:g}",
                message=f"'{model.promotion.metric}' lies in {low:g}..{high:g}: no challenger can gain so much",
                fix="give the gain in the metric's own unit, such as 0.005",
            )


def impossible_conditions(book: Book) -> Iterator[Issue]:
    """Yield reactions to probabilities that there are not, and warn of conditions that always hold."""
    for name, reaction in book.manifest.reactions.items():
        model = book.model_of(reaction.prediction)
        if model is None or model.task != "binary" or facts_of(reaction.when).error is not None:
            continue
        tree = shared_expression(reaction.when)
        needed = {id(part) for part in _conjuncts(tree)}
        for node in tree.find_all(*_MIRRORED):
            holds = _holds(node)
            if holds is None:
                continue
            severity: Literal["error", "warning"] = "error" if not holds and id(node) in needed else "warning"
            yield book.issue(
                "impossible-condition",
                REACTIONS.ref(name),
                ("when",),
                culprit=sql_text(node),
                message=f"a probability lies in 0..1: this {'always' if holds else 'never'} holds",
                fix="write a share, as in `probability > 0.6`",
                severity=severity,
            )


def repeated_items(book: Book) -> Iterator[Issue]:
    """Warn of lists that name one thing twice, and of features excluded that are not taken anyway."""
    for ref, entity in book.entities():
        for path, items in _lists(entity):
            seen: set[str] = set()
            for index, item in enumerate(items):
                if item in seen:
                    yield _repeated(book, ref, (*path, index), item, f"'{item}' is named twice")
                seen.add(item)
    for name, model in book.manifest.models.items():
        feature_set = book.feature_set(model)
        for index, feature in enumerate(model.exclude):
            if (
                model.features
                and feature not in model.features
                and feature_set
                and feature in feature_set.feature_names
            ):
                message = f"'{feature}' is not among 'features' anyway"
                yield _repeated(book, MODELS.ref(name), ("exclude", index), feature, message)


def _limit_faults(metric: str, limit: MetricLimit) -> Iterator[tuple[str, float, str, Literal["error", "warning"]]]:
    facts = METRICS[metric]
    low, high = facts.low, facts.high
    span = f"'{metric}' lies in {low:g}..{high:g}"
    if limit.min is not None and limit.min > high:
        yield "min", limit.min, f"{span}: it never reaches {limit.min:g}", "error"
    if limit.max is not None and limit.max < low:
        yield "max", limit.max, f"{span}: it is never as low as {limit.max:g}", "error"
    if limit.min is not None and limit.max is not None and limit.min > limit.max:
        yield "min", limit.min, f"min ({limit.min:g}) is over max ({limit.max:g}): nothing passes", "error"
    if limit.min is not None and limit.min <= low and facts.higher_is_better:
        yield "min", limit.min, f"{span}: it is never under {limit.min:g}", "warning"
    if limit.max is not None and limit.max >= high:
        yield "max", limit.max, f"{span}: it is never over {limit.max:g}", "warning"
    if limit.max_loss is not None and limit.max_loss >= high - low:
        yield "max_loss", limit.max_loss, f"{span}: it cannot lose {limit.max_loss:g}", "warning"


def _conjuncts(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the conditions that must all hold for the whole to hold."""
    pending = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, exp.And):
            pending.extend((part.left, part.right))
        elif isinstance(part, exp.Paren):
            pending.append(part.this)
        else:
            yield part


def _holds(node: exp.Expr) -> bool | None:
    """Tell whether a comparison of the probability with a constant always or never holds; None if it depends."""
    left, right, kind = node.this, node.expression, type(node)
    if _number(left) is not None:
        left, right, kind = right, left, _MIRRORED[kind]
    bound = _number(right)
    if bound is None or not isinstance(left, exp.Column) or left.name.lower() != _SCORE:
        return None
    if kind is exp.EQ:
        return None if 0 <= bound <= 1 else False
    never = {exp.GT: bound >= 1, exp.GTE: bound > 1, exp.LT: bound <= 0, exp.LTE: bound < 0}
    always = {exp.GT: bound < 0, exp.GTE: bound <= 0, exp.LT: bound > 1, exp.LTE: bound >= 1}
    found: Mapping[_Comparison, tuple[bool, bool]] = {each: (never[each], always[each]) for each in never}
    return found[kind][1] if any(found[kind]) else None


def _number(node: exp.Expr) -> float | None:
    sign = 1
    while isinstance(node, exp.Neg | exp.Paren):
        sign, node = (-sign if isinstance(node, exp.Neg) else sign), node.this
    if not isinstance(node, exp.Literal) or node.is_string:
        return None
    try:
        return sign * float(node.name)
    except ValueError:
        return None


def _lists(entity: Entity) -> Iterator[tuple[Path, tuple[str, ...]]]:
    for path in _LISTS:
        found: object = entity
        for key in path:
            # Asked for what it does not have, a model of pydantic takes its time; what is unknown is not one.
            found = vars(found).get(key) if isinstance(found, Spec) else None
        if isinstance(found, tuple):
            yield path, tuple(item for item in found if isinstance(item, str))


def _repeated(book: Book, ref: str, path: Path, item: str, message: str) -> Issue:
    return book.issue("repeated", ref, path, culprit=item, message=message, fix="take it out", severity="warning")
