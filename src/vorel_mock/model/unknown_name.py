"""The message for a name that is not allowed, in one wording for every input of the mock."""

import difflib
from collections.abc import Collection
from json import dumps

#: Names that a message lists.
_MOST = 20
#: Names that a message lists although it names the near match.
_FEW = 8


def not_among(place: str, given: str, allowed: Collection[str]) -> str:
    """Return the message for a value that is not allowed: the allowed ones, and the near match. It is not quoted."""
    near = difflib.get_close_matches(given, allowed, n=1)
    if near and len(allowed) > _FEW:
        return f'{place}: is none of the allowed names; did you mean "{near[0]}"?'
    shown = list(allowed)[:_MOST]
    meant = f'; did you mean "{near[0]}"?' if near else ""
    one_of = "one of " if len(allowed) > 1 else ""
    return f"{place}: must be {one_of}{', '.join(shown)}{', …' if len(allowed) > _MOST else ''}{meant}"


def unknown_name(kind: str, name: str, allowed: Collection[str], within: str = "") -> str:
    """Return the message: the near match of `name` if there is one, otherwise the allowed names.

    `kind` is singular ("field"), `within` the path of the object that has the name ("keys." or "snapshot.keys[0].").
    """
    quoted = dumps(f"{within}{name}", ensure_ascii=False)
    near = difflib.get_close_matches(name, allowed, n=1)
    if near:
        return f'unknown {kind} {quoted}; did you mean "{near[0]}"?'
    if not allowed:
        return f"unknown {kind} {quoted}; none is allowed here"
    shown = list(allowed)[:_MOST]
    return f"unknown {kind} {quoted}; allowed: {', '.join(shown)}{', …' if len(allowed) > _MOST else ''}"
