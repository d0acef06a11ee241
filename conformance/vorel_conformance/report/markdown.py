"""The summary of a CI job, in GitHub's Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from vorel_conformance.report.model import (
    LOOKS,
    Report,
    counts,
    key_hint,
    place,
    remarks,
    shorten,
    shown_status,
    total_violations,
    transcript_lines,
    verdict_sentence,
    verdict_title,
    worst_first,
)

_SIGNS = {"passed": "✅", "failed": "❌", "inconclusive": "❔", "error": "‼️"}
_VIOLATIONS_SHOWN = 3
_CURL_LIMIT = 4_000


def render(report: Report) -> str:
    """Return the report as Markdown: the verdict, the clauses that have not passed with their evidence, the counts."""
    contract = report["contract"]
    lines = [
        f"## {_SIGNS[report['verdict']]} {verdict_title(report)}",
        "",
        f"{escaped(report['target'])} against contract {escaped(contract['version'])} (`{contract['sha256'][:12]}`): "
        f"{verdict_sentence(report)} "
        f"{report['requests']} requests in {report['duration_s']:.0f} s, seed {report['seed']}.",
        "",
    ]
    lines += [f"- ❌ {escaped(problem)}" for problem in report.get("accepted", {}).get("problems", [])]
    lines += [*(f"- {escaped(remark)}" for remark in remarks(report)), ""]
    lines += [f"{number}. {escaped(each['title'])} {escaped(each['fix'])}" for number, each in _causes(report)]
    lines += [""] * bool(report.get("causes"))
    shown = [clause for clause in worst_first(report["clauses"]) if shown_status(clause) != "passed"]
    if shown:
        lines += ["| | clause | level | |", "|---|---|---|---|"]
        lines += [
            f"| {LOOKS[shown_status(clause)].word} | `{clause['id']}` | {clause['level']} "
            f"| {escaped(_remark(clause))} |"
            for clause in shown
        ]
        lines.append("")
    for clause in shown:
        if clause["violations"]:
            lines += _evidence(clause)
    passed = counts(report).get("passed", 0)
    lines.append(f"{passed} of {len(report['clauses'])} clauses passed. The levels are the kit's own.")
    return "\n".join(lines) + "\n"


def _causes(report: Report) -> Iterable[tuple[int, Mapping[str, Any]]]:
    return enumerate(report.get("causes", ()), 1)


def _remark(clause: Mapping[str, Any]) -> str:
    if accepted := clause.get("accepted"):
        return f"{clause['title']} — accepted until {accepted['expires']} ({accepted['owner']}): {accepted['reason']}"
    return f"{clause['title']} — {clause['reason']}" if clause.get("reason") else clause["title"]


def _evidence(clause: Mapping[str, Any]) -> list[str]:
    violations = clause["violations"]
    lines = [
        f"<details><summary><code>{escaped(clause['id'])}</code> {escaped(clause['title'])}</summary>",
        "",
        f"> {escaped(clause['quote'])}",
        f"> — `{clause['pointer'] or place(clause)}`",
        "",
    ]
    for violation in violations[:_VIOLATIONS_SHOWN]:
        flaky = violation.get("flaky")
        often = f" (flaky: {flaky['failed']} of {flaky['of']} tries)" if flaky else ""
        lines.append(f"{escaped(violation['message'])}{often}")
        lines += [f"- {word}: {escaped(violation[word])}" for word in ("expected", "got") if violation.get(word)]
        if "situation" in violation:
            lines += [f"- situation: {escaped(violation['about'])}", "", "~~~text"]
            lines += [line.replace("~~~", "~ ~ ~") for line in transcript_lines(violation)]
            lines += ["~~~", "", f"Again: `{_code(violation['again'])}`"]
        curl = violation["curl"]
        if 0 < len(curl) <= _CURL_LIMIT:
            fence = "`" * max(3, max(map(len, re.findall("`+", curl)), default=0) + 1)
            lines += ["", f"{fence}bash", curl, fence]
        elif curl:
            lines += ["", "The request is too long for this summary. The other reports contain it."]
        lines += [escaped(key_hint(violation)), ""]
    if (more := total_violations(clause) - len(violations[:_VIOLATIONS_SHOWN])) > 0:
        lines += [f"… and {more} more.", ""]
    return [*lines, "</details>", ""]


def _code(value: str) -> str:
    """Return one line without what would end a span of code."""
    return shorten(value, 600).replace("`", "'")


def escaped(value: object) -> str:
    """Return one line of text, escaped for Markdown and HTML."""
    plain = html.escape(shorten(str(value), 600), quote=False)
    return re.sub(r"[\\`*_{}\[\]()#+!|~@]", lambda match: f"&#{ord(match[0])};", plain)
