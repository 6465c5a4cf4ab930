"""Reactions → assets that notify, once for each scored partition and version."""

from typing import Any

import dagster as dg
import ibis

from metaplatform.compute.policy.reacting import action_id
from metaplatform.compute.sql_columns import where
from metaplatform.factories.asset_specs import asset_spec
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.steps import Step, step_of
from metaplatform.naming import op_name
from metaplatform.resources.clock import Clock
from metaplatform.resources.ledger import Ledger
from metaplatform.resources.notifier import Notifier
from metaplatform.resources.session import Session
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.messages import Message
from metaplatform.specs.reactions import ReactionSpec
from metaplatform.specs.records import Action


def reaction_asset(manifest: Manifest, name: str) -> dg.AssetsDefinition:
    """Return the asset of a reaction: it runs behind what the reaction materializes, and notifies."""
    ref = f"reactions.{name}"

    @dg.multi_asset(specs=[asset_spec(manifest, ref)], name=op_name(ref))
    @with_signature
    def react(
        context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock, notifier: Notifier
    ) -> dg.MaterializeResult:
        step = step_of(context, manifest, ref, clock)
        return dg.MaterializeResult(metadata=act(step, manifest.reactions[name], warehouse, notifier))

    return react


def act(step: Step, reaction: ReactionSpec, warehouse: Warehouse, notifier: Notifier) -> dict[str, Any]:
    """Notify of the partition's rows that meet the condition and keep the action; say so if already done."""
    prediction = f"predictions.{reaction.prediction}"
    version = warehouse.partitions(prediction)[step.partition or ""].model_version
    key = action_id(reaction.name, step.partition or "", version or 0)
    ledger = Ledger(warehouse)
    if ledger.read(Action, action_id=key):
        return {"acted": False, "reason": "already acted for this partition and version", "action_id": key}
    with warehouse.session() as session:
        rows = matching_rows(session, reaction, step.partition)
    title = f"{reaction.name}: {rows} rows" + (f" in {step.partition}" if step.partition else "")
    facts = {"partition": step.partition or "", "model_version": version, "rows": rows, "condition": reaction.when}
    told = f"{title} by version {version} meet: {reaction.when}"
    body = f"{reaction.description}\n\n{told}" if reaction.description else told
    message = Message(message_id=key, subject=step.ref, title=title, body=body, facts=facts, created_at=step.now)
    notifier.tell(message, reaction.notify)
    action = Action(
        action_id=key,
        reaction=reaction.name,
        prediction=reaction.prediction,
        partition=step.partition or "",
        model_version=version or 0,
        rows=rows,
        materialized=", ".join(reaction.materialize),
        notified=", ".join(notification.kind for notification in reaction.notify),
        acted_at=step.now,
        run_id=step.run_id,
    )
    ledger.append(action)
    return {"acted": True, "action_id": key, **facts}


def matching_rows(session: Session, reaction: ReactionSpec, partition: str | None) -> int:
    """Return how many prediction rows (of the partition) meet the reaction's condition."""
    table: ibis.Table = session.table(f"predictions.{reaction.prediction}")
    rows = table.filter(table["_partition"] == partition) if partition else table
    matching = where(rows, reaction.when)
    return int(session.reader(matching.aggregate(rows=matching.count())).read_all()["rows"][0].as_py())
