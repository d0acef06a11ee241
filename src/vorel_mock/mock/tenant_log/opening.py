"""Opening the log that `--state` names, and what a log knows of the whole mock."""

from hashlib import sha256
from pathlib import Path

import msgspec

from vorel_mock.contract.contract import Contract
from vorel_mock.mock.tenant_log.entries import FORMAT
from vorel_mock.mock.tenant_log.interface import Log, LogError
from vorel_mock.model.clock import Clock

#: The fact that is a Whole.
WHOLE = "mock"


class Whole(msgspec.Struct, frozen=True):
    """What a log knows of the whole mock."""

    format: int
    contract: str
    """Hash of the document that it served: entries mean the same with that document alone."""
    seed: int
    drawn: int
    """Ids that the mock has drawn."""
    offset: float
    frozen_at: float | None
    """Of the mock's clock."""
    stories: dict[str, str]
    """The tenants of the fixtures, each with its story."""


def opened(path: Path | str, contract: Contract, seed: int | None) -> tuple[Log, Whole | None]:
    """Return the log at `path`, and what it knows of the mock that wrote it; None if it is new. Raises LogError."""
    from vorel_mock.mock.tenant_log.sqlite_log import SqliteLog  # a mock without a log starts sooner without it

    log = SqliteLog(Path(path))
    try:
        content = log.facts().get(WHOLE)
        return log, None if content is None else _checked(content, path, contract, seed)
    except BaseException:
        log.close()
        raise


def _checked(content: bytes, path: Path | str, contract: Contract, seed: int | None) -> Whole:
    try:
        whole = msgspec.json.decode(content, type=Whole)
    except msgspec.MsgspecError as error:
        raise LogError(f"{path}: was not written by this version of vorel-mock: {error}") from error
    if whole.format != FORMAT:
        raise LogError(
            f"{path}: has format {whole.format}, and this version of vorel-mock knows {FORMAT}. Use the version that "
            "wrote it, export its tenants there, and import them here."
        )
    if whole.contract != contract_hash(contract):
        raise LogError(f"{path}: was written for another document. Give --contract that one, or --state another file.")
    if seed is not None and seed != whole.seed:
        raise LogError(f"{path}: has the seed {whole.seed}. Leave out --seed, or give --state another file.")
    return whole


def whole(contract: Contract, seed: int, drawn: int, clock: Clock, stories: dict[str, str]) -> bytes:
    """Return what a log shall know of a mock."""
    offset, frozen_at = clock.position
    return msgspec.json.encode(Whole(FORMAT, contract_hash(contract), seed, drawn, offset, frozen_at, stories))


def contract_hash(contract: Contract) -> str:
    """Return the hash of a document."""
    return sha256(msgspec.json.encode(contract.document, order="deterministic")).hexdigest()
