"""Constrained types of the model; a snapshot with another value is rejected when it is read."""

from typing import Annotated

import msgspec

#: Seconds since the epoch that an RFC 3339 timestamp can say.
Moment = Annotated[float, msgspec.Meta(ge=0, lt=253402300799)]
#: Seconds.
Seconds = Annotated[float, msgspec.Meta(ge=0, le=30 * 86400)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Ordinal = Annotated[int, msgspec.Meta(ge=1, lt=2**62)]
#: Requests a minute, at most; and any number of them, 0 = off.
MAX_LIMIT = 1_000_000_000
Limit = Annotated[int, msgspec.Meta(ge=0, le=MAX_LIMIT)]
Chance = Annotated[float, msgspec.Meta(ge=0, le=1)]
#: In canonical lower case.
Uuid = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
