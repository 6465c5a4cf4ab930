"""Makes room for a replay below a storage root: a live one is never taken, one of replays only when asked for."""

import dagster as dg

from metaplatform import places
from metaplatform.errors import StorageError
from metaplatform.execution import deployment_instance
from metaplatform.replay.standing import Standing, standing_below
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.root_use import contents_of, mark_root, remove_contents, use_of
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.records.ledger import Arrival
from metaplatform.work.steps import REPLAY_TAGS


def make_room(deployment: Deployment, *, fresh: bool, resume: bool = False) -> Standing:
    """Mark the root as one of replays; with ``fresh``, remove what earlier replays made there.

    Returns where to go on: with ``resume`` where the replay there has come to, otherwise at the beginning. To be called
    by whoever is alone at work there.

    Raises:
        StorageError: if the root is live, or holds data and neither is asked for, or nothing that could be resumed.
    """
    root, present = deployment.root, contents_of(deployment.root)
    use = use_of(root) or ("live" if present and not _made_by_replays(deployment) else "replay")
    if use == "live":
        raise StorageError(
            owner=str(root),
            culprit="it is live: what the loop has made there, no replay can make again",
            fix=f"name another --root; `metaplatform root remove {root}` gives this one up",
        )
    if resume:
        mark_root(root, "replay")
        return standing_below(root)
    if present and not fresh:
        raise StorageError(
            owner=str(root),
            culprit="there already is " + ", ".join(present),
            fix="run with --resume to go on from there, with --fresh to remove it and start clean, or name another "
            "--root",
        )
    remove_contents(root)
    mark_root(root, "replay")
    return Standing()


def _made_by_replays(deployment: Deployment) -> bool:
    """Tell whether replays, and nothing else, made what is below a root of the time before roots were marked."""
    root = deployment.root
    if any((root / name).exists() for name in places.LEFT_BY_SERVING) or not deployment.dagster_home.exists():
        return False
    arrivals = Ledger(Warehouse(root=str(root))).read(Arrival)
    with deployment_instance(deployment, replaying=True) as instance:
        replayed = sum(instance.get_runs_count(dg.RunsFilter(tags={tag: "true"})) for tag in REPLAY_TAGS)
        known = all(instance.has_run(run) for run in {arrival.run_id for arrival in arrivals})
        return known and replayed == instance.get_runs_count()
