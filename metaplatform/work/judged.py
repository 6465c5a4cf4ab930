"""What a monitor found, and the observations that are kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from metaplatform.compute.findings import Finding
from metaplatform.naming import stable_id
from metaplatform.specs.entities.monitoring import Monitor
from metaplatform.specs.records.ledger import Observation
from metaplatform.work.steps import Metadata, Step


@dataclass(frozen=True)
class Judged:
    """What a monitor found about ``rows`` rows scored by ``version``.

    ``verdicts`` gives one finding for each check of the monitor, ``details`` what it rests on, by the same
    check. ``links`` are metadata for people.
    """

    verdicts: Mapping[str, Finding]
    details: Mapping[str, tuple[Finding, ...]]
    model: str
    version: int
    rows: int
    links: Metadata

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return everything found; a finding without a column is the verdict of its check."""
        verdicts = (replace(finding, check=check, column="") for check, finding in self.verdicts.items())
        return (*verdicts, *(finding for found in self.details.values() for finding in found if finding.column))


def observations_of(step: Step, monitor: Monitor, judged: Judged) -> list[Observation]:
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
