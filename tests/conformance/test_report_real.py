"""A real run, its files, and the curl line of its report."""

import json
import os
import subprocess
from pathlib import Path

import jsonschema_rs
from tests.conformance.proof_runner import LIMIT, WINDOW, certify
from tests.conformance.reference import FAULTS, serve

from vorel_conformance import report


def test_a_real_report_keeps_the_schema_and_its_curl_lines_reproduce(tmp_path: Path) -> None:
    fault = next(fault for fault in FAULTS if fault.id == "wrong_field_named")
    paths = [tmp_path / name for name in ("r.json", "r.xml", "r.html", "r.sarif")]
    with serve(None, fault, limit=LIMIT, window=WINDOW) as running:
        made = certify(running, clauses=("envelope", "scope"))
        report.write(made, json=paths[0], junit=paths[1], html=paths[2], sarif=paths[3])
        written = json.loads(paths[0].read_text(encoding="utf-8"))
        validator = jsonschema_rs.Draft202012Validator(report.schema(), validate_formats=True)
        assert [error.message for error in validator.iter_errors(written)] == []
        violation = next(each for clause in written["clauses"] for each in clause["violations"])
        kind, _, index = violation["request"]["key"].partition(".")
        assert kind == "full"
        keys = running.profile["keys"]["full"]
        # The pacing leaves a part of every limit unused, enough for one more request on this key.
        again = subprocess.run(
            ["bash", "-c", violation["curl"]],
            env={"PATH": os.environ["PATH"], "VOREL_API_KEY": keys[int(index)], "NO_PROXY": "*"},
            capture_output=True,
            timeout=30,
            check=True,
        )
        head, _, body = again.stdout.partition(b"\r\n\r\n")
    assert head.split()[1] == str(violation["response"]["status"]).encode()
    assert body.decode() == violation["response"]["body"]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert not any(key[:22] in text for key in [*keys, *running.profile["keys"]["burst"]])
