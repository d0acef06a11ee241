"""What the packages import is declared, what is declared is imported, and the lock holds all of it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = {"vorel_mock", "vorel_conformance"}
PROJECT_MODULES = {*PACKAGES, "bench", "tests"}

#: Imports by a module that only the imported package loads: there without being declared.
LOADED_BY = {("src/vorel_mock/testing/pytest_plugin.py", "pytest")}
#: Declared though no `import` names it.
NOT_IMPORTED = {
    "openapi-spec-validator": "metaschema.py reads a file in it, through importlib.resources",
}


def declared(group: str | None = None) -> dict[str, Requirement]:
    """The requirements of the project itself, or those of one extra alone."""
    lines = PROJECT["project"]["dependencies"]
    if group is not None:
        lines = PROJECT["project"]["optional-dependencies"][group]
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(each.name): each for each in found if each.name != "vorel-mock"}


#: Programs as users write them, with what they have installed.
PROGRAMS = ("tests/conformance/integrations", "bench/stacks", "bench/generators")


def imports(folder: str) -> Iterator[tuple[str, str]]:
    """Each import of a folder's files: the file, and the first name of the module."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts):
            continue
        if any(path.is_relative_to(ROOT / programs) for programs in PROGRAMS):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                yield path.relative_to(ROOT).as_posix(), name.partition(".")[0]


@cache
def distributions() -> dict[str, set[str]]:
    """The names of the distributions that have a module, by its name."""
    return {module: {canonicalize_name(name) for name in names} for module, names in packages_distributions().items()}


@cache
def third_party(folder: str) -> list[tuple[str, str]]:
    """The imports that are neither of the standard library nor of the project."""
    ours = PROJECT_MODULES if folder in ("tests", "bench") else PACKAGES
    return [
        (file, module)
        for file, module in imports(folder)
        if module not in ours and module not in sys.stdlib_module_names and (file, module) not in LOADED_BY
    ]


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("src/vorel_mock", ["redis"]),
        ("conformance/vorel_conformance", ["conformance"]),
        ("bench", ["conformance", "redis", "dev"]),
        ("tests", ["conformance", "redis", "dev"]),
    ],
)
def test_what_is_imported_is_declared(folder: str, extras: list[str]) -> None:  # M38
    allowed = set(declared())
    for extra in extras:
        allowed |= set(declared(extra))
    found = third_party(folder)
    assert found
    assert [(file, module) for file, module in found if not distributions().get(module, set()) & allowed] == []


@pytest.mark.parametrize(
    ("extra", "folder"),
    [(None, "src/vorel_mock"), ("redis", "src/vorel_mock"), ("conformance", "conformance/vorel_conformance")],
)
def test_what_is_declared_is_imported(extra: str | None, folder: str) -> None:  # M38
    used = {name for _, module in third_party(folder) for name in distributions().get(module, set())}
    unused = set(declared(extra)) - used
    assert unused == (set(NOT_IMPORTED) if extra is None else set())


def test_nothing_is_declared_twice_or_without_a_bound() -> None:  # M38
    extras = PROJECT["project"]["optional-dependencies"]
    for lines in (PROJECT["project"]["dependencies"], *extras.values()):
        names = [canonicalize_name(Requirement(line).name) for line in lines]
        assert len(names) == len(set(names))
    for requirement in (declared() | declared("conformance")).values():
        assert re.search(r"<|==", str(requirement.specifier)), f"{requirement} has no upper bound"


def locked(name: str) -> dict[str, Version]:
    """The versions in a file of requirements/. Each entry has hashes, and no entry names a place."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    assert not re.search(r"://|^\s*(-[a-z]|--(?!hash=sha256:))|@", text, re.MULTILINE)
    found = {}
    for entry in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        match = re.match(r"([\w.-]+)==([\w.!+]+)( ; [^\\]+)? \\\n", entry)
        assert match, entry[:80]
        assert re.fullmatch(r"( +--hash=sha256:[0-9a-f]{64}( \\)?\n?)+", entry[match.end() :]), entry[:80]
        assert match[1] not in found
        found[match[1]] = Version(match[2])
    return found


@pytest.mark.parametrize(
    ("file", "extras"),
    [("mock.txt", ["redis"]), ("conformance.txt", ["conformance"]), ("dev.txt", ["conformance", "redis", "dev"])],
)
def test_the_lock_satisfies_what_is_declared(file: str, extras: list[str]) -> None:  # M38
    versions = locked(file)
    wanted = [*declared().values(), *map(Requirement, PROJECT["dependency-groups"]["build"])]
    for extra in extras:
        wanted += declared(extra).values()
    for requirement in wanted:
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in requirements/{file}: make lock"
        assert requirement.specifier.contains(version), f"{requirement}, but {version} is locked: make lock"


def test_the_kit_is_locked_as_everything_is() -> None:
    kit, everything = locked("conformance.txt"), locked("dev.txt")
    for_redis = {"redis", "hiredis", "async-timeout"}  # of a mock that is one of many: the kit needs none
    mock = {name: version for name, version in locked("mock.txt").items() if name not in for_redis}
    assert mock.items() <= kit.items() <= everything.items()
    assert not {"ruff", "mypy", "uvicorn"} & kit.keys()


def test_the_build_system_is_locked() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["dependency-groups"]["build"])


def test_the_action_and_make_install_from_the_lock() -> None:
    action = (ROOT / "action.yml").read_text("utf-8")
    assert '--require-hashes --requirement "$GITHUB_ACTION_PATH/requirements/conformance.txt"' in action
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "--require-hashes --requirement $(LOCK)" in makefile
    for text in (action, makefile):
        assert "--no-deps --no-build-isolation" in text
