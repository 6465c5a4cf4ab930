"""Features of an entity, point-in-time correct, and the labels beside them."""

from metaplatform.compute.features.building import build_features, duplicated_keys
from metaplatform.compute.features.labels import labels, mature, training_frame, training_order, usable_labels

__all__ = ["build_features", "duplicated_keys", "labels", "mature", "training_frame", "training_order", "usable_labels"]
