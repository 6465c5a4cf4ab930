"""What became of a model, for people and for machines: its versions, and the decisions that led to them."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from textwrap import fill
from typing import Any

from rich.console import Console

from metaplatform.resources.models.model_bundle import ModelBundle
from metaplatform.resources.models.model_version import ModelVersion
from metaplatform.specs.records.ledger import Decision, Promotion
from metaplatform.text.moments import shown
from metaplatform.text.numbers import metric_text
from metaplatform.text.plurals import counted

_INDENT = " " * 4


@dataclass(frozen=True)
class Episode:
    """A decision and the verdict on the training that answered it; one of both may be missing."""

    decision: Decision | None
    promotion: Promotion | None

    @property
    def moment(self) -> datetime:
        """Return when it began."""
        first = self.decision or self.promotion
        assert first is not None  # noqa: S101  # one of both is there
        return first.decided_at

    @property
    def records(self) -> tuple[Decision | Promotion, ...]:
        """Return what is kept of it, in order."""
        return tuple(kept for kept in (self.decision, self.promotion) if kept is not None)


def episodes(decisions: Sequence[Decision], promotions: Sequence[Promotion]) -> list[Episode]:
    """Return what was decided, each with its verdict, in the order in which it happened."""
    verdicts = {promotion.promotion_id: promotion for promotion in promotions}
    found = [Episode(decision, verdicts.pop(decision.decision_id, None)) for decision in decisions]
    return sorted([*found, *(Episode(None, left) for left in verdicts.values())], key=_order)


def _order(episode: Episode) -> tuple[datetime, int, int]:
    decision, promotion = episode.decision, episode.promotion
    # What has no number is of an earlier release, or was added by the training that a decision led to.
    number = decision.number if decision and decision.number is not None else sys.maxsize
    return episode.moment, number, promotion.challenger_version if promotion else 0


def tell_decisions(found: Sequence[Episode], *, zone: str, as_json: bool) -> None:
    """Print decisions, oldest first: when and why asked, what was seen, what was done, what came of it."""
    console = _console()
    if as_json:
        console.print_json(json.dumps([asdict(kept) for each in found for kept in each.records], default=str))
    elif not found:
        console.print("nothing yet: no decision has been made")
    for episode in () if as_json else found:
        _block(console, _heading(episode, zone), _lines(episode))


def _heading(episode: Episode, zone: str) -> str:
    (first, *_) = episode.records
    decision = episode.decision
    if decision is None:
        what = ": trained by hand"
    else:
        about = "" if decision.champion_version is None else f" v{decision.champion_version}"
        what = f"{about}: {decision.outcome}" + (f" ({decision.trigger})" if decision.trigger else "")
    return f"{shown(first.decided_at, zone)}  {first.model}{what}"


def _lines(episode: Episode) -> Iterator[tuple[str, str]]:
    decision, promotion = episode.decision, episode.promotion
    if decision is not None:
        yield "seen", decision.seen
        if decision.held_by:
            yield "done", f"nothing: {decision.held_by}"
    if promotion is not None:
        yield "done", f"version {promotion.challenger_version} was trained"
        yield "outcome", verdict(promotion)
    elif decision is not None and decision.outcome == "retrain":
        yield "outcome", "no verdict yet: its training has not ended, or came to nothing"


def verdict(promotion: Promotion) -> str:
    """Return what became of a challenger, in a sentence."""
    before, after = promotion.champion_score, promotion.challenger_score
    scores = "" if after is None else f"{promotion.metric} " + ("" if before is None else f"{metric_text(before)} → ")
    scores += "" if after is None else f"{metric_text(after)} on {counted(promotion.rows, 'row')}"
    became = "was promoted" if promotion.outcome == "promoted" else "was not promoted"
    return f"version {promotion.challenger_version} {became}: " + "; ".join(filter(None, (scores, promotion.reasons)))


def tell_versions(
    versions: Sequence[ModelVersion],
    bundles: Mapping[int, ModelBundle],
    promotions: Sequence[Promotion],
    *,
    zone: str,
    as_json: bool,
    outdated: Mapping[int, Sequence[str]],
) -> None:
    """Print model versions, oldest first: what each learnt from, its scores, and when and why it was promoted.

    ``outdated`` gives the features of a version that the book defines otherwise by now.
    """
    verdicts = {promotion.challenger_version: promotion for promotion in promotions}
    console = _console()
    if as_json:
        rows = [
            _fields(found, bundles[found.version], verdicts.get(found.version))
            | {"learnt_another_definition_of": list(outdated.get(found.version, ()))}
            for found in versions
        ]
        console.print_json(json.dumps(rows, default=str))
    elif not versions:
        console.print("nothing yet: no version has been trained")
    for found in () if as_json else versions:
        bundle, judged = bundles[found.version], verdicts.get(found.version)
        names = f" ({', '.join(found.aliases)})" if found.aliases else ""
        lines = [
            ("learnt", f"from {shown(found.trained_from, zone)} to {shown(found.trained_until, zone)}"),
            ("rows", f"{bundle.lineage.training_rows:,}"),
            ("scores", _scores(bundle)),
            *_outdated(outdated.get(found.version, ())),
            ("judged", f"{shown(judged.decided_at, zone)}: {verdict(judged)}" if judged else "no verdict is kept"),
        ]
        _block(console, f"version {found.version}{names}", lines)


def _outdated(features: Sequence[str]) -> Iterator[tuple[str, str]]:
    if features:
        yield "outdated", f"it learnt another definition of {', '.join(features)} than the book has: it scores nothing"


def _scores(bundle: ModelBundle) -> str:
    scores = ", ".join(f"{name} {metric_text(value)}" for name, value in bundle.metrics.items() if value is not None)
    return f"{scores} on {counted(bundle.lineage.holdout_rows, 'row')} of the holdout" if scores else "none"


def _fields(found: ModelVersion, bundle: ModelBundle, judged: Promotion | None) -> dict[str, Any]:
    return {
        "version": found.version,
        "aliases": list(found.aliases),
        "trained_from": found.trained_from.isoformat(),
        "trained_until": found.trained_until.isoformat(),
        "cut": found.cut.isoformat(),
        "training_rows": bundle.lineage.training_rows,
        "holdout_rows": bundle.lineage.holdout_rows,
        "metrics": dict(bundle.metrics),
        "promotion": asdict(judged) if judged else None,
    }


def _block(console: Console, heading: str, lines: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> None:
    console.print(heading, markup=False, highlight=False, style="bold", soft_wrap=True)
    for name, text in lines:
        told = fill(f"{name}: {text}", console.width, initial_indent=_INDENT, subsequent_indent=_INDENT)
        console.print(told, markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    # No block is wider than a terminal of old; a file or a pipe has the same lines.
    console = Console()
    return console if console.is_terminal else Console(width=80)
