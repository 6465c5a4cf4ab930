"""What a monitor found → observations that are kept, and check results that people see."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from metaplatform.compute.findings import Finding, as_markdown
from metaplatform.factories.steps import Step
from metaplatform.naming import stable_id
from metaplatform.specs.monitoring import DriftMonitor, PerformanceMonitor
from metaplatform.specs.records import Observation


@dataclass(frozen=True)
class Judged:
    """What a monitor found about ``rows`` rows scored by ``version``.

    ``verdicts`` gives one finding for each check of the monitor, ``details`` what it rests on, by the same
    check. ``links`` are metadata values for people.
    """

    verdicts: Mapping[str, Finding]
    details: Mapping[str, tuple[Finding, ...]]
    model: str
    version: int
    rows: int
    links: Mapping[str, Any]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return everything found; a finding without a column is the verdict of its check."""
        verdicts = (replace(finding, check=check, column="") for check, finding in self.verdicts.items())
        return (*verdicts, *(finding for found in self.details.values() for finding in found if finding.column))


def observations_of(step: Step, monitor: DriftMonitor | PerformanceMonitor, judged: Judged) -> list[Observation]:
    """Return every finding as an observation; the same run keeps each once."""
    partition = step.partition or ""
    return [
        Observation(
            observation_id=stable_id(step.run_id, monitor.name, partition, finding.check, finding.column),
            monitor=monitor.name,
            kind=monitor.kind,
            model=judged.model,
            model_version=judged.version,
            check=finding.check,
            column=finding.column,
            partition=partition,
            score=finding.score,
            threshold=finding.threshold,
            rows=judged.rows,
            status=finding.status,
            detail=finding.detail,
            observed_at=step.now,
            run_id=step.run_id,
        )
        for finding in judged.findings
    ]


def check_result(key: dg.AssetCheckKey, check: str, judged: Judged) -> dg.AssetCheckResult:
    """Return a check's verdict in Dagster's words; what could not be judged passes, and says so."""
    verdict = judged.verdicts[check]
    metadata: dict[str, Any] = {
        "status": verdict.status,
        "model_version": judged.version,
        "rows": judged.rows,
        **{name: float(value) for name in ("score", "threshold") if (value := getattr(verdict, name)) is not None},
        **judged.links,
    }
    if details := judged.details.get(check):
        metadata["findings"] = dg.MetadataValue.md(as_markdown(details))
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=verdict.status != "failed",
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.detail or None,
        metadata=metadata,
    )
