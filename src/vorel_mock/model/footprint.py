"""The memory that a JSON object takes as Python objects: a bound in bytes counts these, and not the length of a text.

A list or an object of a few characters takes a hundred bytes.
"""

from collections.abc import Collection
from itertools import chain
from sys import getsizeof
from typing import Any

_SCALARS = frozenset({str, int, float, bool, type(None)})


def footprint(value: dict[str, Any]) -> int:
    """Return about how many bytes a JSON object takes with all that is in it."""
    size = getsizeof(value) + sum(map(getsizeof, value))
    level: Collection[Any] = value.values()
    while True:  # level by level, and not by recursion: a body can hold 300,000 empty lists
        size += sum(map(getsizeof, level))
        if _SCALARS.issuperset(map(type, level)):
            return size
        objects = [item for item in level if type(item) is dict]
        lists = [item for item in level if type(item) is list]
        values = chain.from_iterable(map(dict.values, objects))
        level = [*chain.from_iterable(lists), *chain.from_iterable(objects), *values]
