"""Learners: the work of each kind of model, a module each."""

from metaplatform.compute.learners import xgboost
from metaplatform.compute.learners.learning import Learner
from metaplatform.extensions import WorkByKind, extensions

LEARNERS: WorkByKind[Learner] = WorkByKind("models", {"xgboost": xgboost})
"""What learns and scores, by the kind of the model."""


def requirements_of(kind: str) -> tuple[str, ...]:
    """Return the distributions that scoring needs beside the platform's own."""
    added = extensions("models", work=True).get(kind)
    own = (added.point.dist.name,) if added and added.point.dist else ()
    return (*own, *LEARNERS.of(kind).REQUIREMENTS)
