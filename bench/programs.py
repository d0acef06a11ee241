"""The servers: how to get each one, start it, and see that it serves."""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from bench import workload
from bench.workload import ROOT, Case

_HERE = Path(__file__).parent
_PEERS = _HERE / ".peers"
_PACKAGES = _HERE / "package.json"

#: Requests a minute. The mock counts up to it, and no load reaches it.
_NEVER_REACHED = 10**9
#: Seconds until a server must answer.
_PATIENCE = 60


class Unavailable(Exception):
    """A program cannot take part. The message says what to install."""


class Broken(Exception):
    """A program took part and failed."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server under test. `command` makes its arguments from a port and a folder of its own."""

    name: str
    title: str
    command: Callable[[int, Path], list[str]]
    source: Path | None = None
    """PYTHONPATH of the process, if the program is in Python."""
    says: str | None = None
    """The line that the program prints once it serves. None if it prints none, or none that matters."""
    beside: Callable[[Path], list[str]] | None = None
    """A program that it needs, which makes a file `ready` in the folder."""
    validates: bool = True
    """Whether it rejects a request that breaks the contract. If not, it gets valid requests only."""

    def takes(self, case: Case) -> bool:
        """Whether the case can be measured with this program."""
        return self.validates or case.valid


@dataclass(frozen=True, slots=True)
class Running:
    """A program that serves. Times are seconds since the start of its process."""

    port: int
    pid: int
    first_answer: float
    said: float | None

    def rss(self) -> float:
        """Resident memory, MiB."""
        done = subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, text=True, check=True)
        return int(done.stdout) / 1024

    def cpu(self) -> float | None:
        """Return the seconds of processor time that it has used; None if the system has no /proc."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text("utf-8")
        except OSError:
            return None
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def ours(tree: Path, name: str = "ours", title: str = "vorel-mock") -> Program:
    """The mock of a checkout with everything on. Its rate limits are too high for the load to reach."""
    return _ours(tree, name, title, lambda folder: [])


def in_file() -> Program:
    """The mock with its state in a file."""
    return _ours(ROOT, "file", "vorel-mock --state FILE", lambda folder: [f"--state={folder / 'mock.db'}"])


def in_redis(workers: int) -> Program:
    """The mock with its state in Redis, which is near, and syncs each second."""
    server = _tool("redis-server", "Redis 7 or newer (Debian: apt install redis-server)")

    def beside(folder: Path) -> list[str]:
        options = ["--port", "0", "--unixsocket", str(folder / "ready"), "--dir", str(folder), "--save", ""]
        return [server, *options, "--appendonly", "yes", "--appendfsync", "everysec"]

    def options(folder: Path) -> list[str]:
        return [f"--state=unix://{folder / 'ready'}", f"--workers={workers}"]

    name = "redis" if workers == 1 else f"redis-{workers}"
    title = "vorel-mock --state redis://…" + (f" --workers {workers}" if workers > 1 else "")
    return replace(_ours(ROOT, name, title, options), beside=beside)


def _ours(tree: Path, name: str, title: str, more: Callable[[Path], list[str]]) -> Program:
    limits = [f"--rate-limit={_NEVER_REACHED}", f"--tenant-rate-limit={_NEVER_REACHED}"]

    def command(port: int, folder: Path) -> list[str]:
        return [sys.executable, "-m", "vorel_mock", "serve", f"--port={port}", *limits, *more(folder)]

    return Program(name, title, command, source=tree / "src", says="Ready.")


def bare() -> Program:
    """A bare ASGI function under uvicorn (bare.py): reads the body, sends the same bytes each time."""
    for package in ("uvicorn", "httptools", "uvloop"):
        if importlib.util.find_spec(package) is None:
            raise Unavailable(f"`{package}` is not installed: make install")

    def command(port: int, folder: Path) -> list[str]:
        answers = folder / "answers.json"
        answers.write_text(json.dumps({case.path: case.answer for case in workload.cases() if case.valid}), "utf-8")
        return [sys.executable, "-m", "bench.bare", str(port), str(answers)]

    return Program(
        "bare", f"bare ASGI, uvicorn {importlib.metadata.version('uvicorn')}", command, source=ROOT, validates=False
    )


def prism() -> Program:
    """Prism: validates the request, sends the same example each time."""
    node = _tool("node", "Node.js 20 or newer (Debian: apt install nodejs npm)")
    package = _installed("@stoplight/prism-cli")
    script = package / "dist" / "index.js"

    def command(port: int, folder: Path) -> list[str]:
        return [node, str(script), "mock", "--host", "127.0.0.1", "--port", str(port), str(workload.CONTRACT)]

    return Program("prism", f"Prism {version('@stoplight/prism-cli')}", command)


def wiremock() -> Program:
    """WireMock: looks at method and URL, sends the same bytes each time, validates nothing."""
    java = _tool("java", "a Java runtime, 11 or newer (Debian: apt install default-jre-headless)")
    jars = sorted((_installed("wiremock") / "build").glob("*.jar"))
    if not jars:
        raise Unavailable("the npm package `wiremock` holds no jar; delete bench/.peers and run again")

    def command(port: int, folder: Path) -> list[str]:
        mappings = folder / "mappings"
        mappings.mkdir(exist_ok=True)
        for case in filter(lambda case: case.valid, workload.cases()):
            (mappings / f"{case.id}.json").write_text(json.dumps(_mapping(case)), "utf-8")
        return [java, "-jar", str(jars[-1]), "--bind-address=127.0.0.1", f"--port={port}", f"--root-dir={folder}"]

    return Program("wiremock", f"WireMock {version('wiremock')}", command, validates=False)


def _mapping(case: Case) -> dict[str, object]:
    return {
        "request": {"method": "POST", "urlPathPattern": case.template.replace("{id}", "[^/]+")},
        "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": case.answer},
    }


def version(package: str) -> str:
    """Return the version of an npm package that bench/package.json pins."""
    return str(json.loads(_PACKAGES.read_text("utf-8"))["dependencies"][package])


def _tool(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"`{name}` is not installed: install {what}")
    return path


def _installed(package: str) -> Path:
    """Return the folder of an npm package. Fetches the pinned version into bench/.peers if it is not there."""
    folder = _PEERS / "node_modules" / package
    if not _is_version(folder, version(package)):
        npm = _tool("npm", "Node.js 20 or newer with npm (Debian: apt install nodejs npm)")
        _PEERS.mkdir(exist_ok=True)
        shutil.copy(_PACKAGES, _PEERS)
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=_PEERS, capture_output=True, text=True, check=False)
        if done.returncode:
            problem = next((line for line in done.stderr.splitlines() if "error" in line.lower()), "no reason given")
            raise Unavailable(f"npm could not install {package} {version(package)}: {problem}")
    return folder


def _is_version(folder: Path, wanted: str) -> bool:
    try:
        return bool(json.loads((folder / "package.json").read_text("utf-8"))["version"] == wanted)
    except (OSError, ValueError, KeyError):
        return False


@contextlib.contextmanager
def running(program: Program, folder: Path) -> Iterator[Running]:
    """Start `program`, its output to a file, and end it afterwards. Raises Broken if it does not serve."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    log = folder / "output.log"
    command = program.command(port, folder)
    with log.open("wb") as output, beside(program, folder):
        yield from _run(program, command, port, log, output)


