"""Report files: JSON, JUnit XML, HTML, SARIF and a badge, written from one dict (see `report.schema.json`)."""

from __future__ import annotations

import json as json_format
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from vorel_conformance.http.redact import redactor
from vorel_conformance.report import badge as badges
from vorel_conformance.report import html as html_page
from vorel_conformance.report import junit as junit_xml
from vorel_conformance.report import sarif as sarif_log
from vorel_conformance.report.model import Report, counts, verdict, worst_first

__all__ = [
    "SCHEMA",
    "check_writable",
    "counts",
    "descriptor",
    "is_device",
    "remove",
    "replace",
    "schema",
    "verdict",
    "worst_first",
    "write",
]

SCHEMA = Path(__file__).with_name("report.schema.json")


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a report."""
    found: dict[str, Any] = json_format.loads(SCHEMA.read_text(encoding="utf-8"))
    return found


def write(
    report: Report,
    *,
    json: Path | None = None,
    junit: Path | None = None,
    html: Path | None = None,
    sarif: Path | None = None,
    badge: Path | None = None,
    secrets: Iterable[str] = (),
) -> None:
    """Write the reports that have a path, each complete or not at all. Creates missing folders.

    Redacts `secrets`, and everything with the form of a key, once more: no writer relies on a redacted `report`.
    Raises OSError with the files that could not be written. The other files are written.
    """
    report = redactor(secrets)(report)
    renderers: list[tuple[Path | None, Callable[[Report], str]]] = [
        (json, _render_json),
        (junit, junit_xml.render),
        (html, html_page.render),
        (sarif, sarif_log.render),
        (badge, lambda report: badges.render(report, badge or Path())),
    ]
    problems = []
    for path, render in renderers:
        if path is None:
            continue
        text = render(report)
        try:
            replace(path, text.encode("utf-8", "replace"))  # a lone surrogate cannot be encoded in UTF-8
        except OSError as error:
            problems.append(_problem(path, error))
    if problems:
        raise OSError("; ".join(problems))


def check_writable(*paths: Path | None) -> None:
    """Check before a run that its reports can be written. Raises OSError with the path and the reason."""
    for path in paths:
        if path is None or is_device(path):
            continue
        try:
            if path.is_dir():
                raise IsADirectoryError(0, "is a folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            part = _part(path)
            part.close()
            Path(part.name).unlink()
        except OSError as error:
            raise OSError(_problem(path, error)) from error


def remove(*paths: Path | None) -> None:
    """Remove the reports of an earlier run: if this one ends without a report, nobody takes the old one for its own.

    Raises OSError with the path and the reason.
    """
    for path in paths:
        if path is not None and not is_device(path):
            try:
                path.resolve().unlink(missing_ok=True)
            except OSError as error:
                raise OSError(_problem(path, error)) from error


def _render_json(report: Report) -> str:
    return json_format.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _problem(path: Path, error: OSError) -> str:
    return f"cannot write the report {path}: {(error.strerror or str(error)).lower()}"


_OPEN_FILE = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")


def descriptor(path: Path) -> int | None:
    """Return the number of the open file that a path stands for: `-`, /dev/stdout, /dev/stderr, /dev/fd/3."""
    named = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}.get(str(path))
    found = _OPEN_FILE.fullmatch(str(path))
    return int(found[1]) if found else named


def is_device(path: Path) -> bool:
    """Return True for a pipe, a terminal or the standard output, which are written to but never replaced."""
    if descriptor(path) is not None:
        return True
    return path.absolute().is_relative_to("/dev") or (path.exists() and not path.is_file() and not path.is_dir())


def _part(path: Path) -> IO[bytes]:
    """Open a new file in the folder of the report, so that the last step of writing is a rename.

    Others may write to that folder: the name cannot be guessed, and the file must not exist yet, not even as a link.
    """
    real = path.resolve()
    name = real.with_name(f".{real.name[:100]}.{uuid.uuid4().hex}.part")
    return name.open("xb")


def replace(path: Path, data: bytes) -> None:
    """Write a file completely or not at all. Creates missing folders. Raises OSError."""
    number = descriptor(path)
    if number is not None:
        # Opened by its name, a file that the shell has opened would be cut off, and others would write over the report.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with os.fdopen(os.dup(number), "wb") as opened:
            opened.write(data)
        return
    if is_device(path):
        with path.open("wb") as device:
            device.write(data)
        return
    if path.is_dir():
        raise IsADirectoryError(0, "is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    try:
        with part:
            part.write(data)
        Path(part.name).replace(path.resolve())
    finally:
        Path(part.name).unlink(missing_ok=True)
