"""Features of an entity, point-in-time correct, and the labels beside them."""

from metaplatform.compute.features.building import build_features
from metaplatform.compute.features.labels import labels, mature, training_frame, training_order, usable_labels

__all__ = ["build_features", "labels", "mature", "training_frame", "training_order", "usable_labels"]
