"""The message for a name that is not allowed, in one wording for every input of the mock."""

import difflib
from collections.abc import Collection
from json import dumps

#: Names that a message lists.
_MOST = 20


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
