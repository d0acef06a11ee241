"""The plugin beside the tools that other tests use: in_company.py, run with all of them."""

import shutil
from pathlib import Path

import pytest

pytest_plugins = ("pytester",)


#: And no other that happens to be installed: each worker would import them all.
PLUGINS = ("anyio", "asyncio", "pytest_httpx", "randomly", "socket", "respx", "time_machine", "vorel_mock", "xdist")


def test_with_every_tool_at_once(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:  # M1, M22, M39
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    plugins = [argument for name in PLUGINS for argument in ("-p", name)]
    shutil.copy(Path(__file__).with_name("in_company.py"), pytester.path / "test_in_company.py")
    run = pytester.runpytest_subprocess(*plugins, "-n1")
    outcomes = run.parseoutcomes()
    outcomes.pop("warnings", None)
    assert outcomes == {"passed": 17}
    run.stdout.fnmatch_lines(["Using --randomly-seed=*"])
