"""Verify a certificate, offline: who signed it, and whether it says what somebody wants of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

from securesystemslib.signer import SSlibKey

from vorel_conformance.attestation import envelope
from vorel_conformance.attestation.envelope import CertificateError
from vorel_conformance.attestation.statements import CERTIFICATE, REPORT, STATEMENT, TEST_RESULT
from vorel_conformance.report.model import shown_status

#: Bytes of a certificate that are read: one of two hundred clauses has 100,000.
MOST = 4 << 20
#: Time by which the clock of the machine that signed may be ahead of ours.
_SKEW = timedelta(minutes=5)

#: `complete`: each clause was judged. `strict`: each was judged, and nothing was warned of or accepted.
Requirement = Literal["complete", "strict"]


@dataclass(frozen=True)
class Demands:
    """What a certificate is to show beside its signature. None: nothing of that kind."""

    report: Path | None = None
    contract: Path | None = None
    max_age: timedelta | None = None
    require: Requirement | None = None


@dataclass(frozen=True)
class Verified:
    """A certificate that its key has signed: what it says, and what it does not meet."""

    certificate: Mapping[str, Any]
    subjects: list[Mapping[str, Any]]
    problems: list[str]


def verify(path: Path, key: SSlibKey, demands: Demands, *, now: datetime | None = None) -> Verified:
    """Open a certificate and compare it with the demands. Raises CertificateError if the key did not sign it so.

    Raises OSError if a file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise CertificateError(f"longer than {MOST >> 20} MiB, which no certificate is")
    signed = envelope.opened(data, key)
    kinds = [(statement.get("_type"), statement.get("predicateType")) for statement in signed]
    if kinds != [(STATEMENT, TEST_RESULT), (STATEMENT, CERTIFICATE)]:
        raise CertificateError("must have two statements: a test result, and a certificate of vorel-conformance")
    if signed[0].get("subject") != signed[1].get("subject"):
        raise CertificateError("its two statements are about different subjects: they do not belong together")
    try:
        certificate, subjects = signed[1]["predicate"], signed[1]["subject"]
        problems = _of_files(certificate, subjects, demands)
        problems += _of_time(certificate, demands.max_age, now or datetime.now(UTC))
        problems += _of_clauses(certificate, demands.require)
    except (KeyError, TypeError, ValueError, StopIteration) as error:  # signed, but not by this kit
        raise CertificateError(f"what is signed is no certificate of vorel-conformance: {error!r}") from None
    return Verified(certificate, subjects, problems)


def _of_files(certificate: Mapping[str, Any], subjects: list[Mapping[str, Any]], demands: Demands) -> list[str]:
    found = []
    if demands.report:
        certified = next(each["digest"]["sha256"] for each in subjects if each["name"] == REPORT)
        found += _compared("report", demands.report, certified)
    if demands.contract:
        found += _compared("contract", demands.contract, certificate["contract"]["sha256"])
    return found


def _compared(what: str, path: Path, certified: str) -> list[str]:
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return [] if digest == certified else [f"{what}: {path} has sha256 {digest}; certified was {certified}"]


def _of_time(certificate: Mapping[str, Any], max_age: timedelta | None, now: datetime) -> list[str]:
    finished = datetime.fromisoformat(certificate["finished"])
    if finished > now + _SKEW:
        return [f"time: the run ended at {certificate['finished']}, which is in the future"]
    if max_age is not None and now - finished > max_age:
        oldest = (now - max_age).isoformat(timespec="seconds")
        return [f"age: the run ended at {certificate['finished']}; the oldest that is taken is of {oldest}"]
    return []


def _of_clauses(certificate: Mapping[str, Any], require: Requirement | None) -> list[str]:
    unwanted = {None: (), "complete": ("inconclusive",), "strict": ("inconclusive", "warning", "accepted")}[require]
    found = []
    for status in unwanted:
        ids = [clause["id"] for clause in certificate["clauses"] if shown_status(clause) == status]
        if ids:
            found.append(f"{require}: {status}: {', '.join(ids)}")
    return found
