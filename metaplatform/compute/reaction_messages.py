"""What a reaction tells people: how many rows, the top of them, of which partition and version; and what holds it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from metaplatform.chapters import PREDICTIONS
from metaplatform.compute.report import cell_text
from metaplatform.naming import asset_path, stable_id
from metaplatform.specs.entities.reactions import ReactionSpec
from metaplatform.specs.records.ledger import Action, Observation
from metaplatform.specs.records.messages import Message
from metaplatform.text.plurals import counted

AssetPath = Callable[[str], Sequence[str]]

TOP_ROWS = 10
"""So many rows stand in a message; the table of the reaction has them all."""


def action_message(
    reaction: ReactionSpec,
    action: Action,
    top: pa.Table,
    *,
    model: str,
    zone: str,
    asset_path: AssetPath = asset_path,
) -> Message:
    """Return the message of an action; ``top`` are its first rows, in the columns that people see.

    ``asset_path`` says where Dagster shows an asset.
    """
    where = f" in {action.partition}" if action.partition else ""
    rows = counted(action.rows, "row")
    said = (
        f"{rows} of {PREDICTIONS.ref(action.prediction)}{where}, scored by version {action.model_version} of {model}, "
        f"{'meets' if action.rows == 1 else 'meet'} `{reaction.when}` and had not been acted on before."
    )
    more = action.rows - top.num_rows
    table = "\n".join((*text_table(top, zone), *([f"and {more:,} more"] if more > 0 and top.num_rows else [])))
    return Message(
        message_id=action.action_id,
        subject=reaction.ref,
        title=f"{reaction.name}: {rows}{where}",
        body="\n\n".join(part for part in (reaction.description, said, table) if part),
        facts={
            "prediction": action.prediction,
            "partition": action.partition,
            "model": model,
            "model_version": action.model_version,
            "rows": action.rows,
            "condition": reaction.when,
        },
        links=_links(reaction, action.run_id, asset_path),
        created_at=action.acted_at,
    )


def hold_message(
    reaction: ReactionSpec, hold: Observation, rows: int, now: datetime, asset_path: AssetPath = asset_path
) -> Message:
    """Return the message that a failed profile holds a reaction back, and what lets it go on."""
    where = f" in {hold.partition}" if hold.partition else ""
    partition = f" --partition {hold.partition}" if hold.partition else ""
    prediction = reaction.prediction_ref
    body = (
        f"{counted(rows, 'row')} of {prediction}{where} would be acted on, but the profile of {hold.monitor} failed: "
        f"{hold.detail}. The scores may rest on faulty data, so {reaction.name} waits. It goes on when the partition "
        f"is scored again and its profile passes, or when `metaplatform approve {prediction}{partition}` lets it "
        f"pass. Later partitions that are sound are acted on meanwhile."
    )
    return Message(
        message_id=stable_id("held", reaction.name, hold.observation_id),
        subject=reaction.ref,
        title=f"{reaction.name} is held back{where}: {hold.detail}"[:200],
        body=body,
        facts={"prediction": reaction.prediction, "partition": hold.partition, "monitor": hold.monitor, "rows": rows},
        links=_links(reaction, hold.run_id, asset_path),
        created_at=now,
    )


def lifted_message(
    reaction: ReactionSpec,
    partition: str,
    rows: int,
    finding: str,
    now: datetime,
    asset_path: AssetPath = asset_path,
) -> Message:
    """Return the message that nothing holds a reaction back any more; ``finding`` did."""
    where = f" in {partition}" if partition else ""
    return Message(
        message_id=stable_id("lifted", reaction.name, finding),
        subject=reaction.ref,
        title=f"{reaction.name} is held back no longer{where}",
        body=f"Nothing holds {reaction.name} back{where} any more: {counted(rows, 'row')} to act on.",
        facts={"prediction": reaction.prediction, "partition": partition, "rows": rows},
        links={"reaction": _asset(asset_path(reaction.ref))},
        created_at=now,
    )


def text_table(rows: pa.Table, zone: str) -> Sequence[str]:
    """Return a table as lines of text with aligned columns; moments by the clock of ``zone``. No rows, no lines."""
    if not rows.num_rows:
        return []
    columns = [[name, *(_cell(value, zone) for value in rows[name].to_pylist())] for name in rows.column_names]
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    ]


def _cell(value: object, zone: str) -> str:
    return " ".join(cell_text(value, zone).split())


def _links(reaction: ReactionSpec, run_id: str, asset_path: AssetPath) -> Mapping[str, str]:
    made = {ref: _asset(asset_path(ref)) for ref in reaction.materialize}
    return {"reaction": _asset(asset_path(reaction.ref)), **made, "run": f"/runs/{run_id}"}


def _asset(path: Sequence[str]) -> str:
    return "/assets/" + "/".join(path)
