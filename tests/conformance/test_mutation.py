"""The mutation of the reference server: what is explained exists, and a mutant is seen.

`make mutation` runs all of them.
"""

from __future__ import annotations

import re
import subprocess
import sys

from tests.conformance import mutation
from tests.paths import ROOT


def test_each_explanation_is_of_a_mutant_and_says_why() -> None:
    names = {mutant.name for mutant in mutation.mutants()}
    for name, told in mutation.explanations().items():
        assert name in names, f"{name}: no such mutant any more; remove it from {mutation.EXPLAINED.name}"
        assert told["kind"] in ("equivalent", "lawful")
        assert told["why"]


def test_the_page_explains_each_survivor() -> None:
    page = mutation.PAGE.read_text("utf-8")
    (numbers,) = re.findall(r"^\| ([0-9]+) \| ([0-9]+) \| ([0-9]+) \| ([0-9]+) \| ([0-9]+) \| ([0-9]+) \|$", page, re.M)
    whole, *parts, unexplained = map(int, numbers)
    assert whole == sum(parts) + unexplained
    assert unexplained == 0
    assert whole == len(mutation.mutants()), "the reference server has changed: run `make mutation`"


def test_mutants_are_seen_or_survive() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.mutation", "--only", "server.limit:"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"seen +server\.limit: `v\.tally\.count > hooks\.limit\(v\)` → .* limit\.", done.stdout)
    assert "survives" not in done.stdout
