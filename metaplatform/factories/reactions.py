"""Reactions → assets that act on rows of their prediction, each row once, and say so."""

from typing import Any

import dagster as dg
import ibis
import pyarrow as pa

from metaplatform.compute.reaction_messages import TOP_ROWS, action_message
from metaplatform.compute.sql_columns import identifier, with_columns
from metaplatform.factories.acted_rows import ActedRows, acting
from metaplatform.factories.asset_specs import asset_spec
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.steps import Step, materialized, step_of
from metaplatform.naming import op_name, stable_id
from metaplatform.resources.clock import Clock
from metaplatform.resources.ledger import Ledger
from metaplatform.resources.match_records import MatchRecords
from metaplatform.resources.notifier import Notifier
from metaplatform.resources.session import Session
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.inference import SCORE_COLUMNS
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.plurals import counted
from metaplatform.specs.reactions import ReactionSpec
from metaplatform.specs.records import Action

_RANK = "_rank"


def reaction_asset(manifest: Manifest, name: str) -> dg.AssetsDefinition:
    """Return the asset of a reaction: it runs behind what the reaction materializes, acts, and tells."""
    ref = f"reactions.{name}"

    @dg.multi_asset(specs=[asset_spec(manifest, ref)], name=op_name(ref))
    @with_signature
    def react(
        context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock, notifier: Notifier
    ) -> dg.MaterializeResult:
        step = step_of(context, manifest, ref, clock)
        return materialized(step, act(step, manifest.reactions[name], warehouse, notifier))

    return react


def act(step: Step, reaction: ReactionSpec, warehouse: Warehouse, notifier: Notifier) -> dict[str, Any]:
    """Act on the partition's rows that meet the condition and were never acted on; return what was done.

    The rows are kept in one commit, then told of. What a killed run had kept and not told is told by the next one.
    """
    records = MatchRecords(warehouse.root_path)
    asked = records.read(reaction.name).get(step.partition or "")
    with acting(warehouse, reaction.name):
        with warehouse.session() as session:
            rows = ActedRows(session, warehouse, reaction, step)
            found = rows.open_count()
            if found >= reaction.min_rows:
                rows.keep(_action_id(step, reaction, len(rows.actions())), step.now)
        with warehouse.session() as session:
            actions = _tell(session, step, reaction, warehouse, notifier)
    if asked is not None:
        records.settle(reaction.name, step.partition or "", asked.run_id)
    if not actions:
        new = counted(found, "row")
        return {"acted": False, "reason": f"{new} not acted on yet, {reaction.min_rows} needed"}
    return {
        "acted": True,
        "dagster/row_count": sum(action.rows for action in actions),
        "partition": step.partition or "",
        "model_version": actions[-1].model_version,
        "condition": reaction.when,
        "action_id": actions[-1].action_id,
    }


def _tell(
    session: Session, step: Step, reaction: ReactionSpec, warehouse: Warehouse, notifier: Notifier
) -> list[Action]:
    """Tell of each action on the partition that is not in the ledger yet, and keep it there; return them."""
    rows, ledger = ActedRows(session, warehouse, reaction, step), Ledger(warehouse)
    model = step.manifest.models[step.manifest.predictions[reaction.prediction].model].name
    told = []
    for action_id, (count, version) in rows.actions().items():
        if ledger.read(Action, action_id=action_id):
            continue
        action = Action(
            action_id=action_id,
            reaction=reaction.name,
            prediction=reaction.prediction,
            partition=step.partition or "",
            model_version=version,
            rows=count,
            materialized=", ".join(reaction.materialize),
            notified=", ".join(notification.kind for notification in reaction.notify),
            acted_at=step.now,
            run_id=step.run_id,
        )
        top = _top(session, step.manifest, reaction, rows.of(action_id))
        message = action_message(reaction, action, top, model=model, zone=step.manifest.zone(step.ref))
        notifier.tell(message, reaction.notify)
        ledger.append(action)
        told.append(action)
    return told


def _top(session: Session, manifest: Manifest, reaction: ReactionSpec, rows: ibis.Table) -> pa.Table:
    """Return the rows of an action that rank first, in the columns that people shall see."""
    prediction = manifest.predictions[reaction.prediction]
    score = SCORE_COLUMNS[manifest.models[prediction.model].task]
    identity = manifest.identity_of(reaction.prediction)
    shown = reaction.columns or tuple(dict.fromkeys((*identity, *prediction.keep, score)))
    owner = f"reactions.{reaction.name}"
    ranked = with_columns(rows, {_RANK: reaction.rank_by or identifier(score).sql("duckdb")}, owner=owner)
    first = ranked.order_by([ranked[_RANK].desc(nulls_first=False), *(ranked[name] for name in identity)])
    return session.reader(first.limit(TOP_ROWS).select(*shown), owner=owner).read_all()


def _action_id(step: Step, reaction: ReactionSpec, before: int) -> str:
    """Return the id of the next action on a partition on which there were some ``before``."""
    return stable_id("action on rows", reaction.name, step.partition or "", before + 1)
