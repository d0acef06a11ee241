"""Fixtures of the command line's tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.started import Started


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no variable of the developer's own."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("VOREL_MOCK_"):
            monkeypatch.delenv(name)


@pytest.fixture
def start() -> Iterator[type[Started]]:
    """Start mocks; none outlives the test."""
    started: list[Started] = []

    class Kept(Started):
        def __init__(self, *arguments: str, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    yield Kept
    for one in started:
        one.process.kill()
        one.process.communicate()
