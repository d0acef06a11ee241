"""Opening the log that `--state` names, and what a log knows of the whole mock."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import msgspec

from vorel_mock.contract.contract import Contract
from vorel_mock.mock.settings import is_redis
from vorel_mock.mock.tenant_log.entries import FORMAT
from vorel_mock.mock.tenant_log.interface import NUMBER, Log, LogError
from vorel_mock.model.clock import Clock

#: The fact that is a Whole.
WHOLE = "mock"
#: The fact that is the number of ids that the mock has drawn.
DRAWN = "drawn"


class Whole(msgspec.Struct, frozen=True):
    """What a log knows of the whole mock."""

    format: int
    contract: str
    """Hash of the document that it served: entries mean the same with that document alone."""
    seed: int
    offset: float
    frozen_at: float | None
    """Of the mock's clock."""
    stories: dict[str, str]
    """The tenants of the fixtures, each with its story."""


@dataclass(frozen=True, slots=True)
class Past:
    """A mock as its log knows it: the whole, the requests it has numbered, the ids it has drawn."""

    whole: Whole
    number: int
    drawn: int


def opened(place: Path | str, contract: Contract, seed: int | None) -> tuple[Log, Past | None]:
    """Return the log at `place`, and what it knows of the mock that wrote it; None if it is new. Raises LogError."""
    log, shown = _log(place)
    try:
        facts = log.facts()
        if not facts:
            return log, None
        whole = _checked(facts[WHOLE], shown, contract, seed)
        return log, Past(whole, int(facts.get(NUMBER, b"0")), int(facts.get(DRAWN, b"0")))
    except BaseException:
        log.close()
        raise


def _log(place: Path | str) -> tuple[Log, str]:
    # Neither is imported without need: a mock that keeps nothing starts sooner.
    if isinstance(place, str) and is_redis(place):
        try:
            from vorel_mock.mock.tenant_log.redis_log import RedisLog
        except ImportError as error:
            raise LogError(f"{error}. Install what --state needs for Redis: pip install 'vorel-mock[redis]'") from error
        shared = RedisLog(place)
        return shared, shared.url
    from vorel_mock.mock.tenant_log.sqlite_log import SqliteLog

    return SqliteLog(Path(place)), str(place)


def read(content: bytes) -> Whole:
    """Return what a log knows of a mock. Raises LogError."""
    try:
        return msgspec.json.decode(content, type=Whole)
    except msgspec.MsgspecError as error:
        raise LogError(f"the log was not written by this version of vorel-mock: {error}") from error


def _checked(content: bytes, path: str, contract: Contract, seed: int | None) -> Whole:
    whole = read(content)
    if whole.format != FORMAT:
        raise LogError(
            f"{path}: has format {whole.format}, and this version of vorel-mock knows {FORMAT}. Use the version that "
            "wrote it, export its tenants there, and import them here."
        )
    if whole.contract != contract_hash(contract):
        raise LogError(f"{path}: was written for another document. Give --contract that one, or --state another place.")
    if seed is not None and seed != whole.seed:
        raise LogError(f"{path}: has the seed {whole.seed}. Leave out --seed, or give --state another place.")
    return whole


def facts(contract: Contract, seed: int, drawn: int, clock: Clock, stories: dict[str, str]) -> dict[str, bytes]:
    """Return what a log shall know of a mock."""
    offset, frozen_at = clock.position
    whole = Whole(FORMAT, contract_hash(contract), seed, offset, frozen_at, stories)
    return {WHOLE: msgspec.json.encode(whole), DRAWN: b"%d" % drawn}


@lru_cache(maxsize=4)
def contract_hash(contract: Contract) -> str:
    """Return the hash of a document."""
    return sha256(msgspec.json.encode(contract.document, order="deterministic")).hexdigest()
