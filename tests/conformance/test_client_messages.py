"""What was hard to understand for a partner who followed nothing but the report: each mistake is told, by itself.

The first reports on these two told their mistakes in five runs, because one crash put them all together.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import Any

import pytest
from tests.conformance.test_client_cli import PROGRAMS

from vorel_conformance.report import client_entries
from vorel_conformance.report.causes import causes
from vorel_conformance.runs import client
from vorel_conformance.runs.client_options import Options
from vorel_conformance.runs.integration import Command


def told(*argv: str) -> dict[str, dict[str, Any]]:
    """The causes in the report on an integration, by the clause that says most."""
    session = client.run(Command(argv, timeout=6.0), Options(seed=1, jobs=8, timeout=6.0))
    return {cause["id"]: cause for cause in causes(client_entries.report_of(session))}


def test_the_first_report_tells_each_mistake_of_a_partner_by_itself() -> None:
    found = told(sys.executable, str(PROGRAMS / "partner.py"))
    assert set(found) == {
        "answers.one-outcome",
        "idempotency.restart",
        "idempotency.same-key",
        "limit.waits",
        "request.left-out",
        "request.schema",
        "retry.gives-up",
        "retry.not-unauthorized",
        "retry.one-handoff",
        "secrets.output",
    }
    crash = found["answers.one-outcome"]
    assert re.search(r"it crashed \(exit status 1\): (RuntimeError: gave up|KeyError: 'external_id')", crash["title"])
    assert "catch whatever fails in a task" in crash["fix"]
    # What a crash after every error brings with it is no mistake of its own.
    assert {"answers.soft-failure", "answers.optional-members", "retry.reported"} <= set(crash["clauses"])
    # Four statuses that are tried again unchanged: one mistake.
    assert {"retry.not-forbidden", "retry.not-found"} <= set(found["retry.not-unauthorized"]["clauses"])
    assert found["request.schema"]["quote"] == "Body validation failed."
    assert found["request.schema"]["got"] == 'reason: null is not of type "string"'
    assert "without a summary, if the task has none" in found["request.schema"]["fix"]
    assert found["secrets.output"]["got"].endswith("""'api_key': '\"""")
    assert "vapk_live_" not in found["secrets.output"]["got"]


@pytest.mark.skipif(not os.environ.get("FULL_PROOF"), reason="FULL_PROOF is not set: as above, in half a minute")
def test_the_same_in_node() -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    found = told("node", str(PROGRAMS / "partner.mjs"))
    assert {"idempotency.distinct", "answers.soft-failure", "limit.waits", "request.left-out"} <= set(found)
    assert "idempotency.distinct-restart" in found["idempotency.distinct"]["clauses"]
    assert found["secrets.output"]["got"] == 'the key on stderr, after "      Authorization: \'Bearer "'
