"""The only source of randomness: with one seed, the same calls in the same order give the same ids."""

import secrets
import struct
from binascii import hexlify
from collections.abc import Callable
from hashlib import blake2b

#: What makes random bits a version 4 UUID (RFC 9562, 5.4), four times: the bits that stay, those that are set.
_RANDOM = int("ffffffffffff0fff3fffffffffffffff" * 4, 16)
_VERSION = int("00000000000040008000000000000000" * 4, 16)
_GROUPS = struct.Struct("8s4s4s4s12s" * 4).unpack
_FOUR = b"%b-%b-%b-%b-%b " * 4


class Ids:
    """A stream of identifiers drawn from one seed; `stream` names it, so that one tenant's ids never move another's.

    The n-th draw is a hash of seed, stream and n: all the state there is, is `drawn`, and a snapshot can hold it.
    """

    __slots__ = ("_block", "_block_number", "_key", "drawn", "seed", "stream")

    def __init__(self, seed: int, stream: str = "", drawn: int = 0) -> None:
        self.seed = seed
        self.stream = stream
        self.drawn = drawn
        self._key = blake2b(f"{seed}/{stream}".encode()).digest()
        self._block_number, self._block = -1, _uuids(bytes(64))

    def _draw(self) -> str:
        """The next draw: 128 hexadecimal digits."""
        self.drawn = drawn = self.drawn + 1
        return blake2b(b"%d" % drawn, key=self._key).hexdigest()

    def copy(self) -> "Ids":
        """A stream that goes on as this one would, and leaves this one where it is."""
        return Ids(self.seed, self.stream, self.drawn)

    def uuid(self) -> str:
        """A UUID, version 4, in canonical lower case."""
        self.drawn = drawn = self.drawn + 1
        number, part = divmod(drawn, 4)
        if number != self._block_number:
            self._block_number, self._block = number, _uuids(blake2b(b"u%d" % number, key=self._key).digest())
        return self._block[part]

    def hex(self, length: int) -> str:
        """`length` (128 at most) lower-case hexadecimal digits."""
        return self._draw()[:length]

    def digits(self, length: int) -> str:
        """`length` decimal digits, the first not zero."""
        lowest = int(10 ** (length - 1))
        return str(lowest + int(self._draw(), 16) % (9 * lowest))

    def letters(self, length: int, alphabet: str) -> str:
        """`length` (64 at most) characters of `alphabet`."""
        number, made = int(self._draw(), 16), []
        for _ in range(length):
            number, index = divmod(number, len(alphabet))
            made.append(alphabet[index])
        return "".join(made)

    def chance(self) -> float:
        """A number in [0, 1)."""
        return int(self._draw()[:13], 16) / (1 << 52)


class SharedIds(Ids):
    """A stream whose numbers `number` gives, because others draw from it as well."""

    __slots__ = ("_number",)

    def __init__(self, seed: int, stream: str, number: Callable[[], int]) -> None:
        super().__init__(seed, stream)
        self._number = number

    def uuid(self) -> str:
        """A UUID, version 4, in canonical lower case."""
        self.drawn = self._number() - 1
        return super().uuid()


def undrawn(draw: Callable[[], str], taken: Callable[[str], object]) -> str:
    """Draw until the result is not `taken`, and return it.

    A snapshot that was restored brings ids that this mock, with the same seed, would draw later.
    """
    while taken(drawn := draw()):
        pass
    return drawn


def fresh_seed() -> int:
    """Return a random seed, small enough to be typed again."""
    return secrets.randbelow(2**32)


def fresh_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def _uuids(digest: bytes) -> list[str]:
    """Return four UUIDs made of 64 bytes: a hash for each would be the larger part of what a handoff spends on ids."""
    digits = hexlify((int.from_bytes(digest) & _RANDOM | _VERSION).to_bytes(64))
    return (_FOUR % _GROUPS(digits)).decode().split()
