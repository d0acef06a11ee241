"""What a certificate says: two in-toto statements about the same subjects.

One has in-toto's predicate for test results, which other tools read. The other is ours and says all: each clause with
its level, status and evidence, seed, contract, kit and target.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from vorel_conformance.report.model import Report, shown_status

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
CERTIFICATE = "urn:vorel-conformance:certificate:1"
#: The name of the report among the subjects.
REPORT = "report.json"

Statement = dict[str, Any]
_DIGEST = re.compile(r"(?P<name>.+)@sha256:(?P<digest>[0-9a-f]{64})")


def reason_against(report: Report) -> str | None:
    """Return why a run cannot be certified; None if it can."""
    if report.get("stopped"):
        return f"the run was not complete: {report['stopped']}"
    if report.get("unverified"):
        return "the certificate of the target was not verified (--insecure)"
    if report["verdict"] in ("failed", "error"):
        return "the verdict is " + ("failed" if report["verdict"] == "failed" else "an error of the kit")
    if not any(clause["status"] in ("passed", "warning") for clause in report["clauses"]):
        return "no clause was judged"
    return None


def subject(text: str) -> dict[str, Any]:
    """Return a subject: a file, or `NAME@sha256:DIGEST` for what is no file, such as an image.

    Raises ValueError if it is neither.
    """
    if named := _DIGEST.fullmatch(text):
        return {"name": named["name"], "digest": {"sha256": named["digest"]}}
    path = Path(text)
    try:
        with path.open("rb") as file:
            return {"name": path.name, "digest": {"sha256": file_digest(file, "sha256").hexdigest()}}
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ValueError(f"--subject {text}: {why}; give a file, or NAME@sha256: and 64 hexadecimal digits") from None


def statements(report: Report, written: bytes, subjects: Sequence[Mapping[str, Any]]) -> list[Statement]:
    """Return the statements about a run. `written` is its JSON report as it was written, the first subject."""
    about = [{"name": REPORT, "digest": {"sha256": sha256(written).hexdigest()}}, *subjects]
    return [
        {"_type": STATEMENT, "subject": about, "predicateType": kind, "predicate": predicate}
        for kind, predicate in ((TEST_RESULT, _test_result(report)), (CERTIFICATE, _certificate(report)))
    ]


def _test_result(report: Report) -> dict[str, Any]:
    def having(*statuses: str) -> list[str]:
        return [clause["id"] for clause in report["clauses"] if shown_status(clause) in statuses]

    warned = having("warning", "accepted")
    return {
        "result": "WARNED" if warned else "PASSED",
        "configuration": [{"name": "openapi.json", "digest": {"sha256": report["contract"]["sha256"]}}],
        "passedTests": having("passed"),
        "warnedTests": warned,
        "failedTests": [],
    }


def _certificate(report: Report) -> dict[str, Any]:
    started = datetime.fromisoformat(report["started"])
    finished = started + timedelta(seconds=report["duration_s"])
    return {
        "kind": report.get("kind", "server"),
        "target": report["target"],
        "verdict": report["verdict"],
        "started": report["started"],
        "finished": finished.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seed": report["seed"],
        "kit": report["tool"],
        "contract": report["contract"],
        "clauses": [_clause(clause) for clause in report["clauses"]],
    }


def _clause(clause: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: clause[name] for name in ("id", "level", "status", "checks")}
    return told | {name: clause[name] for name in ("reason", "accepted") if clause.get(name)}
