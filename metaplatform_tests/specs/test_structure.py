"""One entity against its spec: each fault at its own key."""

import pytest

from metaplatform.specs.structure import build_entity


@pytest.mark.parametrize("value", [None, {"min": 1}, {"mni": 1}])
def test_a_key_that_is_none_of_those_its_mapping_allows_is_told_with_the_nearest(value: object) -> None:
    body = {"kind": "performance", "prediction": "p", "metrics": {"roc_acu": value}}
    entity, faults = build_entity("monitors", "m", body)
    assert entity is None
    first = faults[0]
    assert (first.rule, first.path, first.culprit, first.nearest) == (
        "unknown-value",
        ("metrics", "roc_acu"),
        "roc_acu",
        "roc_auc",
    )
