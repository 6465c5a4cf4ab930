"""Make what the guide has from the code: the tables of the reference, and the JSON Schema of the book.

Run `python docs/make_reference.py` after a change of the specs.
"""  # noqa: INP001

import json
from pathlib import Path

from metaplatform.specs.language.reference import render_page
from metaplatform.specs.language.schema import book_schema

DOCS = Path(__file__).parent


def main() -> None:
    """Write every page that has tables, and the schema."""
    for page in [DOCS / "book.md", *sorted((DOCS / "reference").glob("*.md"))]:
        page.write_text(render_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    (DOCS / "book.schema.json").write_text(json.dumps(book_schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
