"""The project's English is plain: some turns of phrase that made readers stop stay out of messages and docs."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = re.compile(r"``[^`]+``|`[^`\n]+`")
PHRASES = {
    "say 'fix'": r"\b[Mm]end(s|ed|ing)?\b",
    "say 'is not a …'": r"(?<![Tt]here )(?<!if )\b(is|are|was|were) no "
    r"(?!longer\b|more\b|other\b|such\b)(?=[A-Za-z'\"{`])",
    "say 'is not one'": r"(?<![Tt]here )\b(is|are) none\b",
    "say 'lacks', or 'does not have'": r"\b(has|have|had) not(?= (and|is|are)\b|[.,;:])",
    "say 'not': 'does not fit'": r"\b(fits|knows|goes|says|reads|means|holds|makes|takes|gives|keeps|needs|sees) not\b",
    "say 'depends on'": r"\b(hang|hangs|hung|hanging) on\b",
    "say 'again'": r"\banew\b",
    "say 'is to', 'must' or 'will'": r"\bshall\b",
    "say 'on'": r"\bupon\b",
    "say 'at most', 'at least'": r"\bat the (most|least)\b",
    "say 'has version', 'is a … monitor'": r"\bis of (version|kind)\b",
    "say 'because'": r", for (it|they|there|nobody|only|he|she) (is|are|was|were|may|can|has|have|waits?|had|the)\b",
    "say 'otherwise', or 'or else'": r"(?<!or)[;,] else (?=[a-z])|\. Else ",
    "say 'if necessary'": r"\bneed be\b",
    "say 'comes from', 'is made of'": r"\b(comes?|came) of (these|those|them|one|joining|all)\b",
    "say 'earlier'": r"\bof before\b",
    "say 'whether … or not'": r"\bbe it (a|an|the|by)\b",
    "say 'says that'": r"(?<!nobody could )\btells? that (?!of\b)[a-z]",
    "say 'silently', 'a message'": r"\b(without a|left) word\b|\bwith no word of\b",
    "use today's word": r"\b(thus|whereof|thereof|wherein|hitherto|lest|whilst|amongst|unto|naught|aught|forthwith)\b",
    "say 'one file per chapter'": r"\b([Aa]|[Oo]ne) (module|row|file|class|table|page|word|run|score|CTE) an? "
    r"(kind|chapter|step|partition|row|run|entity|feature|line|thing)\b",
    "use `counted`": r"[a-z]\(s\)",
}


def texts() -> Iterator[tuple[str, str]]:
    """Yield what people read, each with its place: lines of pages; of Python code comments and whole strings."""
    for folder, ending in (("docs", "md"), ("examples", "md"), ("metadata", "yaml")):
        for path in sorted((ROOT / folder).rglob(f"*.{ending}")):
            yield from paragraphs(path)
    yield from paragraphs(ROOT / "README.md")
    yield from paragraphs(ROOT / "CHANGELOG.md")
    for folder in ("metaplatform", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from written(path)


def paragraphs(path: Path) -> Iterator[tuple[str, str]]:
    line = 1
    for part in path.read_text(encoding="utf-8").split("\n\n"):
        yield f"{path.relative_to(ROOT)}:{line}", part
        line += part.count("\n") + 2


def written(path: Path) -> Iterator[tuple[str, str]]:
    code = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield f"{path.relative_to(ROOT)}:{node.lineno}", "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string


TEXTS = tuple((place, re.sub(r"\s+(# )?", " ", CODE.sub("`x`", text))) for place, text in texts())


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_text_has_a_turn_of_phrase_that_makes_readers_stop(phrase: str) -> None:
    pattern = re.compile(PHRASES[phrase])
    found = [
        f"{place}: …{text[max(0, match.start() - 50) : match.end() + 50]}…"
        for place, text in TEXTS
        for match in pattern.finditer(text)
    ]
    assert not found, f"{phrase}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("phrase", "bad"),
    [
        ("say 'fix'", "mend the lines"),
        ("say 'is not a …'", "'x' is no date"),
        ("say 'is not a …'", "a file is no YAML"),
        ("say 'is not one'", "the name is none"),
        ("say 'lacks', or 'does not have'", "a column that a file has not is null"),
        ("say 'depends on'", "no result hangs on them"),
        ("say 'because'", "left there, for it is not ours"),
        ("say 'says that'", "a plan tells that a key changes"),
        ("use `counted`", "3 row(s) left"),
    ],
)
def test_the_patterns_find_what_they_are_for(phrase: str, bad: str) -> None:
    assert re.search(PHRASES[phrase], bad)
