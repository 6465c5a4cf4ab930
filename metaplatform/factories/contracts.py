"""Reading a source is an asset check, ``contract``: rows are read, and held against the book."""

import dagster as dg

from metaplatform.chapters import SOURCES
from metaplatform.factories.asset_specs import asset_metadata
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.steps import RESOURCES, in_dagster, step_of
from metaplatform.naming import op_name
from metaplatform.specs.book.manifest import Manifest
from metaplatform.work.contracts import judge_contract

CONTRACT = "contract"


def contract_key(source: str, mount: Mount = STANDALONE) -> dg.AssetCheckKey:
    """Return the key of the check that reads a source."""
    return dg.AssetCheckKey(mount.key(SOURCES.ref(source)), CONTRACT)


def contract_op(ref: str) -> str:
    """Return the op that reads the source behind ``ref``."""
    return f"{op_name(ref)}__{CONTRACT}"


def contract_check(manifest: Manifest, name: str, mount: Mount = STANDALONE) -> dg.AssetChecksDefinition:
    """Return the check that reads a source once its rows have changed; it needs no run of the asset itself.

    It fails, and blocks what is downstream, where more rows are turned away than the book lets pass.
    """
    ref, read = SOURCES.ref(name), manifest.sources[name].read.capitalize()
    spec = dg.AssetCheckSpec(
        name=CONTRACT,
        asset=mount.key(ref),
        description=f"{read} of {ref} are read; of all rows at most the declared share goes to quarantine.",
        blocking=True,
        metadata=asset_metadata(manifest, ref),
    )

    @dg.multi_asset_check(
        specs=[spec],
        name=mount.named(contract_op(ref)),
        required_resource_keys=mount.all_named(*RESOURCES),
    )
    @with_signature
    def look(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        verdict = judge_contract(step_of(context, manifest, ref, mount, partitioned=False))
        return dg.AssetCheckResult(
            passed=verdict.passed,
            severity=dg.AssetCheckSeverity.ERROR if verdict.settled else dg.AssetCheckSeverity.WARN,
            description=verdict.detail,
            metadata=in_dagster(verdict.metadata),
        )

    return look
