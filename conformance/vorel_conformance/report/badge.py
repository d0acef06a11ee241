"""The verdict as a badge: an SVG, or the JSON that shields.io makes one of."""

from __future__ import annotations

import json
from pathlib import Path

import anybadge

from vorel_conformance.report.model import Report, counts

LABEL = "Vorel API"
#: Color names that both kinds of badge know.
_COLOURS = {"failed": "red", "error": "lightgrey", "inconclusive": "yellow", "passed": "green"}


def check(path: Path) -> None:
    """Raises ValueError if the name of the file does not tell which kind of badge is wanted."""
    if path.suffix not in (".svg", ".json"):
        raise ValueError(f"--badge {path}: the name must end in .svg, or in .json for shields.io")


def render(report: Report, path: Path) -> str:
    """Return the badge that the name of the file asks for."""
    message, colour = _message(report)
    if path.suffix == ".json":
        told = {"schemaVersion": 1, "label": LABEL, "message": message, "color": colour}
        return json.dumps(told, indent=2) + "\n"
    return str(anybadge.Badge(LABEL, message, default_color=colour).badge_svg_text) + "\n"


def _message(report: Report) -> tuple[str, str]:
    found, verdict = counts(report), report["verdict"]
    passed, judged = found.get("passed", 0), len(report["clauses"]) - found.get("not_applicable", 0)
    if verdict == "failed":
        return f"{found.get('failed', 0)} of {judged} clauses failed", _COLOURS[verdict]
    if verdict == "error":
        return "no verdict", _COLOURS[verdict]
    return f"{passed} of {judged} clauses passed", _COLOURS[verdict]
