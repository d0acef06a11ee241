"""Accept (RFC 9110, 12.5.1): the media types that a client takes, as it prefers them."""

from fnmatch import fnmatchcase

from vorel_mock.contract.operation import media_type


def preferred(accept: str | None, offered: list[str]) -> list[int]:
    """Return the places of the media types in `offered` that a client takes, the one that it prefers first.

    All of them, in their order, if it says nothing or takes none of them: the RFC lets a server disregard that, and the
    document declares no 406.
    """
    ranges = [] if accept is None else [_weighed(part) for part in accept.split(",") if part.strip()]
    weights = [_weight(ranges, media_type(name)) for name in offered]
    taken = [number for number, weight in enumerate(weights) if weight > 0]
    return sorted(taken, key=lambda number: -weights[number]) or list(range(len(offered)))


def _weighed(part: str) -> tuple[str, float]:
    """Return a media range and its weight; 1 if it has none that is valid."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, min(max(float(value), 0.0), 1.0)
            except ValueError:
                break
    return name, 1.0


def _weight(ranges: list[tuple[str, float]], name: str) -> float:
    """Return the weight of a media type: that of the most specific range which includes it."""
    matching = [
        (not known.endswith("*"), known != "*/*", weight) for known, weight in ranges if fnmatchcase(name, known)
    ]
    return max(matching)[2] if matching else 0.0
