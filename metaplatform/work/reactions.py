"""Reactions: act on rows of their prediction, each row once, and say so."""

import ibis
import pyarrow as pa

from metaplatform.compute.reaction_messages import TOP_ROWS, action_message
from metaplatform.compute.sql_columns import identifier, with_columns
from metaplatform.naming import stable_id
from metaplatform.resources.engine.session import Session
from metaplatform.resources.storage.match_records import MatchRecords
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.inference import SCORE_COLUMNS
from metaplatform.specs.entities.reactions import ReactionSpec
from metaplatform.specs.records.ledger import Action
from metaplatform.sql.dialect import sql_text
from metaplatform.text.plurals import counted
from metaplatform.work.acted_rows import ActedRows, acting
from metaplatform.work.steps import Made, Step

_RANK = "_rank"


def act(step: Step) -> Made:
    """Act on the partition's rows that meet the condition and were never acted on.

    The rows are kept in one commit, then told of. What a killed run had kept and not told is told by the next one.
    """
    reaction, warehouse = step.manifest.reactions[step.name], step.warehouse
    records = MatchRecords(warehouse.root_path)
    asked = records.read(reaction.name).get(step.partition or "")
    with acting(warehouse, reaction.name):
        with warehouse.session() as session:
            rows = ActedRows(session, reaction, step)
            found = rows.open_count()
            if found >= reaction.min_rows:
                rows.keep(_action_id(step, reaction, len(rows.actions())), step.now)
        with warehouse.session() as session:
            actions = _tell(session, step, reaction)
    if asked is not None:
        records.settle(reaction.name, step.partition or "", asked.run_id)
    if not actions:
        new = counted(found, "row")
        return Made({"acted": False, "reason": f"{new} not acted on yet, {reaction.min_rows} needed"})
    facts = {
        "acted": True,
        "dagster/row_count": sum(action.rows for action in actions),
        "partition": step.partition or "",
        "model_version": actions[-1].model_version,
        "condition": reaction.when,
        "action_id": actions[-1].action_id,
    }
    return Made(facts)


def _tell(session: Session, step: Step, reaction: ReactionSpec) -> list[Action]:
    """Tell of each action on the partition that is not in the ledger yet, and keep it there; return them."""
    rows, ledger = ActedRows(session, reaction, step), step.ledger
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
        message = action_message(
            reaction, action, top, model=model, zone=step.manifest.zone(step.ref), asset_path=step.asset_path
        )
        step.notifier.tell(message, reaction.notify)
        ledger.append(action)
        told.append(action)
    return told


def _top(session: Session, manifest: Manifest, reaction: ReactionSpec, rows: ibis.Table) -> pa.Table:
    """Return the rows of an action that rank first, in the columns that people see."""
    prediction = manifest.predictions[reaction.prediction]
    score = SCORE_COLUMNS[manifest.models[prediction.model].task]
    identity = manifest.identity_of(reaction.prediction)
    shown = reaction.columns or tuple(dict.fromkeys((*identity, *prediction.keep, score)))
    owner = reaction.ref
    ranked = with_columns(rows, {_RANK: reaction.rank_by or sql_text(identifier(score))}, owner=owner)
    first = ranked.order_by([ranked[_RANK].desc(nulls_first=False), *(ranked[name] for name in identity)])
    return session.stream(first.limit(TOP_ROWS).select(*shown), owner=owner).read_all()


def _action_id(step: Step, reaction: ReactionSpec, before: int) -> str:
    """Return the id of the next action on a partition on which there were some ``before``."""
    return stable_id("action on rows", reaction.name, step.partition or "", before + 1)
