"""`--state FILE`: what a client was answered is there again, whatever happens to the process."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.mock.state import HANDOFF, Steps, client, everything, inbox, served, until

from vorel_mock.control import logged_commands
from vorel_mock.control.document import FILE
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.mock.tenant_log import replica
from vorel_mock.mock.tenant_log.interface import LogError
from vorel_mock.testing import InProcessMock


def killed(state: Path) -> Path:
    """A copy of a file as it is on the disk now: what a process leaves that is killed."""
    copy = state.with_name(f"killed-{len(list(state.parent.iterdir()))}.db")
    for suffix in ("", "-wal"):
        if state.with_name(state.name + suffix).exists():
            shutil.copy(state.with_name(state.name + suffix), copy.with_name(copy.name + suffix))
    return copy


@pytest.mark.parametrize("seed", range(4))
def test_after_any_death_everything_is_as_it_was_and_goes_on_as_in_memory(
    tmp_path: Path, seed: int, quiet_webhooks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "CHECKPOINT_EVERY", (3, 1_000)[seed % 2])
    monkeypatch.setattr(replica, "MAX_LOADED", (7, 1_000)[seed // 2])
    settings: dict[str, Any] = {"seed": 5, "clock": "frozen"}
    with InProcessMock(**settings) as in_memory, InProcessMock(**settings, state=tmp_path / "mock.db") as mock:
        expected, answered = Steps(in_memory, seed), Steps(mock, seed)
        for _ in range(60):
            assert answered.next() == expected.next()
        ids = list(everything(in_memory))
        assert everything(mock, ids) == everything(in_memory)
        with InProcessMock(state=killed(tmp_path / "mock.db")) as again:
            assert everything(again, ids) == everything(in_memory)
        for _ in range(60):
            assert answered.next() == expected.next()
        assert everything(mock, ids) == everything(in_memory, ids)


def test_on_a_running_clock_too(tmp_path: Path, quiet_webhooks: None) -> None:
    with InProcessMock(seed=5, state=tmp_path / "mock.db") as mock:
        steps = Steps(mock, 9)
        for _ in range(60):
            steps.next()
        with InProcessMock(state=killed(tmp_path / "mock.db")) as again:
            before, after = everything(mock), everything(again)
    for tenants in (before, after):
        for shown, snapshot in tenants.values():
            del shown["clock"]["now"], snapshot["clock"]["now"]
    assert after == before


def test_what_a_client_has_read_survives_kill_9_exactly_once(tmp_path: Path) -> None:
    state, limit = tmp_path / "mock.db", 40
    process, url = served(state, "--clock=frozen", f"--rate-limit={limit}")
    accepted: list[str] = []
    keys = httpx.get(f"{url}/_mock/target").json()["keys"]["full"][:2]
    tenant, lead = "00000001-7e4a-4000-8000-000000000000", "00000001-1ead-4000-8000-000000000001"
    statuses: list[tuple[str, int]] = []

    def hand_off(key: str) -> None:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as http:
            while True:
                try:
                    answer = http.post(f"/api/v1/leads/{lead}/handoff", json={})
                except httpx.HTTPError:
                    return
                statuses.append((key, answer.status_code))
                if answer.status_code == 200:
                    accepted.append(answer.json()["handoff_id"])

    clients = [threading.Thread(target=hand_off, args=[key]) for key in keys * 3]
    for each in clients:
        each.start()
    deadline = time.monotonic() + 20
    while len(accepted) < limit and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    for each in clients:
        each.join(30)
    process, url = served(state)
    try:
        rows = httpx.get(f"{url}/_mock/tenants/{tenant}/audit-log").json()["data"]
        counted = [row["handoff_id"] for row in rows]
        assert len(accepted) >= limit
        assert len(set(accepted)) == len(accepted)
        assert sorted(set(accepted) & set(counted)) == sorted(accepted)
        assert len(set(counted)) == len(counted)
        with httpx.Client(base_url=url) as http:  # the clock is frozen: it is still the same minute
            for key in keys:
                for _ in range(limit + 1):
                    answer = http.post(
                        f"/api/v1/leads/{lead}/handoff", headers={"Authorization": f"Bearer {key}"}, json={}
                    )
                    statuses.append((key, answer.status_code))
        for key in keys:
            assert statuses.count((key, 200)) <= limit
    finally:
        process.terminate()
        process.wait(30)


def test_deliveries_that_are_pending_are_made_after_the_restart(tmp_path: Path) -> None:
    with inbox(503) as (failed, port), InProcessMock(state=tmp_path / "mock.db") as mock:
        tenant = mock.new_tenant()
        tenant.webhooks.subscribe(f"http://127.0.0.1:{port}/", [HANDOFF])
        with mock.client(tenant) as http:
            http.post(f"/api/v1/leads/{tenant.lead}/handoff", json={})
        until(lambda: len(failed) == 2)  # the test event, and the handoff's
        until(lambda: all(row["attempts"] for row in tenant.webhooks.deliveries()))
        mock.control.health()  # behind the notes of both attempts
        left = killed(tmp_path / "mock.db")
    with inbox(200, port) as (got, _), InProcessMock(state=left) as again:
        # Nobody has asked for the tenant yet, and its clock runs on from where it was.
        with client(again) as http:
            http.post(f"/_mock/tenants/{tenant.id}/clock", json={"advance": "10s"})
            rows = http.get(f"/_mock/tenants/{tenant.id}/deliveries").json()["data"]
        assert sorted(got) == sorted(failed)
        assert [[each["status"] for each in row["attempts"]] for row in rows] == [[503, 200], [503, 200]]


def test_a_log_that_cannot_be_written_answers_503_and_goes_on_when_it_can(tmp_path: Path) -> None:
    with InProcessMock(state=tmp_path / "mock.db") as mock:
        tenant = mock.new_tenant()
        state = mock._app.mock.state
        assert state is not None
        commit = state._log.commit

        def full(changes: Any) -> None:
            state._log._entries.clear()  # type: ignore[attr-defined] # what the real one does
            raise LogError("mock.db: the disk is full.")

        with mock.client(tenant) as http:
            assert http.post(f"/api/v1/leads/{tenant.lead}/handoff", json={}).status_code == 200
            state._log.commit = full  # type: ignore[method-assign, assignment] # a disk cannot be filled here
            refused = http.post(f"/api/v1/leads/{tenant.lead}/handoff", json={})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["error"]["code"]
            sick = http.get("/_mock/health")
            assert sick.status_code == 503
            assert "the disk is full" in sick.json()["error"]["message"]
            added = http.post(f"/_mock/tenants/{tenant.id}/leads", json={"name": "Ada"})
            assert added.status_code == 503
            state._log.commit = commit  # type: ignore[method-assign] # there is room again
            assert http.get("/_mock/health").status_code == 200
            assert http.post(f"/api/v1/leads/{tenant.lead}/handoff", json={}).status_code == 200
        assert len(tenant.handoffs()) == 2
        assert [lead["name"] for lead in tenant.lead_states()] == ["Lead 1", "Lead 2", "Lead 3"]
        memory = everything(mock)
        with InProcessMock(state=killed(tmp_path / "mock.db")) as again:
            assert everything(again)[tenant.id][1]["handoffs"] == memory[tenant.id][1]["handoffs"]


def test_entries_before_a_checkpoint_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "CHECKPOINT_EVERY", 10)
    with InProcessMock(state=tmp_path / "mock.db", rate_limit=0, tenant_rate_limit=0) as mock:
        tenant = mock.new_tenant()
        with mock.client(tenant) as http:
            for _ in range(100):
                http.post(f"/api/v1/leads/{tenant.lead}/handoff", json={})
        with closing(sqlite3.connect(killed(tmp_path / "mock.db"))) as file, file:
            (left,) = file.execute("SELECT count(*) FROM entries").fetchone()
            (version,) = file.execute("SELECT version FROM tenants WHERE id = ?", [tenant.id]).fetchone()
        assert 0 < version < 100
        assert left == 100 - version


def refused(**settings: Any) -> str:
    with pytest.raises(LogError) as raised:
        Mock(Settings(**settings))
    return str(raised.value)


def test_a_file_that_cannot_be_used_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "mock.db"
    with InProcessMock(state=path, seed=7):
        assert "another mock uses this file" in refused(state=path)
    assert "has the seed 7" in refused(state=path, seed=8)
    larger = Path(__file__).parents[1] / "data" / "larger.yaml"
    assert "another document" in refused(state=path, contract=larger)
    (tmp_path / "text").write_text("some text that is long enough to be no empty file" * 50)
    assert "not a file that a mock has written" in refused(state=tmp_path / "text")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE t (x)")
    assert "of another program" in refused(state=tmp_path / "other.db")
    assert "cannot be opened" in refused(state=tmp_path / "nowhere" / "mock.db")
    assert "cannot be opened" in refused(state=tmp_path)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE facts SET value = replace(value, '\"format\":1', '\"format\":2')")
    assert "has format 2, and this version of vorel-mock knows 1" in refused(state=path)


def test_a_damaged_file_is_told_at_the_start_or_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mock.db"
    with InProcessMock(state=path) as mock:
        mock.new_tenant()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE tenants SET checkpoint = x'00'")
    with pytest.raises(LogError, match="its checkpoint cannot be read"):
        InProcessMock(state=path)


def test_the_command_line_tells_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 500)
    done = subprocess.run(
        [sys.executable, "-m", "vorel_mock", "serve", "--port=0", f"--state={tmp_path / 'text'}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Invalid value for '--state'" in done.stderr
    assert "Traceback" not in done.stderr


def test_each_operation_that_changes_something_says_how_it_goes_into_the_log() -> None:
    paths = yaml.safe_load(FILE.read_text("utf-8"))["paths"]
    operations = {
        operation["operationId"]: path
        for path, item in paths.items()
        for method, operation in item.items()
        if method in ("post", "put", "patch", "delete")
    }
    known = [logged_commands.COMMANDS, logged_commands.OF_THE_WHOLE, logged_commands.LOOKS]
    assert sorted(operations) == sorted(name for names in known for name in names)
    assert all("{tenant_id}" in operations[name] for name in logged_commands.COMMANDS)


def test_tenants_are_counted_after_a_look_at_the_health_as_well(tmp_path: Path) -> None:
    with InProcessMock(state=tmp_path / "mock.db") as mock, client(mock) as http:
        before = http.get("/_mock/health").json()["tenants"]
        tenant = mock.new_tenant()
        assert mock._app.mock.store.total == before + 1
        http.delete(f"/_mock/tenants/{tenant.id}")
        assert mock._app.mock.store.total == before
