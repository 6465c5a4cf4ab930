"""Small books of the second version: files by name, written where a test wants them."""

from collections.abc import Mapping
from pathlib import Path

from metaplatform.errors import Issue
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import read_book

VERSION = "spec_version: 2\n"
SHOP = """\
sources:
  orders:
    kind: csv
    path: data/orders.csv
    columns: {order_id: bigint, ordered_at: timestamp, amount: double, channel: varchar, returned: boolean}
    key: [order_id]
    event_timestamp: ordered_at
    outcomes: {columns: [returned], delay: 1 day}
feature_sets:
  order_features:
    spine: raw.orders
    features:
      - kind: expression
        columns: {price: amount, sold_by: channel}
models:
  returns:
    kind: xgboost
    task: binary
    feature_set: order_features
    target: {sql: returned}
    training: {window: 6 months, holdout: 2 weeks}
    promotion: {metric: roc_auc}
predictions:
  order_returns: {model: returns}
monitors:
  returns_drift: {kind: drift, prediction: order_returns}
  returns_performance: {kind: performance, prediction: order_returns, metrics: {roc_auc: {min: 0.6}}}
"""


def write_book(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below ``folder`` by their path from there; return the book's folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "metadata"


def read(
    folder: Path,
    *texts: str,
    overlay: str = "",
    variables: Mapping[str, str] | None = None,
) -> tuple[Manifest | None, list[Issue]]:
    """Read a book of ``texts``, a file each (``a.yaml``, ``b.yaml``, ...), with an overlay ``prod``, if any."""
    files = {f"metadata/{'abcdefgh'[number]}.yaml": text for number, text in enumerate(texts)}
    if overlay:
        files["environments/prod.yaml"] = overlay
    book = write_book(folder, files)
    manifest, issues = read_book(book, variables=variables or {}, environment="prod" if overlay else None)
    return manifest, list(issues)


def sound(folder: Path, *texts: str, overlay: str = "", variables: Mapping[str, str] | None = None) -> Manifest:
    """Read a book that must be sound, but for warnings."""
    manifest, issues = read(folder, *texts, overlay=overlay, variables=variables)
    assert manifest is not None, [str(issue) for issue in issues]
    return manifest


def told(issues: list[Issue]) -> list[tuple[str, str, str, str | None]]:
    """Return place, rule, culprit and nearest name of each error, in order."""
    return [
        (str(issue.location), issue.rule, issue.culprit, issue.nearest) for issue in issues if issue.severity == "error"
    ]
