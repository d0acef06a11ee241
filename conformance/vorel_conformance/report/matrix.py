"""Several reports side by side: implementations across, clauses down, as Markdown or as an HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from vorel_conformance.http.harmless import harmless
from vorel_conformance.report import html
from vorel_conformance.report.markdown import escaped
from vorel_conformance.report.model import LOOKS, Report, shown_status, verdict_title


@dataclass(frozen=True)
class Implementation:
    """A column: the name that the reader sees, and the report."""

    name: str
    report: Report


@dataclass(frozen=True)
class Row:
    """A clause, and its status for each implementation; None for one whose report does not have it."""

    clause: str
    level: str
    title: str
    statuses: tuple[str | None, ...]


def rows(implementations: Sequence[Implementation]) -> list[Row]:
    """Return the rows, in the order of the reports. Raises ValueError if the reports are of different kinds."""
    kinds = {each.report.get("kind", "server") for each in implementations}
    if len(kinds) > 1:
        raise ValueError("some reports are of servers and some of integrations; make a matrix of each")
    clauses = {clause["id"]: clause for each in reversed(implementations) for clause in each.report["clauses"]}
    statuses = [{clause["id"]: shown_status(clause) for clause in each.report["clauses"]} for each in implementations]
    return [
        Row(name, clause["level"], clause["title"], tuple(each.get(name) for each in statuses))
        for name, clause in clauses.items()
    ]


def markdown(implementations: Sequence[Implementation]) -> str:
    """Return the matrix as a table in Markdown."""
    lines = [
        "| clause | level | " + " | ".join(escaped(each.name) for each in implementations) + " |",
        "|---|---|" + "---|" * len(implementations),
        "| *verdict* | | " + " | ".join(escaped(verdict_title(each.report)) for each in implementations) + " |",
    ]
    for row in rows(implementations):
        cells = [f"{LOOKS[each].sign} {LOOKS[each].word}" if each else "not asked" for each in row.statuses]
        lines.append(f"| `{row.clause}` | {row.level} | {' | '.join(cells)} |")
    lines += ["", "| | target | contract | run |", "|---|---|---|---|"]
    for each in implementations:
        report = each.report
        lines.append(
            f"| {escaped(each.name)} | {escaped(harmless(report['target']))} | `{report['contract']['sha256'][:12]}` "
            f"| {report['started'][:10]}, {report['tool']['name']} {escaped(report['tool']['version'])} |"
        )
    return "\n".join(lines) + "\n"


def page(implementations: Sequence[Implementation]) -> str:
    """Return the matrix as one HTML file."""
    style = html.source("style.css")
    return (
        html.environment()
        .get_template("matrix.html")
        .render(
            implementations=implementations,
            verdicts=[verdict_title(each.report) for each in implementations],
            rows=rows(implementations),
            style=Markup(style),  # noqa: S704 - our own file, no text of a report
            style_hash=html.hash_of(style),
        )
    )
