"""The file of a certificate: an in-toto bundle, one signed envelope (DSSE) a line, one for each statement."""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from vorel_conformance.attestation.statements import Statement

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class CertificateError(Exception):
    """A file is no certificate, or not one that the key has signed. The message says why."""


def sign(statements: Iterable[Statement], signer: CryptoSigner) -> bytes:
    """Return the statements, signed, as a file has them."""
    return b"".join(_line(_signed(statement, signer)) for statement in statements)


def opened(data: bytes, key: SSlibKey) -> list[Statement]:
    """Return the statements that `key` has signed. Raises CertificateError if anything in the file is not as signed.

    The signature covers the statement. What is around it (white space, the spelling of base64, other members) could be
    changed without a trace; so the file must be byte for byte what signing this statement writes.
    """
    lines = data.splitlines(keepends=True)
    if not lines:
        raise CertificateError("is empty")
    return [_opened(line, key, f"line {number}") for number, line in enumerate(lines, 1)]


def _signed(statement: Statement, signer: CryptoSigner) -> Envelope:
    envelope = Envelope(_json(statement), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return envelope


def _opened(line: bytes, key: SSlibKey, where: str) -> Statement:
    try:
        envelope = Envelope.from_dict(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, FormatError, binascii.Error):
        raise CertificateError(f"{where}: not a signed envelope (DSSE) in JSON") from None
    if key.keyid not in envelope.signatures:
        signers = ", ".join(str(keyid)[:16] for keyid in list(envelope.signatures)[:3]) or "nobody"
        raise CertificateError(f"{where}: signed by {signers}, not by the key {key.keyid[:16]}")
    try:
        envelope.verify([key], 1)
    except VerificationError:
        raise CertificateError(f"{where}: the signature is wrong: it was changed, or another key signed it") from None
    if envelope.payload_type != PAYLOAD_TYPE or len(envelope.signatures) != 1 or _line(envelope) != line:
        raise CertificateError(f"{where}: was changed around what is signed; get the original file")
    try:
        statement = json.loads(envelope.payload)
    except (ValueError, RecursionError):
        statement = None
    if not isinstance(statement, dict):
        raise CertificateError(f"{where}: what is signed is no statement")
    return statement


def _line(envelope: Envelope) -> bytes:
    return _json(envelope.to_dict()) + b"\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
