"""The npm package, built once for all tests that use it, on whichever worker they run."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.paths import ROOT

from vorel_mock.contract import contract
from vorel_mock.control import document

PACKAGE = ROOT / "packages" / "npm"
#: What tests write; git ignores it.
BUILD = PACKAGE / "build"
NEEDED = 20


def _has_node() -> bool:
    if shutil.which("npm") is None or (node := shutil.which("node")) is None:
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    return int(version.removeprefix("v").partition(".")[0] or 0) >= NEEDED


needs_npm = pytest.mark.skipif(
    not _has_node(), reason=f"install Node.js {NEEDED} or later, with npm (https://nodejs.org)"
)
#: The mock of this environment, for what starts one; and no mock that the developer happens to run.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("VOREL_")},
    "VOREL_MOCK_COMMAND": str(Path(sys.executable).with_name("vorel-mock")),
    "NO_COLOR": "1",
    "CI": "true",
    "npm_config_update_notifier": "false",
}


def run(*command: str | Path, cwd: Path = PACKAGE, expect: int = 0, **environment: str) -> str:
    """Run a command of Node's world; return what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


def tarball() -> Path:
    """Return what `npm pack` makes of the package as it is now. Also `dist` is up to date then."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()
        folder = BUILD / f"packed-{_digest()}"
        if not folder.exists():
            for old in BUILD.glob("packed-*"):
                shutil.rmtree(old)
            made = BUILD / "packing"
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            run("npm", "pack", "--silent", "--pack-destination", made)
            made.rename(folder)
        (packed,) = folder.glob("*.tgz")
        return packed


def _install() -> None:
    lock, installed = PACKAGE / "package-lock.json", PACKAGE / "node_modules" / ".installed"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        run("npm", "ci", "--silent", "--prefer-offline", "--no-audit", "--no-fund")
        shutil.copyfile(lock, installed)


def _digest() -> str:
    """Return what the package depends on, in short: its sources, and the document that its types are made from."""
    found = hashlib.sha256(json.dumps(document.served(contract.load(None), "", token=False)).encode())
    for file in sorted(
        [*PACKAGE.glob("src/*.ts"), *PACKAGE.glob("scripts/*"), *PACKAGE.glob("test/*"), *PACKAGE.glob("*.*")]
    ):
        if file.is_file() and file.name != "control-document.ts":
            found.update(file.read_bytes())
    return found.hexdigest()[:16]
