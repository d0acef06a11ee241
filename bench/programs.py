"""The servers: how each is had, started, and found to serve."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import workload
from bench.workload import Operation

_HERE = Path(__file__).parent
_PEERS = _HERE / ".peers"
_PACKAGES = _HERE / "package.json"

#: Requests a minute: counted, never reached.
_NEVER_REACHED = 10**9
#: Seconds that a server may take to serve.
_PATIENCE = 60


class Unavailable(Exception):
    """A program cannot take part; the message says what to install."""


class Broken(Exception):
    """A program took part and failed."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server under test. `command` makes its arguments from a port and a folder of its own."""

    name: str
    title: str
    command: Callable[[int, Path], list[str]]
    source: Path | None = None
    """Where Python finds the mock's package, when the program is the mock."""
    says: str | None = None
    """The line with which it tells that it serves, if that is timed."""


@dataclass(frozen=True, slots=True)
class Running:
    """A program that serves. Times are seconds since its process was started."""

    port: int
    pid: int
    first_answer: float
    said: float | None

    def rss(self) -> float:
        """Resident memory, MiB."""
        done = subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, text=True, check=True)
        return int(done.stdout) / 1024

    def cpu(self) -> float | None:
        """Seconds of processor time that it has used; None where the system has no /proc."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text("utf-8")
        except OSError:
            return None
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def ours(tree: Path, name: str = "ours", title: str = "vorel-mock") -> Program:
    """The mock of a checkout, everything on, its limits raised beyond what is ever reached."""
    limits = [f"--rate-limit={_NEVER_REACHED}", f"--tenant-rate-limit={_NEVER_REACHED}"]

    def command(port: int, folder: Path) -> list[str]:
        return [sys.executable, "-m", "vorel_mock", "serve", f"--port={port}", *limits]

    return Program(name, title, command, source=tree / "src", says="Ready.")


def prism() -> Program:
    """Prism: validates the request, answers with the same example each time."""
    node = _tool("node", "Node.js 20 or newer (Debian: apt install nodejs npm)")
    package = _installed("@stoplight/prism-cli")
    script = package / "dist" / "index.js"

    def command(port: int, folder: Path) -> list[str]:
        return [node, str(script), "mock", "--host", "127.0.0.1", "--port", str(port), str(workload.CONTRACT)]

    return Program("prism", f"Prism {version('@stoplight/prism-cli')}", command)


def wiremock() -> Program:
    """WireMock: looks at method and URL, answers with the same bytes each time; validates nothing."""
    java = _tool("java", "a Java runtime, 11 or newer (Debian: apt install default-jre-headless)")
    jars = sorted((_installed("wiremock") / "build").glob("*.jar"))
    if not jars:
        raise Unavailable("the npm package `wiremock` holds no jar; delete bench/.peers and run again")

    def command(port: int, folder: Path) -> list[str]:
        mappings = folder / "mappings"
        mappings.mkdir(exist_ok=True)
        for operation in workload.operations():
            (mappings / f"{operation.id}.json").write_text(json.dumps(_mapping(operation)), "utf-8")
        return [java, "-jar", str(jars[-1]), "--bind-address=127.0.0.1", f"--port={port}", f"--root-dir={folder}"]

    return Program("wiremock", f"WireMock {version('wiremock')}", command)


def _mapping(operation: Operation) -> dict[str, object]:
    return {
        "request": {"method": "POST", "urlPathPattern": operation.template.replace("{id}", "[^/]+")},
        "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": operation.answer},
    }


def version(package: str) -> str:
    """The version of an npm package that bench/package.json pins."""
    return str(json.loads(_PACKAGES.read_text("utf-8"))["dependencies"][package])


def _tool(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"`{name}` is not installed: install {what}")
    return path


def _installed(package: str) -> Path:
    """The folder of an npm package, which is fetched into bench/.peers when it is not there in the pinned version."""
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
    """Start `program`, its output to a file, and end it afterwards. Broken when it never serves or ends by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    log = folder / "output.log"
    command = program.command(port, folder)
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(program), stdin=subprocess.DEVNULL, stdout=output, stderr=output
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
    first = workload.operations()[0]
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
                # A server that listens before it knows its routes; one that stays so runs out of patience.
                if now > _PATIENCE / 4:
                    raise Broken(f"{program.title}: {problem}") from None
        time.sleep(0.005)
    return Running(port, process.pid, answered, said)


def _environment(program: Program) -> dict[str, str]:
    """The user's, less what would set the mock up otherwise or make Prism fork."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VOREL_", "NODE_ENV"))}
    return kept if program.source is None else {**kept, "PYTHONPATH": str(program.source)}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _tail(log: Path) -> str:
    return " / ".join(log.read_text("utf-8", "replace").strip().splitlines()[-3:]) or "it said nothing"
