"""The guide names every rule there is, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHECKING = (ROOT / "metaplatform" / "specs", ROOT / "metaplatform" / "sql")
NO_RULES = {"utf-8", "utf-8-sig"}
PLAIN = re.compile(r'(?:issue\(|Fault\(|rule=)\s*"([a-z0-9-]+)"')
COMPOUND = re.compile(r'"([a-z]+(?:-[a-z0-9]+)+)"')


def rules_of_the_code() -> set[str]:
    texts = [path.read_text() for folder in CHECKING for path in folder.rglob("*.py")]
    found = {rule for text in texts for form in (PLAIN, COMPOUND) for rule in form.findall(text)}
    # Composed of what is missing: see rules/timing.py.
    return (found | {"needs-key", "needs-event-timestamp"}) - NO_RULES


def test_the_guide_names_every_rule_and_no_other():
    guide = (ROOT / "docs" / "validation.md").read_text()
    table = guide[guide.index("## Rules") :]
    assert set(re.findall(r"`([a-z0-9-]+)`", table)) == rules_of_the_code()
