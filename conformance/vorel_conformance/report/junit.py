"""JUnit XML for CI servers: one test case for each clause, one suite for the run."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # writes only; nothing is parsed here
from collections.abc import Mapping
from typing import Any

from vorel_conformance.report.model import (
    Report,
    body_text,
    key_hint,
    place,
    remarks,
    shown_status,
    total_violations,
    transcript_lines,
    verdict_sentence,
)

# Characters that XML 1.0 cannot contain, not even as references.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BODY_LIMIT = 4_000


def render(report: Report) -> str:
    """Return the report as JUnit XML."""
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite")
    properties = ET.SubElement(suite, "properties")
    facts = {
        "target": report["target"],
        "contract": f"{report['contract']['version']} {report['contract']['sha256']}",
        "seed": report["seed"],
        "requests": report["requests"],
        "verdict": report["verdict"],
    }
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=_xml(value))
    told = {name: cause for cause in report.get("causes", ()) for name in cause["clauses"][1:]}
    for clause in report["clauses"]:
        _case(suite, clause, told.get(clause["id"]))
    for problem in report.get("accepted", {}).get("problems", []):
        case = ET.SubElement(suite, "testcase", classname="accepted-failures", name=_xml(problem))
        ET.SubElement(case, "failure", type="accepted-failures", message=_xml(problem))
    totals = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
    }
    numbers = {name: str(value) for name, value in totals.items()} | {"time": f"{report['duration_s']:.3f}"}
    for element in (suites, suite):
        element.attrib |= {"name": "vorel-conformance"} | numbers
    # The junit-10 schema does not allow these on the outer element.
    suite.attrib |= {"skipped": str(len(suite.findall("testcase/skipped"))), "timestamp": _xml(report["started"])}
    ET.SubElement(suite, "system-out").text = _xml("\n".join([verdict_sentence(report), *remarks(report)]))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _case(suite: ET.Element, clause: Mapping[str, Any], cause: Mapping[str, Any] | None) -> None:
    """Add the test case of a clause. `cause`: what violates it, and is told in full by another clause."""
    group, _, name = clause["id"].partition(".")
    case = ET.SubElement(suite, "testcase", classname=_xml(group), name=_xml(f"{name}: {clause['title']}"))
    if "duration_s" in clause:
        case.set("time", f"{clause['duration_s']:.3f}")
    status, first = shown_status(clause), _first_message(clause)
    if status in ("failed", "error"):
        tag = "failure" if status == "failed" else "error"
        if cause:
            first = f"{first} (the same cause as {cause['clauses'][0]}: {cause['title']})"
        ET.SubElement(case, tag, type=_xml(clause["level"]), message=_xml(first)).text = _xml(evidence(clause))
    elif status == "accepted":
        accepted = clause["accepted"]
        why = f"accepted until {accepted['expires']} ({accepted['owner']}): {accepted['reason']}"
        ET.SubElement(case, "skipped", type=status, message=_xml(why))
    elif status in ("inconclusive", "not_applicable"):
        ET.SubElement(case, "skipped", type=status, message=_xml(clause.get("reason", status.replace("_", " "))))
    if status in ("warning", "accepted"):
        ET.SubElement(case, "system-out").text = _xml(evidence(clause))


def _first_message(clause: Mapping[str, Any]) -> str:
    violations = clause["violations"]
    return str(violations[0]["message"] if violations else clause.get("reason", clause["title"]))


def evidence(clause: Mapping[str, Any]) -> str:
    """Return the quote, the violations and the curl lines of a clause as text."""
    lines = [f"{_says(clause)}, at {clause['pointer'] or place(clause)}:", f"  “{clause['quote']}”"]
    if clause.get("reason"):
        lines += ["", clause["reason"]]
    for number, violation in enumerate(clause["violations"], 1):
        lines += ["", f"{number}. {violation['message']}"]
        if flaky := violation.get("flaky"):
            lines.append(f"   flaky: seen in {flaky['failed']} of {flaky['of']} tries")
        for word in ("expected", "got"):
            if violation.get(word):
                lines.append(f"   {word}: {violation[word]}")
        if response := violation["response"]:
            text, cut = body_text(response, _BODY_LIMIT)
            lines.append(f"   response: {response['status']} {text}" + (f" … {cut} more characters" if cut else ""))
        elif violation.get("failure"):
            lines.append(f"   no response: {violation['failure']}")
        if "situation" in violation:
            lines.append(f"   situation: {violation['situation']}: {violation['about']}")
            lines += [f"   {line}" for line in transcript_lines(violation)]
            lines.append(f"   again: {violation['again']}")
        if violation["curl"]:
            lines.append(f"   {violation['curl']}")
        if hint := key_hint(violation):
            lines.append(f"   ({hint})")
    if (more := total_violations(clause) - len(clause["violations"])) > 0:
        lines += ["", f"… and {more} more"]
    return "\n".join(lines)


def _says(clause: Mapping[str, Any]) -> str:
    return "It is said" if clause.get("document") else "The contract says"


def _xml(value: object) -> str:
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", str(value))
