"""Feature sets → assets."""

import dagster as dg

from metaplatform.compute.features import build_features
from metaplatform.factories.asset_specs import asset_key, asset_spec
from metaplatform.factories.builds import kept_as_built
from metaplatform.factories.keys import check_key
from metaplatform.factories.label_counting import keep_label_counts
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.steps import in_partition, materialized, step_of, table_metadata
from metaplatform.naming import op_name
from metaplatform.resources.clock import Clock
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.expressions import referenced_columns
from metaplatform.specs.features import FeatureSetSpec, JoinedFeatures
from metaplatform.specs.manifest import Manifest


def feature_set_asset(manifest: Manifest, name: str) -> dg.AssetsDefinition:
    """Return the asset of a feature set."""
    ref = f"features.{name}"
    spec = manifest.feature_sets[name]
    lineage = column_lineage(spec)

    @dg.multi_asset(specs=[asset_spec(manifest, ref)], name=op_name(ref))
    @with_signature
    def features(context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock) -> dg.MaterializeResult:
        step = step_of(context, manifest, ref, clock)
        with kept_as_built(step, warehouse) as made, warehouse.session() as session:
            tables = {table: session.table(table) for table in spec.tables}
            spine = in_partition(tables[spec.spine], step.partition)
            check_key(session, spine, manifest.timed_table(spec.spine).key, owner=spec.spine)
            frame = build_features(spec, manifest=manifest, tables=tables, window=step.window)
            written = warehouse.replace(
                ref, session.reader(frame, owner=ref), partition=step.partition, metadata=step.commit
            )
            keep_label_counts(session, step, name, warehouse)
        metadata = {**table_metadata(warehouse, ref, written), "dagster/column_lineage": lineage}
        return materialized(step, metadata, made.content)

    return features


def column_lineage(spec: FeatureSetSpec) -> dg.TableColumnLineage:
    """Return which columns of which tables each feature is computed from."""
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for block in spec.features:
        joined = isinstance(block, JoinedFeatures)
        table = block.table if isinstance(block, JoinedFeatures) else spec.spine
        for feature, expression in block.columns.items():
            read: dict[tuple[str, ...], dg.TableColumnDep] = {}
            for column in referenced_columns(expression):
                above = [] if joined else deps.get(column, [])
                for dep in above or [dg.TableColumnDep(asset_key(table), column)]:
                    # Two features above may come of one column, which Dagster takes once.
                    read[(*dep.asset_key.path, dep.column_name)] = dep
            deps[feature] = list(read.values())
    return dg.TableColumnLineage(deps_by_column=deps)
