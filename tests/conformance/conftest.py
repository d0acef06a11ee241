"""Fixtures of the kit's tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.conformance.reference import FAULTS, Running, serve

from vorel_conformance.cli.main import cli

LIMIT, WINDOW = 20, 2.0


@contextmanager
def served(fault: str | None = None, **changes: Any) -> Iterator[Running]:
    """Make the reference server with a small limit, or the faulty one with this id."""
    found = next(each for each in FAULTS if each.id == fault) if fault else None
    with serve(fault=found, **{"limit": LIMIT, "window": WINDOW, **changes}) as running:
        yield running


@pytest.fixture
def server() -> Iterator[Callable[..., Running]]:
    """Serve the reference server, or the faulty one with this id, until the test ends."""
    with ExitStack() as stack:
        yield lambda fault=None, **changes: stack.enter_context(served(fault, **changes))


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., Path]:
    """Write the target profile of a server to a file, without the members named like `keys.burst`."""

    def write(running: Running, *without: str) -> Path:
        found = json.loads(json.dumps(running.profile, default=list))
        found["rate_limit"] = {"requests": LIMIT, "window_s": WINDOW}
        for name in without:
            table, _, member = name.partition(".")
            del (found[table] if member else found)[member or table]
        path = tmp_path / "target.json"
        path.write_text(json.dumps(found), encoding="utf-8")
        return path

    return write


@pytest.fixture
def kit() -> Callable[..., Result]:
    """Call the command line."""
    return lambda *arguments: CliRunner().invoke(cli, [str(each) for each in arguments])
