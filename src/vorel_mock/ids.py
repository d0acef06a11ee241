"""The only source of randomness: with one seed, the same calls in the same order give the same ids."""

import random
import secrets


class Ids:
    """A stream of identifiers drawn from one seed; `stream` names it, so that one tenant's ids never move another's."""

    __slots__ = ("_random",)

    def __init__(self, seed: int, stream: str = "") -> None:
        # Not for secrecy: a mock's ids must be reproducible.
        self._random = random.Random(f"{seed}/{stream}")  # noqa: S311

    def uuid(self) -> str:
        """A UUID, version 4, in canonical lower case."""
        n = self._random.getrandbits(128)
        h = f"{n:032x}"
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[n & 3]}{h[17:20]}-{h[20:]}"

    def hex(self, length: int) -> str:
        """`length` lower-case hexadecimal digits."""
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def digits(self, length: int) -> str:
        """`length` decimal digits, the first not zero."""
        return str(self._random.randrange(10 ** (length - 1), 10**length))

    def letters(self, length: int, alphabet: str) -> str:
        """`length` characters of `alphabet`."""
        return "".join(self._random.choices(alphabet, k=length))

    def chance(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()


def fresh_seed() -> int:
    """A seed nobody chose, small enough to be typed again."""
    return secrets.randbelow(2**32)
