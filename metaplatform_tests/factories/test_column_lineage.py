"""Which columns a feature comes of, as Dagster shows it."""

from metaplatform.factories.column_lineage import column_lineage
from metaplatform.specs.entities.feature_sets import FeatureSetSpec


def lineage(*blocks: dict[str, object]) -> dict[str, list[tuple[str, str]]]:
    spec = FeatureSetSpec.model_validate({"name": "f", "spine": "raw.orders", "features": list(blocks)})
    found = column_lineage(spec).deps_by_column
    return {name: [(dep.asset_key.to_user_string(), dep.column_name) for dep in deps] for name, deps in found.items()}


def test_a_feature_of_two_features_of_one_column_names_the_column_once() -> None:
    found = lineage(
        {"kind": "expression", "columns": {"low": "amount - 1", "high": "amount + 1"}},
        {"kind": "expression", "columns": {"ratio": "low / high"}},
    )
    assert found["ratio"] == [("raw/orders", "amount")]


def test_a_feature_names_the_spines_columns_beside_what_the_features_above_come_of() -> None:
    found = lineage(
        {"kind": "lookup", "table": "raw.customers", "on": {"customer": "id"}, "columns": {"since": "year"}},
        {"kind": "expression", "columns": {"age": "year - since"}},
    )
    assert sorted(found["age"]) == [("raw/customers", "year"), ("raw/orders", "year")]
