"""docs/threats.md: each test that it names exists."""

import re

from tests.paths import DOCS, ROOT

NAMED = re.findall(r"`(test_\w+)`", (DOCS / "threats.md").read_text("utf-8"))


def test_each_test_that_the_page_names_exists() -> None:
    files = (ROOT / "tests").rglob("test_*.py")
    known = {name for file in files for name in re.findall(r"^\s*def (test_\w+)", file.read_text("utf-8"), re.M)}
    assert len(NAMED) > 40
    assert set(NAMED) <= known


def test_no_line_is_without_a_test() -> None:
    lines = [line for line in (DOCS / "threats.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert all("`test_" in line for line in lines if not line.startswith("| who"))
