"""The number of connections that may be open: fewer than the process may have files, which webhooks need too."""

import sys

if sys.platform != "win32":
    import resource

#: Connections that may be open at once. A further one is closed when it arrives.
MAX_CONNECTIONS = 2_000
#: File descriptors for everything else: webhook attempts, the contract, pipes.
_OTHERS = 1_000


def raise_limit() -> None:
    """Raise the number of files that this process may have open, as far as that is needed and permitted."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _OTHERS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def most_connections() -> int:
    """Return how many connections this process may have open: where files are few, half of them."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(soft - _OTHERS, soft // 2))
