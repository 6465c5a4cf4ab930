"""Make the README's images: `python docs/make_images.py loop.json http://127.0.0.1:3000`.

``loop.json`` is what `metaplatform replay --json loop.json` wrote; the address is Dagster's, as served by
`metaplatform ui` (without it, only the chart is made). The screenshot needs Chromium.
"""  # noqa: INP001

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

IMAGES = Path(__file__).parent / "images"
GROUPS = ("features", "models", "predictions", "reactions")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)


def draw_loop(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the metric by partition, live beside the first version, over the share of drifted features."""
    rows = [row for row in rows if row["live"] is not None and row["first"] is not None]
    months = [row["partition"] for row in rows]
    live, first = [row["live"] for row in rows], [row["first"] for row in rows]
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(10, 5.4), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    upper.plot(months, live, marker="o", color="tab:blue", label="live: the champion that scored the month")
    upper.plot(months, first, marker="o", color="tab:gray", linestyle="--", label="the first version, never retrained")
    for month, row, now, then in zip(months, rows, live, first, strict=True):
        above = now >= then
        place = {"xytext": (0, 7 if above else -7), "va": "bottom" if above else "top", "ha": "center"}
        upper.annotate(f"v{row['champion']}", (month, now), textcoords="offset points", color="tab:blue", **place)
    low, high = min(live + first), max(live + first)
    upper.set(
        ylabel=f"realized {rows[0]['metric'].replace('_', ' ').upper()}",
        ylim=(low - (high - low) / 5, high + (high - low) / 4),
    )
    upper.legend(loc="best", frameon=False)
    lower.bar(months, [100 * (row["drift_share"] or 0) for row in rows], color="tab:orange", width=0.5)
    lower.set(ylabel="features\ndrifted, %", ylim=(0, 130), yticks=(0, 50, 100))
    for month, row in zip(months, rows, strict=True):
        promoted = "promoted" in row["promotion"]
        verdict = row["promotion"].split(" (")[0] if promoted else "champion kept"
        text = f"retrained:\n{verdict}" if row["decision"] == "retrain" else row["decision"]
        lower.annotate(
            text, (month, 128), ha="center", va="top", fontsize=8, color="tab:green" if promoted else "black"
        )
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def shoot_lineage(address: str, path: Path) -> None:
    """Take a screenshot of Dagster's asset graph, with the groups open that hold one asset."""
    expanded = quote(",".join(f"global@global:{group}" for group in GROUPS))
    with tempfile.TemporaryDirectory() as profile:
        options = (f"--user-data-dir={profile}", "--window-size=2000,1000", "--virtual-time-budget=20000")
        page = f"{address.rstrip('/')}/asset-groups?expanded={expanded}"
        command = ["chromium", *QUIET, *options, f"--screenshot={path}", page]
        path.unlink(missing_ok=True)
        done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    if not path.exists():
        sys.exit(f"no screenshot of {page}:\n{done.stderr}")


if __name__ == "__main__":
    result, *served = sys.argv[1:]
    IMAGES.mkdir(exist_ok=True)
    draw_loop(json.loads(Path(result).read_text(encoding="utf-8"))["rows"], IMAGES / "loop.png")
    for each in served:
        shoot_lineage(each, IMAGES / "lineage.png")
