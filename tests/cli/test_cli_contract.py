"""`vorel-mock contract`: the document for a generator of clients."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.paths import ROOT

from vorel_mock.cli.main import main
from vorel_mock.contract.generators import RENDERINGS


def printed(*arguments: str) -> Any:
    result = CliRunner().invoke(main, ["contract", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_prints_the_document_as_it_is() -> None:
    assert printed() == json.loads((ROOT / "openapi.json").read_text("utf-8"))


@pytest.mark.parametrize("target", RENDERINGS)
def test_it_prints_a_rendering(target: str) -> None:
    assert printed("--for", target) == RENDERINGS[target](printed())


def test_a_rendering_that_there_is_none_of_is_told() -> None:
    result = CliRunner().invoke(main, ["contract", "--for", "java"])
    assert result.exit_code == 2
    assert "'java' is not one of 'openapi-generator', 'openapi-3.0'" in result.output


def test_another_document_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "none.json"
    file.write_text("{}", "utf-8")
    result = CliRunner().invoke(main, ["contract", "--contract", str(file)])
    assert result.exit_code == 2
    assert "--contract" in result.output
    assert len(printed("--contract", str(ROOT / "openapi.json"))["paths"]) == 2
