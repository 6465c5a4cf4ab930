"""What the README and the guides show works as shown: commands, books, targets and links."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import typer

from metaplatform.chapters import CHAPTERS
from metaplatform.cli import commands
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book, read_book
from metaplatform_tests.processes import python

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "reference").glob("*.md")]
GUIDES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
CHAPTER_PAGES = [f"docs/reference/{chapter}.md" for chapter in CHAPTERS]

OVERLAY = re.compile(r"# (environments/\w+\.yaml)\n")
# They span the training window of six months; the months between hold nothing, and nothing is made of them.
MONTHS = ("2024-01", "2024-06", "2024-07")
SHIFT = "2024-07"
ORDERS_A_MONTH = 1_200

MADE = {
    "demo": "metaplatform replay --fresh --reactions --root .demo",
    "ui": "metaplatform ui --root .demo",
    "test": "python -m pytest",
    "bench": "python -m benchmarks",
}
"""Target of make → what the README says it does, in its last command."""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def shown_commands() -> list[list[str]]:
    """Return every command line of the README, its comment left out."""
    return commands_in(README)


def commands_in(text: str) -> list[list[str]]:
    lines = [line for block in blocks(text, "console") for line in block.splitlines() if line.strip()]
    return [shlex.split(line, comments=True) for line in lines]


def platform_commands() -> list[list[str]]:
    return [line[1:] for line in shown_commands() if line[0] == ".venv/bin/metaplatform"]


def write_book(folder: Path, *texts: str) -> Path:
    """Write the YAML blocks of ``texts``, a file each, as one book; those that name an overlay's file, there."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [block for text in texts for block in blocks(text, "yaml")]
    for number, block in enumerate(found):
        overlay = OVERLAY.match(block)
        path = folder.parent / overlay[1] if overlay else folder / f"part_{number:02}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(block, encoding="utf-8")
    return folder


def issues_of(folder: Path, *texts: str) -> list[str]:
    """Return what is wrong with the book of ``texts``, as it is and in each environment that they show."""
    book = write_book(folder, *texts)
    overlays = [overlay.stem for overlay in folder.parent.glob("environments/*.yaml")]
    return [str(issue) for overlay in (None, *overlays) for issue in read_book(book, environment=overlay)[1]]


