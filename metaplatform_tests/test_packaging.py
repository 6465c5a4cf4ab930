"""What is declared, what is pinned and what is installed are one set, from nowhere in particular, free to use."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DECLARED = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["dependency-groups"]["dev"],
    *PROJECT["build-system"]["requires"],
]
LOCK = (ROOT / "constraints.txt").read_text()

# Licences under which the platform may use and pass on a library; each word of an expression must be one of them.
FREE = re.compile(
    r"(0BSD|3-Clause BSD License|Apache([ -]|$)[\w .,-]*|BSD[\w -]*|CC0[\w. -]*|CNRI-Python|ISC[\w ()-]*"
    r"|MIT([ -]|$)[\w -]*|Mozilla Public License 2\.0 \(MPL 2\.0\)|MPL-2\.0|PSF-2\.0|Python Software Foundation License"
    r"|TCL|Zlib)"
)
UNCLEAR = {
    "huey": "its metadata has no licence; its LICENSE file is MIT",
    "skops": "its metadata says no more than OSI Approved; its LICENSE file is MIT",
    "nvidia-nccl-cu12": "proprietary, redistributable; XGBoost's Linux wheel requires it, only GPU training uses it",
}


@cache
def pins() -> dict[str, tuple[Requirement, list[str]]]:
    """Return requirement and hashes of every pin, by name."""
    found = {}
    for block in re.split(r"\n(?=\S)", LOCK.strip()):
        head, *rest = block.replace("\\\n", "\n").splitlines()
        requirement = Requirement(head.strip())
        found[canonicalize_name(requirement.name)] = (requirement, [line.strip() for line in rest])
    return found


def version_of(requirement: Requirement) -> str:
    (only,) = requirement.specifier
    assert only.operator == "=="
    return only.version


@pytest.mark.parametrize("text", DECLARED)
def test_what_is_declared_is_pinned_within_its_bounds(text: str) -> None:
    declared = Requirement(text)
    pin, _ = pins()[canonicalize_name(declared.name)]
    assert declared.specifier.contains(version_of(pin))


def test_every_pin_is_exact_and_hashed() -> None:
    for pin, hashes in pins().values():
        assert version_of(pin)
        assert hashes
        assert [each for each in hashes if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each)] == []


def test_the_lock_names_no_place_to_fetch_from() -> None:
    assert "://" not in LOCK
    assert "@" not in LOCK
    assert [
        line for line in LOCK.splitlines() if line.lstrip().startswith(("#", "-i", "--i", "--e", "-f", "--f"))
    ] == []


def test_what_is_installed_is_what_is_pinned() -> None:
    wrong = {}
    for name, (pin, _) in pins().items():
        if pin.marker is None or pin.marker.evaluate():
            try:
                installed = metadata.version(name)
            except metadata.PackageNotFoundError:
                installed = "nothing"
            if installed != version_of(pin):
                wrong[name] = f"{installed} instead of {version_of(pin)}: run make setup"
    assert wrong == {}


def imported_libraries() -> dict[str, str]:
    """Return a file that imports it for each top-level module of others."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "metaplatform").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            found |= {name.partition(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {name: file for name, file in found.items() if name not in {*sys.stdlib_module_names, "metaplatform"}}


def test_what_is_imported_is_declared() -> None:
    """What only happens to be installed, as another library's need, may be gone after the next lock."""
    extras = [text for texts in PROJECT["project"]["optional-dependencies"].values() for text in texts]
    texts = [*PROJECT["project"]["dependencies"], *extras]
    declared = {canonicalize_name(Requirement(text).name) for text in texts}
    providers = metadata.packages_distributions()
    undeclared = {
        module: file
        for module, file in imported_libraries().items()
        if not declared & {canonicalize_name(name) for name in providers.get(module, [module])}
    }
    assert undeclared == {}


def runtime_distributions() -> dict[str, metadata.Distribution]:
    """Return what the platform needs at run time, and what that needs, by name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    asked: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if (name, frozenset(wanted.extras)) in asked:
            continue
        asked.add((name, frozenset(wanted.extras)))
        found[name] = metadata.distribution(name)
        for text in found[name].requires or []:
            needed = Requirement(text)
            if any(needed.marker is None or needed.marker.evaluate({"extra": each}) for each in ("", *wanted.extras)):
                waiting.append(needed)
    return found


def licences(distribution: metadata.Distribution) -> list[str]:
    """Return the licences a distribution states, most precise statement first: expression, classifiers, free text."""
    stated = distribution.metadata
    expression = stated.get("License-Expression")
    classifiers = [each.split(" :: ")[-1] for each in stated.get_all("Classifier", []) if each.startswith("License ::")]
    text = (stated.get("License") or "").strip().splitlines()[:1]
    parts = [expression] if expression else classifiers or text
    return [word.strip() for part in parts for word in re.split(r" AND | OR ", part)]


def test_every_library_may_be_used_and_passed_on() -> None:
    stated = {name: licences(each) for name, each in runtime_distributions().items() if name not in UNCLEAR}
    assert {name: said for name, said in stated.items() if not said or not all(map(FREE.fullmatch, said))} == {}


def test_the_exceptions_are_still_needed() -> None:
    assert set(UNCLEAR) <= set(pins())


def test_the_project_says_its_own_licence() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
