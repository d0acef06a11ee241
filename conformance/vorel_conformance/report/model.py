"""Functions on a report that all writers share: order of statuses, counts, verdict, evidence as text."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vorel_conformance.http.harmless import harmless
from vorel_conformance.http.placeholders import first_key_name

Report = Mapping[str, Any]

# Worst first. `accepted` is only shown to the reader: in the report the clause stays failed.
WORST_FIRST = ("failed", "error", "warning", "accepted", "inconclusive", "not_applicable", "passed")
BREACHES = ("failed", "warning")


@dataclass(frozen=True)
class Look:
    """The presentation of a status: a word, a sign that needs no color, a rich style."""

    word: str
    sign: str
    style: str


LOOKS = {
    "failed": Look("failed", "✗", "bold red"),
    "error": Look("kit error", "‼", "bold magenta"),
    "warning": Look("warning", "!", "yellow"),
    "accepted": Look("accepted", "≈", "cyan"),
    "inconclusive": Look("inconclusive", "?", "blue"),
    "not_applicable": Look("not applicable", "-", "dim"),
    "passed": Look("passed", "✓", "green"),
}

VERDICTS = {
    "passed": "Keeps the contract",
    "failed": "Breaks the contract",
    "inconclusive": "No violation, not all clauses judged",
    "error": "No verdict: the kit failed",
}


def shown_status(clause: Mapping[str, Any]) -> str:
    """Return the status that the reader sees: `accepted` for an accepted failure."""
    return "accepted" if clause.get("accepted") and clause["status"] in BREACHES else str(clause["status"])


def worst_first(clauses: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the clauses, worst status first, otherwise in their order."""
    return sorted(clauses, key=lambda clause: WORST_FIRST.index(shown_status(clause)))


def counts(report: Report) -> dict[str, int]:
    """Return the number of clauses of each shown status, worst first, without zeros."""
    found = Counter(map(shown_status, report["clauses"]))
    return {status: found[status] for status in WORST_FIRST if found[status]}


#: What may count towards a verdict: the violated clauses of which levels fail a run.
LEVELS: Mapping[str, tuple[str, ...]] = {
    "must": ("MUST",),
    "should": ("MUST", "SHOULD"),
    "advisory": ("MUST", "SHOULD", "advisory"),
}


def at_level(report: Report, level: str) -> dict[str, Any]:
    """Return the report with its violated clauses of this level, and of those above it, as failed."""
    if level == "must":
        return dict(report)
    clauses = [
        {**clause, "status": "failed"} if clause["status"] == "warning" and clause["level"] in LEVELS[level] else clause
        for clause in report["clauses"]
    ]
    found = {**report, "clauses": clauses, "level": level}
    return {**found, "verdict": verdict(found)}


def verdict(report: Report) -> str:
    """Return the `verdict` of a report, from its clauses and its accepted failures."""
    found = counts(report)
    if "error" in found:
        return "error"
    if "failed" in found or report.get("accepted", {}).get("problems"):
        return "failed"
    # A run that judged nothing has not passed.
    return "inconclusive" if "inconclusive" in found or not found.keys() - {"not_applicable"} else "passed"


def verdict_title(report: Report) -> str:
    """Return the verdict in words. A run that passed only because failures are accepted says so."""
    title = VERDICTS[report["verdict"]]
    failed = [clause["level"] for clause in report["clauses"] if shown_status(clause) == "failed"]
    if report["verdict"] == "failed" and failed and "MUST" not in failed:
        return f"{title} only below MUST, which counts here (--level {report['level']})"
    if report["verdict"] == "passed" and any(shown_status(clause) == "accepted" for clause in report["clauses"]):
        return f"{title}, but for what was accepted"
    return title


def verdict_sentence(report: Report) -> str:
    """Return one line with the numbers behind the verdict."""
    found = counts(report)
    parts = [f"{number} {LOOKS[status].word}" for status, number in found.items()]
    if problems := len(report.get("accepted", {}).get("problems", [])):
        parts.insert(0, f"{number_of(problems, 'problem')} with accepted failures")
    return f"{number_of(len(report['clauses']), 'clause')}: {', '.join(parts) or 'none judged'}."


def number_of(count: int, noun: str) -> str:
    """Return `1 clause`, `2 clauses`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def group(clause: Mapping[str, Any]) -> str:
    """Return the part of the clause's id before the dot."""
    return str(clause["id"]).split(".", 1)[0]


def key_hint(violation: Mapping[str, Any]) -> str:
    """Return the key to put into VOREL_API_KEY for the curl line, or an empty string if it needs none."""
    request = violation["request"] or {}
    texts = [*(value for _, value in request.get("headers", ())), request.get("path") or "", request.get("body") or ""]
    name = request.get("key") or first_key_name(texts)
    if not name or "VOREL_API_KEY" not in violation["curl"]:
        return ""
    kind, _, which = name.partition(".")
    place = {"soft": f"soft_failures.{which}", "full": f"keys.full[{which}]", "burst": f"keys.burst[{which}]"}
    return f"VOREL_API_KEY: {place.get(kind, f'keys.{name}')} of the target profile"


def place(entry: Mapping[str, Any]) -> str:
    """Return where the quote of a clause, or of a violation, stands: a pointer of the contract, or another document."""
    return str(entry.get("document") or f"openapi.json#{entry['pointer']}")


def transcript_lines(violation: Mapping[str, Any]) -> list[str]:
    """Return the transcript of a situation as lines: number, seconds, who, what. Empty for a server."""
    return [
        f"{entry['n']:>3}. {entry['at_s']:>7.3f} s  {entry['who']:<11}  {shorten(entry['what'], 400)}"
        for entry in violation.get("transcript", ())
    ]


def total_violations(clause: Mapping[str, Any]) -> int:
    """Return the number of violations of a clause, listed or not."""
    return max(len(clause["violations"]), int(clause.get("violations_total", 0)))


def remarks(report: Report) -> list[str]:
    """Return remarks on the run for the reader of the verdict."""
    found = []
    if report.get("stopped"):
        found.append(f"The run ended early: {report['stopped']}")
    if report.get("unverified"):
        found.append("The certificate of the target was not verified (--insecure): it may have been another server.")
    if retried := report.get("retried", 0):
        found.append(f"Connections broke: {retried} {'request was' if retried == 1 else 'requests were'} sent again.")
    outages = report.get("outages_s", ())
    return found + [f"The target accepted no connection for {seconds:g} s, and came back." for seconds in outages]


def body_text(message: Mapping[str, Any], limit: int) -> tuple[str, int]:
    """Return a body as harmless text of at most `limit` characters, and the number of characters cut off."""
    text = message.get("body")
    if text is None:
        encoded = message.get("body_base64", "")
        try:
            text = base64.b64decode(encoded, validate=True).decode("utf-8", "backslashreplace")
        except (binascii.Error, ValueError):
            text = encoded  # redaction may have damaged it
    return harmless(text[:limit], newlines=True), max(0, len(text) - limit)


def shorten(text: str, limit: int) -> str:
    """Return one line of at most `limit` characters, with an ellipsis if it was longer."""
    line = harmless(text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"
