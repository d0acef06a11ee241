"""Each assumption names the test that pins it, and that test exists."""

import re

from tests.paths import DOCS, ROOT

PAGE = (DOCS / "assumptions.md").read_text("utf-8")
TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}


def _tables() -> list[list[str]]:
    """The cells of each row of the page's tables, heads and rules left out."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line[:1] == "|"]
    return [row for row in rows if not row[-1].startswith(("pinned by", "---"))]


def test_every_row_has_all_its_cells() -> None:
    rows = _tables()
    assert len(rows) > 50
    assert {len(row) for row in rows} == {3, 5}
    assert [row[0] for row in rows if not all(row)] == []


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for row in _tables():
        file = ""
        for name, test in re.findall(r"`(test_\w+\.py)?(?:::(\w+))?`", row[-1]):
            file = name or file
            text = TESTS[file].read_text("utf-8") if file in TESTS else ""
            if not text or (test and f"def {test}(" not in text):
                missing.append(f"{file}::{test}")
    assert missing == []
