"""The HTML report: one file without network access, for screen and paper."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache, partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vorel_conformance.http.harmless import harmless
from vorel_conformance.report.model import (
    LOOKS,
    WORST_FIRST,
    Report,
    body_text,
    counts,
    group,
    key_hint,
    place,
    remarks,
    shown_status,
    total_violations,
    verdict_sentence,
    verdict_title,
    worst_first,
)
from vorel_conformance.report.source_lines import line_of

# Browsers cannot open a page with a megabyte for each violation. The JSON report has everything.
_BODY_LIMIT = 6_000
_CURL_LIMIT = 8_000
_VIOLATIONS_LIMIT = 25


def render(report: Report) -> str:
    """Return the report as one HTML file."""
    style, script = source("style.css"), source("script.js")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for clause in report["clauses"]:
        groups.setdefault(group(clause), []).append(clause)
    found = counts(report)
    day, time = _moment(report["started"])
    return (
        environment()
        .get_template("page.html")
        .render(
            report=report,
            verdict=verdict_title(report),
            sentence=_sentence(report),
            numbers=verdict_sentence(report),
            counts={status: found.get(status, 0) for status in WORST_FIRST},
            bar=_bar(found),
            groups=groups,
            levels=[
                level for level in ("MUST", "SHOULD", "advisory") if any(c["level"] == level for c in report["clauses"])
            ],
            clauses=worst_first(report["clauses"]),
            day=day,
            time=time,
            duration=_duration(report["duration_s"]),
            remarks=remarks(report),
            style=Markup(style),  # noqa: S704 - our own files, no text of the server
            script=Markup(script),  # noqa: S704
            style_hash=hash_of(style),
            script_hash=hash_of(script),
            violations_limit=_VIOLATIONS_LIMIT,
        )
    )


@cache
def environment() -> Environment:
    """Return the environment of the pages, with the functions that they use."""
    made = Environment(
        loader=PackageLoader("vorel_conformance.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "harmless": partial(harmless, newlines=True),
        "breakable": _breakable,
        "shown_status": shown_status,
    }
    made.globals |= {
        "looks": LOOKS,
        "shown": shown_status,
        "line_of": line_of,
        "key_hint": key_hint,
        "place": place,
        "total": total_violations,
        "headers": _headers,
        "body": lambda message: body_text(message, _BODY_LIMIT),
        "curl_limit": _CURL_LIMIT,
    }
    return made


@cache
def source(name: str) -> str:
    """Return a file of the pages as it is."""
    loader = environment().loader
    assert loader is not None
    return loader.get_source(environment(), name)[0]


def hash_of(text: str) -> str:
    """Return the source expression of our own text for the Content-Security-Policy, which forbids everything else."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _headers(pairs: list[list[str]]) -> str:
    return harmless("\n".join(f"{name}: {value}" for name, value in pairs), newlines=True)


def _breakable(text: str) -> Markup:
    """Return a pointer that may wrap at its slashes."""
    return Markup("/<wbr>").join(text.split("/"))


def _bar(found: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """Return the parts of the bar: status, start and width, in percent of the whole."""
    total = sum(found.values()) or 1
    parts, start = [], 0.0
    for status in reversed(WORST_FIRST):
        if number := found.get(status, 0):
            width = 100 * number / total
            parts.append((status, round(start, 3), round(width, 3)))
            start += width
    return parts


def _sentence(report: Report) -> str:
    """Return the verdict in words."""
    clauses = report["clauses"]
    failed = [clause for clause in clauses if shown_status(clause) == "failed"]
    open_ones = sum(shown_status(clause) == "inconclusive" for clause in clauses)
    total = len(clauses)
    match report["verdict"]:
        case "passed":
            warned = sum(shown_status(clause) in ("warning", "accepted") for clause in clauses)
            rest = f" {warned} of them with remarks." if warned else ""
            idle = sum(shown_status(clause) == "not_applicable" for clause in clauses)
            who = f"All {total} clauses" if not idle else f"All {total - idle} clauses that apply"
            return f"{who} were judged, and none fails the run.{rest}"
        case "failed" if failed:
            areas = sorted({group(clause) for clause in failed})
            are = "clauses is" if len(failed) == 1 else "clauses are"
            return f"{len(failed)} of {total} {are} violated, in: {', '.join(areas)}. The evidence is below."
        case "failed":
            return "Only accepted clauses are violated, but the list of accepted failures is out of date."
        case "inconclusive":
            one = "clause" if open_ones == 1 else "clauses"
            return f"No violation was found, but {open_ones} {one} of {total} could not be judged on this target."
    return "The kit contradicted itself. This run says nothing about the server; please report it."


def _moment(text: str) -> tuple[str, str]:
    """Return day and time of day."""
    moment = datetime.fromisoformat(text)
    zone = "UTC" if moment.utcoffset() is None or not moment.utcoffset() else moment.strftime("%z")
    return f"{moment.day} {moment:%B %Y}", f"{moment:%H:%M} {zone}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return re.sub(r"^0 min ", "", f"{whole // 60} min {whole % 60} s")
