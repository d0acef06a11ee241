"""Key pairs for certificates: Ed25519, in PEM files, the private one with a passphrase or without."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey

#: Bytes of a key file that are read: a key has a few hundred.
_MOST = 10_000


class KeyFileError(Exception):
    """A key file cannot be used. The message names the file and says what to do. It never shows a key."""


def check_new(path: Path) -> Path:
    """Return the path of the public key that belongs to `path`. Raises KeyFileError if one of the two exists."""
    public = path.with_name(f"{path.name}.pub")
    for file in (path, public):
        if file.exists():
            raise KeyFileError(f"{file} exists already; nothing was written")
    return public


def generate(path: Path, passphrase: str) -> tuple[Path, str]:
    """Write a new private key to `path`, for its owner alone, and the public one beside it.

    Returns the path and the id of the public key. An empty passphrase leaves the private key unencrypted. Raises
    KeyFileError if one of the files exists already, or cannot be written.
    """
    public = check_new(path)
    secret = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    pem = secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    public_pem = secret.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for file, data, mode in ((path, pem, 0o600), (public, public_pem, 0o644)):
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
                opened.write(data)
        except OSError as error:
            raise KeyFileError(f"{file}: cannot be written: {(error.strerror or str(error)).lower()}") from error
    return public, load_public(public).keyid


def load_signer(path: Path, ask_passphrase: Callable[[], str]) -> CryptoSigner:
    """Return the signer of a private key. `ask_passphrase` is called if the key has one. Raises KeyFileError."""
    pem = _read(path)
    if b"PRIVATE KEY" not in pem:
        hint = "it is the public one; sign with the other file" if b"PUBLIC KEY" in pem else "see keygen"
        raise KeyFileError(f"{path}: not a private key in PEM: {hint}")
    try:
        try:
            secret = serialization.load_pem_private_key(pem, None)
        except TypeError:  # what the library says of a key with a passphrase
            secret = serialization.load_pem_private_key(pem, ask_passphrase().encode())
    except TypeError:
        raise KeyFileError(f"{path}: has a passphrase; set VOREL_SIGN_PASSPHRASE") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: cannot be read: the passphrase is wrong, or the file is damaged") from None
    if not isinstance(secret, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: not an Ed25519 key; make one with `vorel-conformance keygen FILE`")
    return CryptoSigner(secret)


def load_public(path: Path) -> SSlibKey:
    """Return a public key. Raises KeyFileError."""
    pem = _read(path)
    if b"PRIVATE KEY" in pem:
        raise KeyFileError(f"{path}: a private key; keep it, and give its .pub file to those who verify")
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path}: not an Ed25519 key")
    return SSlibKey.from_crypto(key)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
