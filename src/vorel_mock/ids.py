"""The only source of randomness: with one seed, the same calls in the same order give the same ids."""

import secrets
from hashlib import blake2b

_BITS = 512


class Ids:
    """A stream of identifiers drawn from one seed; `stream` names it, so that one tenant's ids never move another's.

    The n-th draw is a hash of seed, stream and n: all the state there is, is `drawn`, and a snapshot can hold it.
    """

    __slots__ = ("_key", "drawn", "seed", "stream")

    def __init__(self, seed: int, stream: str = "", drawn: int = 0) -> None:
        self.seed = seed
        self.stream = stream
        self.drawn = drawn
        self._key = blake2b(f"{seed}/{stream}".encode()).digest()

    def _draw(self) -> int:
        """A number of 512 bits."""
        self.drawn += 1
        return int.from_bytes(blake2b(self.drawn.to_bytes(8, "big"), key=self._key).digest(), "big")

    def copy(self) -> "Ids":
        """A stream that goes on as this one would, and leaves this one where it is."""
        return Ids(self.seed, self.stream, self.drawn)

    def uuid(self) -> str:
        """A UUID, version 4, in canonical lower case."""
        h = f"{self._draw():0128x}"
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:32]}"

    def hex(self, length: int) -> str:
        """`length` (128 at most) lower-case hexadecimal digits."""
        return f"{self._draw():0128x}"[:length]

    def digits(self, length: int) -> str:
        """`length` decimal digits, the first not zero."""
        lowest = int(10 ** (length - 1))
        return str(lowest + self._draw() % (9 * lowest))

    def letters(self, length: int, alphabet: str) -> str:
        """`length` (64 at most) characters of `alphabet`."""
        number, made = self._draw(), []
        for _ in range(length):
            number, index = divmod(number, len(alphabet))
            made.append(alphabet[index])
        return "".join(made)

    def chance(self) -> float:
        """A number in [0, 1)."""
        return self._draw() / (1 << _BITS)


def fresh_seed() -> int:
    """A seed nobody chose, small enough to be typed again."""
    return secrets.randbelow(2**32)
