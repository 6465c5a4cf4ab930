"""The project's English is plain: some turns of phrase that made readers stop stay out of code, messages and docs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PHRASES = {
    "say 'fix'": r"\bmend(s|ed|ing)?\b",
    "say 'is not a …'": r"(?<![Tt]here )(?<!if )\b(is|are) no (?!longer\b|more\b|other\b|such\b)(?=[a-z'\"{])",
    "use `counted`": r"[a-z]\(s\)",
}


def texts() -> Iterator[Path]:
    for folder, ending in (("metaplatform", "py"), ("docs", "md"), ("examples", "md"), ("metadata", "yaml")):
        yield from sorted((ROOT / folder).rglob(f"*.{ending}"))
    yield from (ROOT / "README.md", ROOT / "CHANGELOG.md")


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_text_has_a_turn_of_phrase_that_makes_readers_stop(phrase: str) -> None:
    pattern = re.compile(PHRASES[phrase])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"{phrase}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("phrase", "bad"),
    [("say 'fix'", "mend the lines"), ("say 'is not a …'", "'x' is no date"), ("use `counted`", "3 row(s) left")],
)
def test_the_patterns_find_what_they_are_for(phrase: str, bad: str) -> None:
    assert re.search(PHRASES[phrase], bad)
