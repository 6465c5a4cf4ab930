"""Models of kind ``xgboost``: boosted trees, with the parameters that a book may set.

Names: https://xgboost.readthedocs.io/en/stable/parameter.html (version 3.2).
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from metaplatform.specs.entities.training import ModelSpec, TrainingSpec
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.fields.metrics import Task
from metaplatform.specs.unknown import readable
from metaplatform.text.nearest import nearest_name

_OWNED = {
    "seed": "set 'training.seed'",
    "random_state": "set 'training.seed'",
    "nthread": "take it out: threads are the deployment's",
    "n_jobs": "take it out: threads are the deployment's",
    "verbosity": "take it out: logs are the platform's",
    "num_class": "take it out: tasks are binary and regression",
    "num_boost_round": "set 'training.rounds'",
    "n_estimators": "set 'training.rounds'",
    "early_stopping_rounds": "set 'training.early_stopping_rounds'",
    "enable_categorical": "take it out: categories are encoded by the platform",
    "missing": "take it out: nulls are the platform's",
    "process_type": "take it out: each version is trained from nothing",
}
"""Parameter that the book may not set → what to do instead."""

_KNOWN = frozenset(
    {
        "alpha",
        "base_score",
        "booster",
        "colsample_bylevel",
        "colsample_bynode",
        "colsample_bytree",
        "device",
        "eta",
        "eval_metric",
        "extmem_single_page",
        "feature_selector",
        "gamma",
        "grow_policy",
        "huber_slope",
        "interaction_constraints",
        "lambda",
        "lambdarank_bias_norm",
        "learning_rate",
        "max_bin",
        "max_cached_hist_node",
        "max_cat_threshold",
        "max_cat_to_onehot",
        "max_delta_step",
        "max_depth",
        "max_leaves",
        "min_child_weight",
        "min_split_loss",
        "monotone_constraints",
        "normalize_type",
        "num_parallel_tree",
        "objective",
        "one_drop",
        "quantile_alpha",
        "rate_drop",
        "refresh_leaf",
        "reg_alpha",
        "reg_lambda",
        "sample_type",
        "sampling_method",
        "scale_pos_weight",
        "skip_drop",
        "subsample",
        "top_k",
        "tree_method",
        "tweedie_variance_power",
        "updater",
        "validate_parameters",
    }
)
"""Parameters a book may set."""

_OBJECTIVES: dict[Task, frozenset[str]] = {
    "binary": frozenset({"binary:logistic"}),
    "regression": frozenset(
        {
            "count:poisson",
            "reg:absoluteerror",
            "reg:gamma",
            "reg:pseudohubererror",
            "reg:quantileerror",
            "reg:squarederror",
            "reg:squaredlogerror",
            "reg:tweedie",
        }
    ),
}
"""Objectives whose score is what the task promises: a probability, or a number in the label's unit."""


class XGBoostTraining(TrainingSpec):
    """``rounds`` of boosting at most, fewer if ``early_stopping_rounds`` in a row gain nothing.

    ``parameters`` are XGBoost's own (``max_depth``, ``eta``, ...).
    """

    rounds: int = Field(default=300, ge=1, le=100_000)
    early_stopping_rounds: int = Field(default=20, ge=1)
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict)


class XGBoostModel(ModelSpec):
    """A model: XGBoost's boosted trees over a feature set."""

    kind: Literal["xgboost"]
    training: XGBoostTraining

    def faults(self) -> Iterator[Fault]:
        """Yield parameters that do not exist, that are set elsewhere, or that make another task of it."""
        yield from readable(self._wrong_parameters())
        yield from self._never_stops()

    def _wrong_parameters(self) -> Iterator[Fault]:
        for parameter, value in self.training.parameters.items():
            found = self._wrong_parameter(parameter, value)
            if found is not None:
                rule, message, fix = found
                near = nearest_name(parameter, _KNOWN) if rule == "unknown-parameter" else None
                path = ("training", "parameters", parameter)
                yield Fault(rule, path, parameter, message, fix, near, at_key=True)

    def _wrong_parameter(self, parameter: str, value: object) -> tuple[str, str, str] | None:
        if parameter in _OWNED:
            return "owned-parameter", f"'{parameter}' cannot be set here", _OWNED[parameter]
        if parameter not in _KNOWN:
            return (
                "unknown-parameter",
                f"XGBoost has no parameter '{parameter}'",
                "use one that XGBoost documents",
            )
        if parameter == "objective" and value not in _OBJECTIVES[self.task]:
            fix = f"leave it out, or use one of: {', '.join(sorted(_OBJECTIVES[self.task]))}"
            return "owned-parameter", f"'{value}' is not an objective of a {self.task} model", fix
        return None

    def _never_stops(self) -> Iterator[Fault]:
        rounds, patience = self.training.rounds, self.training.early_stopping_rounds
        if patience >= rounds:
            told = f"early_stopping_rounds ({patience}) is not less than rounds ({rounds}): training never stops early"
            fix = "allow more rounds, or stop after fewer"
            yield Fault("never-stops-early", ("training",), str(patience), told, fix, severity="warning")
