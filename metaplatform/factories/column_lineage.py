"""Which columns each feature of a feature set comes from, in Dagster's words."""

import dagster as dg

from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.sql.expressions import referenced_columns


def column_lineage(spec: FeatureSetSpec, mount: Mount = STANDALONE) -> dg.TableColumnLineage:
    """Return which columns of which tables each feature is computed from."""
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for block in spec.features:
        table = block.joined or spec.spine
        for feature, expression in block.columns.items():
            read: dict[tuple[str, ...], dg.TableColumnDep] = {}
            for column in referenced_columns(expression):
                above = [] if block.joined else deps.get(column, [])
                for dep in above or [dg.TableColumnDep(mount.key(table), column)]:
                    # Two features above may come from one column, which Dagster takes once.
                    read[(*dep.asset_key.path, dep.column_name)] = dep
            deps[feature] = list(read.values())
    return dg.TableColumnLineage(deps_by_column=deps)
