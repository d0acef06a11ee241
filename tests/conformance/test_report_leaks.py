"""No writer shows a key, even from a report that is not redacted."""

import base64
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from rich.console import Console
from tests.conformance import report_samples as samples

from vorel_conformance import report
from vorel_conformance.report import terminal

SHAPED = samples.KEY
ODD = "an-odd secret/of=another+shape"


def leaky() -> dict[str, Any]:
    """Return a report that contains both secrets, in several spellings, in each of its texts."""
    text = " ".join(
        spelled
        for secret in (SHAPED, ODD)
        for spelled in (
            secret,
            secret.upper(),
            quote(secret, safe=""),
            "".join(f"\\u{ord(char):04x}" for char in secret),
            base64.b64encode(b"x" + secret.encode()).decode(),
        )
    )
    made = samples.one_of_each(writes=[text], stopped=text, target=f"http://127.0.0.1/{text}")
    for clause in made["clauses"]:
        if clause["status"] != "passed":
            clause["reason"] = text
        for violation in clause["violations"]:
            violation |= dict.fromkeys(("message", "expected", "got", "curl", "test"), text)
            violation["request"] |= {
                "url": text,
                "path": text,
                "body": text,
                "headers": [["Authorization", f"Bearer {text}"]],
            }
            violation["response"] |= {"body": text, "headers": [[text, text]]}
    made["accepted"] = {
        "entries": [{"clause": "x.y", "reason": text, "owner": text, "expires": "2027-01-31", "state": "unused"}],
        "problems": [text],
    }
    return made


def leaks(text: str) -> list[str]:
    """Return the secrets that a text contains, plain or decoded."""
    text = "".join(text.lower().split())
    return [
        part
        for part in (
            SHAPED[:22],
            SHAPED[22:],
            "".join(ODD.lower().split()),
            quote(ODD, safe="").lower(),
            "\\u0076\\u0061",
        )
        if part in text
    ] + [secret for secret in (SHAPED, ODD) if base64.b64encode(b"x" + secret.encode()).decode()[3:-4].lower() in text]


def write(kind: str, path: Path, secrets: list[str]) -> None:
    paths = {name: path if name == kind else None for name in ("json", "junit", "html", "sarif")}
    report.write(
        leaky(), json=paths["json"], junit=paths["junit"], html=paths["html"], sarif=paths["sarif"], secrets=secrets
    )


def test_the_probe_sees_a_leak() -> None:
    assert len(leaks(json.dumps(leaky()))) >= 5


@pytest.mark.parametrize("kind", ["json", "junit", "html", "sarif"])
def test_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "report"
    write(kind, path, [SHAPED, ODD])
    text = path.read_text(encoding="utf-8")
    assert "VOREL_API_KEY" in text
    assert leaks(text) == []


@pytest.mark.parametrize("kind", ["json", "junit", "html", "sarif"])
def test_a_key_by_its_shape_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "report"
    write(kind, path, [])
    assert SHAPED[:22] not in path.read_text(encoding="utf-8").lower()


def test_terminal_annotations_and_job_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    out = io.StringIO()
    terminal.summary(leaky(), Console(file=out, width=200), secrets=[SHAPED, ODD])
    assert "::error" in out.getvalue()
    assert leaks(out.getvalue()) == []
    assert leaks((tmp_path / "summary.md").read_text(encoding="utf-8")) == []
