"""Read a document from where it is: a file, a pipe, the standard input, or a URL. Bounded in bytes and in time."""

import os
import select
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from vorel_mock.contract.document_file import ContractError
from vorel_mock.unpatched.clocks import monotonic

#: Bytes of a document: many times what any API has, and what can be read in a while.
MAX_DOCUMENT = 32 * 1024 * 1024
#: Seconds for which a pipe or a server may send nothing, and that it may take in all.
SILENCE = 10.0
PATIENCE = 60.0

#: The source that stands for the standard input.
STDIN = "-"
_PIECE = 64 * 1024


def is_url(source: Path | str) -> bool:
    """Return True if a source is fetched over HTTP."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def read(source: Path | str) -> bytes:
    """Return the bytes at `source`: a path, a URL, or `-`. Raises ContractError if they cannot be read in time."""
    size, pieces = 0, []
    for piece in _from_url(str(source)) if is_url(source) else _from_file(source):
        size += len(piece)
        if size > MAX_DOCUMENT:
            raise ContractError(f"is longer than {MAX_DOCUMENT // 1024**2} MiB")
        pieces.append(piece)
    return b"".join(pieces)


def _from_file(source: Path | str) -> Iterator[bytes]:
    descriptor = None
    try:
        if source == STDIN:
            if sys.stdin is None:
                raise ContractError("there is no standard input")
            descriptor = os.dup(sys.stdin.fileno())
        else:
            # Without this flag, to open a named pipe waits for its writer.
            descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        yield from _from_descriptor(descriptor)
    except FileNotFoundError:
        raise ContractError("no such file") from None
    except OSError as error:
        raise ContractError(f"cannot be read: {error.strerror or error}") from None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _from_descriptor(descriptor: int) -> Iterator[bytes]:
    waits = not stat.S_ISREG(os.fstat(descriptor).st_mode) and hasattr(select, "poll")
    began = monotonic()
    if waits:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
    while True:
        if waits and not poll.poll(min(SILENCE, max(0.0, began + PATIENCE - monotonic())) * 1000):
            raise ContractError(_late())
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            continue
        if not piece:
            return
        yield piece


def _from_url(url: str) -> Iterator[bytes]:
    import httpx  # a moment to import, and only needed here

    began = monotonic()
    try:
        # Not compressed, so that a few bytes cannot become very many.
        with httpx.stream(
            "GET", url, headers={"accept-encoding": "identity"}, timeout=SILENCE, follow_redirects=True
        ) as response:
            if response.status_code != 200:
                raise ContractError(f"cannot be fetched: the server responded with {response.status_code}")
            for piece in response.iter_raw():
                if monotonic() - began > PATIENCE:
                    raise ContractError(_late())
                yield piece
    except httpx.TimeoutException:
        raise ContractError(_late()) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ContractError(f"cannot be fetched: {str(error) or type(error).__name__}") from None


def _late() -> str:
    return f"did not arrive: it was silent for {SILENCE:g} s, or took longer than {PATIENCE:g} s"
