"""The commands `keygen` and `verify`: certificates that others can check."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import click

from vorel_conformance.cli.common import FAILED, FILE, USAGE, ask_passphrase, needs_extra, say, stop

_AGE = re.compile(r"([0-9]{1,5})([dhw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@click.command()
@click.argument("file", type=FILE)
def keygen(file: Path) -> None:
    """Make a key pair to sign certificates with: FILE, which is secret, and FILE.pub, for those who verify.

    Asks for a passphrase, or takes it from VOREL_SIGN_PASSPHRASE; an empty one leaves FILE unencrypted.
    """
    needs_extra()
    from vorel_conformance.attestation.keys import KeyFileError, check_new, generate

    try:
        check_new(file)
        public, keyid = generate(file, ask_passphrase(confirm=True))
    except (KeyFileError, ValueError) as error:
        stop(USAGE, str(error))
    say(f"Wrote {file} (keep it secret) and {public}, key {keyid[:16]}.")


@click.command()
@click.argument("file", type=FILE)
@click.option("--key", "key_file", type=FILE, required=True, help="Public key of who signed.")
@click.option("--report", type=FILE, help="The JSON report that must be the certified one.")
@click.option("--contract", type=FILE, help="The document that must be the one tested against.")
@click.option("--max-age", metavar="AGE", help="The run must be no older, for example 90d, 12h or 4w.")
@click.option(
    "--require",
    type=click.Choice(["complete", "strict"]),
    help="complete: no clause is inconclusive; strict: and none is warned of or accepted.",
)
def verify(
    file: Path, key_file: Path, report: Path | None, contract: Path | None, max_age: str | None, require: str | None
) -> None:
    """Verify the certificate FILE, offline. Exit 0 if all holds, 1 with a line for each thing that does not."""
    needs_extra()
    from vorel_conformance.attestation import verification
    from vorel_conformance.attestation.envelope import CertificateError
    from vorel_conformance.attestation.keys import KeyFileError, load_public

    try:
        age = _age(max_age) if max_age else None
        demands = verification.Demands(report, contract, age, require)  # type: ignore[arg-type] # click checks it
        found = verification.verify(file, load_public(key_file), demands)
    except (KeyFileError, ValueError) as error:
        stop(USAGE, str(error))
    except OSError as error:
        stop(USAGE, f"{error.filename}: cannot be read: {(error.strerror or str(error)).lower()}")
    except CertificateError as error:
        stop(FAILED, f"{file}: {error}")
    certificate = found.certificate
    counted: dict[str, int] = {}
    for clause in certificate["clauses"]:
        status = "accepted" if clause.get("accepted") else clause["status"]
        counted[status] = counted.get(status, 0) + 1
    say(f"{file}: signed by the key of {key_file}.")
    say(f"  {certificate['kind']}: {certificate['target']}, {certificate['finished']}")
    say(f"  clauses: {', '.join(f'{number} {status}' for status, number in counted.items())}")
    say(f"  contract: sha256 {certificate['contract']['sha256']}")
    for subject in found.subjects:
        say(f"  subject: {subject['name']}, sha256 {subject['digest']['sha256']}")
    for problem in found.problems:
        say(f"Does not hold: {problem}", err=True)
    if found.problems:
        raise SystemExit(FAILED)


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if not found:
        raise ValueError(f"--max-age {text}: no age; write a number and d, h or w, such as 90d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
