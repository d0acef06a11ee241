"""The contract document: pinned, valid, and the source of what the mock does. A bad one is one clear line."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vorel_mock import contract
from vorel_mock.contract import ContractError
from vorel_mock.mock import Mock
from vorel_mock.settings import Settings

VENDORED = json.loads(contract.default_path().read_text("utf-8"))

Json = dict[str, Any]


def _changed(change: Callable[[Json], object]) -> Json:
    """The vendored document after `change`."""
    document = copy.deepcopy(VENDORED)
    change(document)
    return document


def _refused(tmp_path: Path, content: str | bytes | Json) -> str:
    """What is said of a document that cannot be served."""
    file = tmp_path / "document"
    text = json.dumps(content) if isinstance(content, dict) else content
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ContractError) as refusal:
        Mock(Settings(seed=1, contract=file))
    message = str(refusal.value)
    assert message
    assert "\n" not in message
    assert len(message) < 700
    return message


@pytest.mark.parametrize(
    "content",
    ["a: &a\n  b: *a\n", '{"a":' * 900 + "1" + "}" * 900, '{"a":' * 90_000 + "1" + "}" * 90_000, "[" * 5000],
    ids=["endless", "deep", "deeper", "YAML"],
)
def test_a_document_without_a_floor_is_refused(tmp_path: Path, content: str) -> None:
    assert _refused(tmp_path, content) == "is nested too deeply, or holds itself"