def write_orders(folder: Path) -> None:
    """Write the orders that the README's book reads: dear ones come back, from the shift on the cheap ones."""
    random = np.random.default_rng(3)
    folder.mkdir(parents=True)
    for number, month in enumerate(MONTHS):
        sign = 1 if month >= SHIFT else -1
        moments = np.datetime64(f"{month}-01T00:00:00") + np.sort(random.integers(0, 28 * 86_400, ORDERS_A_MONTH))
        amounts = random.gamma(4, 25, ORDERS_A_MONTH) * (2.5 if sign > 0 else 1.0)
        middle = np.median(amounts)
        returned = random.random(ORDERS_A_MONTH) < 1 / (1 + np.exp(sign * (amounts - middle) / (middle / 6)))
        customers = random.integers(0, 60, ORDERS_A_MONTH)
        lines = ["order_id,customer,ordered_at,amount,returned"]
        for index in range(ORDERS_A_MONTH):
            key = number * ORDERS_A_MONTH + index
            fields = (key, f"c{customers[index]}", moments[index], f"{amounts[index]:.2f}", bool(returned[index]))
            lines.append(",".join(str(field) for field in fields))
        (folder / f"{month}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_every_command_shown_is_one_that_a_test_here_knows() -> None:
    assert {line[0] for line in shown_commands()} == {"make", ".venv/bin/metaplatform"}
    assert {line[1] for line in shown_commands() if line[0] == "make"} <= set(MADE)
    known = {"validate", "replay", "ui", "plan", "apply", "decisions", "versions", "rollback"}
    assert {line[0] for line in platform_commands()} == known


@pytest.mark.parametrize("line", platform_commands(), ids=" ".join)
def test_the_command_shown_has_the_options_shown(line: list[str]) -> None:
    group = typer.main.get_command(commands.app)
    command = group.commands[line[0]]  # type: ignore[attr-defined]
    assert command.make_context(line[0], line[1:]).params


@pytest.mark.parametrize("target", MADE)
def test_make_does_what_the_readme_says(target: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    assert f"make {target}" in README
    # As if set up: what is installed is another test's question.
    command = ["make", "--no-print-directory", "--dry-run", "--old-file=.venv/.installed", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    last = done.stdout.splitlines()[-1]
    assert MADE[target] in last
    assert last.startswith(".venv/bin/")


def test_the_readmes_book_is_sound(tmp_path: Path) -> None:
    manifest, issues = read_book(write_book(tmp_path / "metadata", README))
    assert issues == ()
    assert manifest is not None


def test_the_guides_examples_go_on_with_the_readmes_book(tmp_path: Path) -> None:
    """Each beside the README's blocks alone, so that no guide leans on another."""
    for number, (name, text) in enumerate(GUIDES.items()):
        if name not in CHAPTER_PAGES:
            texts = (README,) if name == "README.md" else (README, text)
            assert issues_of(tmp_path / str(number) / "metadata", *texts) == [], name


def test_the_examples_of_all_chapters_are_one_book(tmp_path: Path) -> None:
    assert issues_of(tmp_path / "metadata", README, *(GUIDES[page] for page in CHAPTER_PAGES)) == []


def test_every_link_leads_somewhere() -> None:
    missing = [
        f"{name}: {link}"
        for name, text in GUIDES.items()
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
        if not (ROOT / name).parent.joinpath(link).exists()
    ]
    assert missing == []


def test_every_link_to_a_heading_names_one() -> None:
    headings = {
        name: {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
        for name, text in GUIDES.items()
    }
    missing = [
        f"{name}: {link}#{heading}"
        for name, text in GUIDES.items()
        for link, heading in re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", text)
        if heading not in headings[os.path.relpath((ROOT / name).parent / link if link else ROOT / name, ROOT)]
    ]
    assert missing == []


def test_every_command_a_guide_shows_has_the_options_shown() -> None:
    group = typer.main.get_command(commands.app)
    shown = [line for name, text in GUIDES.items() if name != "README.md" for line in commands_in(text)]
    assert shown
    for words in (line for line in shown if Path(line[0]).name == "metaplatform"):
        command, (name, *rest) = group, words[1:]
        command = command.commands[name]  # type: ignore[attr-defined]
        while subcommands := getattr(command, "commands", {}):
            name, *rest = rest
            command = subcommands[name]
        assert command.make_context(name, rest).params


def test_every_variable_of_the_settings_is_told() -> None:
    told = GUIDES["docs/operations.md"]
    assert [name for name in Deployment.model_fields if f"`METAPLATFORM_{name.upper()}`" not in told] == []


def test_the_readme_asks_of_a_model_that_the_default_book_has() -> None:
    models = load_book(ROOT / "metadata").models
    questions = [line for line in platform_commands() if line[0] in {"decisions", "versions", "rollback"}]
    assert [line[1] for line in questions if line[1] not in models] == []


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds ``my_book`` as the README writes it, with orders."""
    folder = tmp_path_factory.mktemp("ten_minutes")
    write_book(folder / "my_book" / "metadata", README)
    write_orders(folder / "my_book" / "data" / "orders")
    return folder


def play(project: Path, line: list[str]) -> str:
    """Run a command of the README from ``project``; return what it printed."""
    done = python("-m", "metaplatform", *line, cwd=project)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Traceback" not in done.stderr
    return done.stdout


def shown(name: str, *words: str) -> list[str]:
    """Return the README's first command ``name`` that has ``words``."""
    return next(line for line in platform_commands() if line[0] == name and set(words) <= set(line))


def about_the_shop(line: list[str]) -> list[str]:
    """Return a question that the README asks of the default book, asked of the shop's model and storage."""
    return ["returns" if word == "late_arrival" else word for word in line] + ["--root", "my_storage"]


def test_the_readmes_ten_minutes_end_with_a_loop_that_closes(project: Path) -> None:
    assert "The book is sound" in play(project, shown("validate"))

    told = play(project, shown("replay", "--reactions"))
    assert SHIFT in told
    assert "v2 promoted" in told
    alerts = (project / "my_storage" / "notifications" / "tell_someone.jsonl").read_text(encoding="utf-8")
    assert {json.loads(line)["facts"]["partition"] for line in alerts.splitlines()} == {SHIFT}

    why = play(project, about_the_shop(shown("decisions")))
    assert "retrain" in why
    assert "promoted" in why

    assert "champion" in play(project, about_the_shop(shown("versions")))
    assert "version 1 is champion again" in play(project, about_the_shop(shown("rollback")))
    registry = ModelRegistry(
        tracking_uri=f"sqlite:///{project / 'my_storage' / 'mlflow.db'}",
        artifact_root=str(project / "my_storage" / "mlartifacts"),
    )
    champions = [version.version for version in registry.versions("returns") if "champion" in version.aliases]
    assert champions == [1]


def test_an_edit_of_the_readmes_book_is_planned_then_applied_and_then_there_is_nothing_to_do(project: Path) -> None:
    plan, apply = shown("plan", "--root"), shown("apply")
    assert "othing to do" in play(project, plan)
    edited = False
    for path in (project / "my_book" / "metadata").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("price: amount", "price: amount * 100"), encoding="utf-8")
        edited = edited or "price: amount" in text
    assert edited
    told = play(project, plan)
    assert "features.order_features" in told
    assert "raw.orders" not in told.replace("reads raw.orders", "")
    assert "left to do" in play(project, apply).replace("Left:", "left to do")
    assert "othing to do" in play(project, plan)


def test_two_versions_of_a_book_are_compared_as_a_comment_for_review() -> None:
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout")
    assert play(ROOT, shown("plan", "--markdown")).startswith("#")