@contextlib.contextmanager
def beside(program: Program, folder: Path) -> Iterator[None]:
    """Start what a program needs, and end it afterwards."""
    if program.beside is None:
        yield
        return
    process = subprocess.Popen(program.beside(folder), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "ready").exists():
            if process.poll() is not None:
                raise Broken(f"what {program.title} needs ended with {process.returncode}")
            time.sleep(0.01)
        yield
    finally:
        process.terminate()
        process.wait(10)
        (folder / "ready").unlink(missing_ok=True)


def _run(program: Program, command: list[str], port: int, log: Path, output: IO[bytes]) -> Iterator[Running]:
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=log.parent, env=_environment(program), stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        yield _await(program, process, port, log, started)
        if process.poll() is not None:
            raise Broken(f"{program.title} ended by itself with {process.returncode}: {_tail(log)}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(program: Program, process: subprocess.Popen[bytes], port: int, log: Path, started: float) -> Running:
    first = workload.cases()[0]
    answered: float | None = None
    said: float | None = None
    while answered is None or (program.says is not None and said is None):
        now = time.perf_counter() - started
        if process.poll() is not None:
            raise Broken(f"{program.title} ended by itself with {process.returncode}: {_tail(log)}")
        if now > _PATIENCE:
            raise Broken(f"{program.title} does not serve after {_PATIENCE} s: {_tail(log)}")
        if said is None and program.says is not None and program.says in log.read_text("utf-8", "replace"):
            said = now
        if answered is None:
            try:
                workload.probe(port, first, "start")
                answered = time.perf_counter() - started
            except workload.NOT_YET:
                pass
            except workload.BadAnswer as problem:
                # Some servers listen before they know their routes.
                if now > _PATIENCE / 4:
                    raise Broken(f"{program.title}: {problem}") from None
        time.sleep(0.005)
    return Running(port, process.pid, answered, said)


def _environment(program: Program) -> dict[str, str]:
    """The user's, without what would change the mock's settings, make Prism fork, or have Python compile each time."""
    dropped = ("VOREL_", "NODE_ENV", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept if program.source is None else {**kept, "PYTHONPATH": str(program.source)}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _tail(log: Path) -> str:
    return " / ".join(log.read_text("utf-8", "replace").strip().splitlines()[-3:]) or "it printed nothing"
