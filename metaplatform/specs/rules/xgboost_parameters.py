"""XGBoost's training parameters by who sets them.

Names: https://xgboost.readthedocs.io/en/stable/parameter.html (version 3.2).
"""

OWNED = {
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

KNOWN = frozenset(
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

OBJECTIVES = {
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
