"""Loading definitions: a book of many assets, against the same assets written in Dagster by hand.

Run ``python -m benchmarks.definitions 100 1000 5000``. Each load runs in a process of its own, in turns, from files
written before: YAML on one side, Python modules on the other. Both end with Dagster's repository of everything; what
they define is compared. Importing libraries is left out: both sides use the same ones. Either side is compiled by its
first load, Python's modules and the book; what the book's first load takes is told beside (``first_seconds``).
"""

import gc
import hashlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.shops import ASSETS, write_book, write_code
from metaplatform.resources.process.peak_memory import peak_memory

SIZES = (100, 1_000, 2_000, 5_000)
LIBRARIES = ("metaplatform.factories.platform", "metaplatform.factories.mlflow_tracking", "metaplatform.specs.loading")


def load_book_definitions(folder: Path) -> Any:
    """Return the definitions of the book, as a code location loads them."""
    os.environ.update(METAPLATFORM_BOOK=str(folder / "book"), METAPLATFORM_ROOT=str(folder / "root"))
    return importlib.import_module("metaplatform.definitions").defs


def load_code_definitions(folder: Path) -> Any:
    """Return the definitions of the modules written by hand."""
    import dagster as dg

    from metaplatform.factories.mlflow_tracking import mlflow_tracking
    from metaplatform.resources.models.model_registry import ModelRegistry
    from metaplatform.resources.process.clock import Clock
    from metaplatform.resources.sinks.exports import Exports
    from metaplatform.resources.storage.warehouse import Warehouse

    sys.path.insert(0, str(folder / "code"))
    shops = len(list((folder / "code").glob("shop_[0-9]*.py")))
    modules = [importlib.import_module(f"shop_{shop}") for shop in range(shops)]
    root = str(folder / "root")
    registry = ModelRegistry(tracking_uri=f"sqlite:///{root}/mlflow.db", artifact_root=f"{root}/mlartifacts")
    return dg.Definitions(
        assets=[asset for module in modules for asset in module.assets],
        asset_checks=[check for module in modules for check in module.checks],
        resources={
            "warehouse": Warehouse(root=root),
            "registry": registry,
            "exports": Exports(root=root),
            "clock": Clock(),
            "mlflow": mlflow_tracking(registry),
        },
        executor=dg.in_process_executor,
    )


def load(side: str, folder: Path) -> dict[str, Any]:
    """Load one side in this process; return seconds, CPU seconds, megabytes, and a digest of what is defined."""
    for library in LIBRARIES:
        importlib.import_module(library)
    warnings.simplefilter("ignore")
    gc.collect()
    held = _peak_megabytes()
    started, used = time.perf_counter(), time.process_time()
    sides: dict[str, Callable[[Path], Any]] = {"book": load_book_definitions, "hand": load_code_definitions}
    repository = sides[side](folder).get_repository_def()
    repository.load_all_definitions()
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mb": _peak_megabytes(),
        "imports_mb": held,
        **_facts(repository),
    }


def _facts(repository: Any) -> dict[str, Any]:
    """Return how many assets and checks there are, and a digest of what a person sees of them."""
    graph = repository.asset_graph
    assets = sorted(
        (
            node.key.to_user_string(),
            node.group_name,
            sorted(parent.to_user_string() for parent in node.parent_keys),
            sorted(node.kinds),
            sorted(node.owners),
            node.description,
            repr(node.partitions_def),
            sorted(check.name for check in node.check_keys),
        )
        for node in map(graph.get, graph.get_all_asset_keys())
    )
    digest = hashlib.sha256(json.dumps(assets).encode()).hexdigest()[:12]
    return {"assets": len(assets), "checks": len(graph.asset_check_keys), "digest": digest}


def _peak_megabytes() -> int:
    return round(peak_memory())


def _in_own_process(side: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.definitions", side, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(assets: int, rounds: int) -> dict[str, Any]:
    """Return the medians of both sides for one number of assets, and the ratios of seconds and CPU seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_book(folder / "book", assets // ASSETS)
        write_code(folder / "code", assets // ASSETS)
        (folder / "root").mkdir()
        first = _in_own_process("book", folder)
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder / "code")], check=True)
        runs: dict[str, list[dict[str, Any]]] = {"book": [], "hand": []}
        for _ in range(rounds):
            for side, done in runs.items():
                done.append(_in_own_process(side, folder))
    if len({run["digest"] for done in ([first], *runs.values()) for run in done}) > 1:
        raise AssertionError(f"the two sides define different assets: {runs}")
    middle = {
        side: {key: statistics.median(run[key] for run in done) for key in ("seconds", "cpu_seconds", "peak_mb")}
        for side, done in runs.items()
    }
    return {
        "assets": first["assets"],
        "checks": first["checks"],
        **middle,
        "imports_mb": first["imports_mb"],
        "first_seconds": first["seconds"],
        "ratio": middle["book"]["seconds"] / middle["hand"]["seconds"],
        "cpu_ratio": middle["book"]["cpu_seconds"] / middle["hand"]["cpu_seconds"],
    }


def run(sizes: tuple[int, ...] = SIZES, *, rounds: int = 3) -> dict[str, Any]:
    """Return what ``measure`` does for each number of assets, by that number."""
    return {str(size): measure(size, rounds) for size in sizes}


def main(arguments: list[str]) -> None:
    """Load one side (``book | hand FOLDER``), or measure the numbers of assets given (``--once``: one round)."""
    if arguments and arguments[0] in {"book", "hand"}:
        print(json.dumps(load(arguments[0], Path(arguments[1]))))
    else:
        sizes = tuple(int(argument) for argument in arguments if argument != "--once")
        print(json.dumps(run(sizes or SIZES, rounds=1 if "--once" in arguments else 3), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
