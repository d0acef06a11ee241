"""`vorel-mock contract`: the document for a generator of clients."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from tests.paths import ROOT

from vorel_mock.cli.main import main


def printed(*arguments: str) -> Any:
    result = CliRunner().invoke(main, ["contract", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_prints_the_document_as_it_is() -> None:
    assert printed() == json.loads((ROOT / "openapi.json").read_text("utf-8"))


def test_for_generators_it_differs_where_openapi_generator_fails_and_nowhere_else() -> None:  # M48
    document, rendered = printed(), printed("--for-generators")
    assert rendered["info"]["license"].pop("identifier") == "LicenseRef-Proprietary"
    alternatives = document["components"]["schemas"]["CrmCreateRecordResponse"]["oneOf"]
    assert [schema["properties"]["ok"].pop("enum") for schema in alternatives] == [[True], [False]]
    assert rendered == document


def test_another_document_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "none.json"
    file.write_text("{}", "utf-8")
    result = CliRunner().invoke(main, ["contract", "--contract", str(file)])
    assert result.exit_code == 2
    assert "--contract" in result.output
    assert len(printed("--contract", str(ROOT / "openapi.json"))["paths"]) == 2
