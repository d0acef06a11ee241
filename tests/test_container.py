"""Dockerfile and compose.yaml, as far as they can be tried without a container tool.

The steps of the Dockerfile are performed in folders of their own, with the Python of this machine; what they make runs
as another user who can write nowhere. The commands of compose.yaml run with it.
"""

import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
import yaml
from tests.paths import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
#: MiB of python:3.12-alpine, which a registry tells and this machine cannot, and of the whole image.
BASE, MOST = 50, 150
PREFIX = "/opt/vorel"


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, by its name."""
    found: dict[str, list[tuple[str, str]]] = {}
    lines = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    for line in filter(None, lines):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            source, _, name = rest.partition(" AS ")
            found[name] = list(found.get(source, []))
        elif found:
            found[list(found)[-1]].append((instruction, rest.strip()))
    return found


def of(stage: str, instruction: str) -> list[str]:
    return [rest for name, rest in stages()[stage] if name == instruction]


def environment(stage: str, prefix: Path) -> dict[str, str]:
    """What the image has set, with the prefix moved."""
    set_ = dict(pair.split("=", 1) for line in of(stage, "ENV") for pair in line.split())
    path = set_.get("PATH", "$PATH").replace(PREFIX, str(prefix)).replace("$PATH", os.environ["PATH"])
    return {**set_, "PATH": path, "HOME": "/nonexistent"}


def build(context: Path, prefix: Path) -> None:
    """Perform the steps of the stage `build`."""
    context.mkdir()
    for instruction, rest in stages()["build"]:
        if instruction == "COPY":
            *sources, target = rest.split()
            for source in sources:
                into = context / target / source if target == "./" else context / target
                into.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
                copy(ROOT / source, into)
        elif instruction == "RUN":
            command = rest.replace(PREFIX, str(prefix))
            # Not the interpreter of the virtual environment that runs this test: an image has none.
            path = f"{Path(sys.base_prefix) / 'bin'}:{os.environ['PATH']}"
            env = {**os.environ, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
            done = subprocess.run(
                ["sh", "-ec", command], cwd=context, env=env, capture_output=True, text=True, timeout=280
            )
            assert done.returncode == 0, done.stderr


def as_nobody(*command: str) -> list[str]:
    """A command as the user of the image; as this one if it may not become another."""
    (user,) = of("mock", "USER")
    uid, gid = user.split(":")
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return list(command)
    return ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", *command]


@contextmanager
def running(prefix: Path, command: list[str], port: int) -> Iterator[subprocess.Popen[str]]:
    """The entry point of the image with a command."""
    (entry,) = (json.loads(line) for line in of("mock", "ENTRYPOINT"))
    env = {**environment("mock", prefix), "VOREL_MOCK_PORT": str(port), "TMPDIR": "/nonexistent"}
    process = subprocess.Popen(
        as_nobody(*entry, *command), cwd="/", env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def healthy(prefix: Path, port: int) -> bool:
    (line,) = of("mock", "HEALTHCHECK")
    command = json.loads(line[line.index("[") :])
    env = {**environment("mock", prefix), "VOREL_MOCK_PORT": str(port)}
    return subprocess.run(command, env=env, capture_output=True, timeout=30, check=False).returncode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Any, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.timeout(400)
def test_what_the_dockerfile_makes_works() -> None:
    with TemporaryDirectory(prefix="vorel-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        prefix = folder / "opt" / "vorel"
        prefix.parent.mkdir()
        build(folder / "src", prefix)
        size = sum(file.lstat().st_size for file in prefix.rglob("*") if not file.is_dir()) / 2**20
        assert BASE + size < MOST, f"{size:.0f} MiB"
        # What `make dist` builds has the same files.
        dist = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
        assert subprocess.run(dist, cwd=ROOT, capture_output=True, timeout=100, check=False).returncode == 0
        (wheel,) = folder.glob("vorel_mock-*.whl")
        (installed,) = prefix.glob("lib/python*/site-packages")
        with zipfile.ZipFile(wheel) as packed:
            assert [
                name for name in packed.namelist() if ".dist-info/" not in name and not (installed / name).exists()
            ] == []

        files = set(prefix.rglob("*"))

        port = free_port()
        assert not healthy(prefix, port)
        with running(prefix, [], port) as process:
            until(lambda: healthy(prefix, port))  # though a token is required
            url = f"http://127.0.0.1:{port}"
            assert httpx.get(f"{url}/_mock/health").status_code == 401
            assert process.poll() is None

        # compose.yaml, with its names and ports turned into those of this machine.
        port, receiver_port = free_port(), free_port()
        names = {"mock:3000": f"127.0.0.1:{port}", "receiver:8080": f"127.0.0.1:{receiver_port}"}
        redis_port = free_port()
        names |= {"redis:6379": f"127.0.0.1:{redis_port}", "receiver": "127.0.0.1", "8080": str(receiver_port)}

        def command(service: str) -> list[str]:
            return [
                re.sub("|".join(names), lambda found: names[found[0]], each)
                for each in COMPOSE["services"][service]["command"]
            ]

        url = f"http://127.0.0.1:{port}"
        with running(prefix, command("mock"), port) as mock:
            until(lambda: healthy(prefix, port))
            target = httpx.get(f"{url}/_mock/target", headers={"Host": "mock:3000"}).json()
            with running(prefix, command("receiver"), 0) as receiver:
                assert receiver.stdout is not None
                until(lambda: "webhook.test" in receiver.stdout.readline())
                handoff = f"{url}/api/v1/leads/{target['leads']['own'][0]}/handoff"
                headers = {"Authorization": f"Bearer {target['keys']['full'][0]}"}
                assert httpx.post(handoff, headers=headers).status_code == 200
                until(lambda: "conversation.handoff_requested" in receiver.stdout.readline())
            # One clause of all: the whole run takes a minute.
            kit = [sys.executable, "-m", "vorel_conformance", *command("gate"), "--clauses", "handoff.lead-id"]
            gate = subprocess.run(kit, capture_output=True, text=True, timeout=100, check=False, cwd=folder)
            assert (gate.returncode, "1 clause: 1 passed." in gate.stdout) == (0, True), gate.stdout + gate.stderr
            assert mock.poll() is None

        if shutil.which("redis-server") is not None:  # .ci/run installs it
            server = [*COMPOSE["services"]["redis"]["command"], "--port", str(redis_port), "--dir", str(folder)]
            redis = subprocess.Popen(server, stdout=subprocess.DEVNULL)
            try:
                until(lambda: accepts(redis_port))
                # With the Python of the tests: what redis-py needs differs between 3.11.2 and 3.11.3.
                shared = [sys.executable, "-m", "vorel_mock", *command("many"), "--port", str(port)]
                many = subprocess.Popen(shared, stdout=subprocess.DEVNULL)
                try:
                    until(lambda: healthy(prefix, port))
                    assert httpx.post(handoff, headers=headers).status_code == 200
                    assert many.poll() is None
                finally:
                    many.terminate()
                    many.wait(30)
            finally:
                redis.terminate()
                redis.wait(30)

        assert set(prefix.rglob("*")) == files, "nothing was written"


def test_the_image_is_what_it_promises() -> None:
    """Two stages, another user than root, a health check without a secret, hashes for all that is installed."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^ARG BASE=python:3\.\d+-alpine$", text, re.MULTILINE)
    assert list(stages())[-1] == "mock", "the default"
    for stage in ("mock", "kit"):
        assert [line.split()[0] for line in of(stage, "COPY")] == [f"--from=build{'-kit' if stage == 'kit' else ''}"]
        assert int(of(stage, "USER")[0].partition(":")[0]) > 0
        assert not of(stage, "RUN")
    for line in [*of("build", "RUN"), *of("build-kit", "RUN")]:
        assert "install" not in line or "--require-hashes" in line or "--no-deps --no-build-isolation" in line
    assert "token" not in of("mock", "HEALTHCHECK")[0].lower()


def test_what_is_copied_is_not_ignored_and_the_rest_is() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line[0] == "!"}
    sources = [s for stage in ("build", "build-kit") for line in of(stage, "COPY") for s in line.split()[:-1]]
    assert {source.partition("/")[0] for source in sources} == let_in
    for secret in (".git", ".venv", "target.toml"):
        assert not any(fnmatch.fnmatch(secret, pattern) for pattern in let_in)


def test_compose_starts_each_service_when_the_mock_is_healthy() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"mock", "receiver", "gate", "redis", "many"}
    for name, service in services.items():
        assert service["read_only"]
        if name not in ("mock", "redis"):
            waited_for = "redis" if name == "many" else "mock"
            assert service["depends_on"] == {waited_for: {"condition": "service_healthy"}}
        if "build" in service:
            assert service["build"]["target"] in stages()
    for name, port in (("mock", 3000), ("many", 3001)):
        assert services[name]["ports"] == [f"127.0.0.1:{port}:3000"], "not for other machines: its network is trusted"
