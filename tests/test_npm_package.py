"""packages/npm: its own tests pass, and what `npm pack` makes of it works in an empty folder."""

import json
import re
import tarfile
from pathlib import Path

import pytest
from tests.npm_package import PACKAGE, needs_npm, run, tarball

import vorel_mock
from vorel_mock.testing import MockServer

pytestmark = [needs_npm, pytest.mark.timeout(300)]


def test_its_tests_pass() -> None:
    tarball()
    core = run("npm", "run", "--silent", "test:core")
    assert re.search(r"^# pass (\d+)$", core, re.MULTILINE), core


def test_vitest_has_the_fixtures() -> None:
    tarball()
    printed = run("npm", "run", "--silent", "test:vitest", expect=1, FAIL="1")  # one test that is to fail
    assert "1 failed | 5 passed" in printed, printed
    assert re.search(r"vorel-mock: requests of tenant \S+\nPOST \S+ -> 400  validation: ", printed), printed
    assert "kept for an hour" not in printed, "the mock ends with the run"


def test_playwright_has_the_fixtures() -> None:
    tarball()
    with MockServer() as mock:
        before = {tenant["id"] for tenant in mock.control.tenants()}
        url = mock.base_url
        printed = run("npm", "run", "--silent", "test:playwright", expect=1, FAIL="1", VOREL_MOCK_URL=url)
        (left,) = (tenant for tenant in mock.control.tenants() if tenant["id"] not in before)
    assert left["ttl"] == "3600s"
    assert f"kept for an hour: {url}/_mock/console/requests?tenant={left['id']}" in printed, printed
    assert re.search(r"1 failed\n.*\n\s+3 passed", printed), printed
    assert re.search(r"vorel-mock: requests of tenant .*\n\s+POST \S+ -> 400  validation: ", printed), printed


def test_the_tarball_works_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"type": "module"}', "utf-8")
    run("npm", "install", "--silent", "--offline", "--no-audit", "--no-fund", tarball(), cwd=tmp_path)
    assert [each.name for each in (tmp_path / "node_modules").iterdir() if each.name[0] != "."] == ["vorel-mock"]
    (example,) = re.findall(r"```typescript\n(.*?)```", (PACKAGE / "README.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "readme.test.mjs").write_text(example, "utf-8")
    assert "# pass 1" in run("node", "--test", "--test-reporter=tap", cwd=tmp_path)


def test_what_is_packed() -> None:
    with tarfile.open(tarball()) as packed:
        names = set(packed.getnames())
    assert {"package/README.md", "package/LICENSE", "package/dist/index.js", "package/dist/index.d.ts"} <= names
    assert all(re.fullmatch(r"package/(dist/[a-z-]+(\.d)?\.[jt]s|README.md|LICENSE|package.json)", n) for n in names)


def test_its_metadata() -> None:
    package = json.loads((PACKAGE / "package.json").read_text("utf-8"))
    assert package["version"] == vorel_mock.__version__
    assert "dependencies" not in package
    lock = (PACKAGE / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock, "no address of a registry"
    sources = {file.stem for file in (PACKAGE / "src").glob("*.ts")}
    for entry in package["exports"].values():
        assert Path(entry["default"]).stem in sources
        assert entry["types"] == entry["default"].replace(".js", ".d.ts")
