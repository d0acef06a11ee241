"""Logs in a file, an SQLite database that one mock has for itself."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vorel_mock.mock.tenant_log.interface import (
    FROZEN,
    NUMBER,
    PENDING,
    Append,
    Changes,
    Known,
    LogError,
    Placed,
    PlacedEntry,
    Stored,
)

#: What SQLite writes into the header of the file, so that `file` and we know it: "vorl".
_APPLICATION = 0x766F726C

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tenants (
  id TEXT NOT NULL UNIQUE, number INTEGER PRIMARY KEY AUTOINCREMENT,
  version INTEGER NOT NULL, checkpoint BLOB NOT NULL, flags INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS flagged ON tenants (flags) WHERE flags;
CREATE TABLE IF NOT EXISTS entries (
  tenant TEXT NOT NULL, version INTEGER NOT NULL, number INTEGER NOT NULL, content BLOB NOT NULL,
  PRIMARY KEY (tenant, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (hash BLOB PRIMARY KEY, tenant TEXT NOT NULL) WITHOUT ROWID;
"""


class SqliteLog:
    """Logs in a file. Raises LogError if that cannot be used.

    What is acknowledged is on the disk: each commit is one transaction in the write-ahead log, with one fsync.
    """

    is_shared = False

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._told():
            try:
                self._open(path)
            except BaseException:
                if hasattr(self, "_file"):
                    self._file.close()
                raise
        self._entries: list[tuple[str, int, int, bytes]] = []
        self._number = int(self.facts().get(NUMBER, b"0"))

    def _open(self, path: Path) -> None:
        # One thread at a time uses it, not always the same one: the one that opens it, and then the sequencer's.
        self._file = file = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        file.execute("PRAGMA locking_mode = EXCLUSIVE")
        (application,) = file.execute("PRAGMA application_id").fetchone()
        (objects,) = file.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != _APPLICATION and objects:
            raise LogError(f"{path}: is the database of another program. Give --state a file of its own.")
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        file.execute("BEGIN EXCLUSIVE")  # which fails here, and not later, if another mock has the file
        file.execute(f"PRAGMA application_id = {_APPLICATION}")
        file.execute("COMMIT")
        file.executescript(_SCHEMA)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what SQLite says as a LogError."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise LogError(f"{self._path}: {_reason(error)}") from error

    def facts(self) -> Mapping[str, bytes]:
        """Return what concerns the whole mock."""
        with self._told():
            return dict(self._file.execute("SELECT name, value FROM facts"))

    def place(self, entries: Sequence[Append]) -> Sequence[Placed]:
        """Give each entry its place. One process has the file: what it knows is all there is."""
        placed: list[Placed] = []
        versions: dict[str, int] = {}
        for entry in entries:
            version, number = 0, 0
            if entry.is_request:
                number = self._number = self._number + 1
            if entry.tenant_id is not None:
                version = versions[entry.tenant_id] = versions.get(entry.tenant_id, entry.known.version) + 1
                self._entries.append((entry.tenant_id, version, number, entry.content))
            placed.append(Placed(version, number))
        return placed

    def read(self, tenants: Mapping[str, Known], used: Collection[str]) -> Mapping[str, Sequence[PlacedEntry] | None]:
        """Return nothing: nobody else writes."""
        return {}

    def commit(self, changes: Changes) -> Mapping[str, Known]:
        """Write everything in one transaction."""
        entries, self._entries = self._entries, []
        if not (entries or changes != Changes()):
            return {}
        with self._told():
            run, run_many = self._file.execute, self._file.executemany
            run("BEGIN IMMEDIATE")
            try:
                run_many("INSERT INTO entries VALUES (?, ?, ?, ?)", entries)
                for tenant_id in changes.removed:
                    run("DELETE FROM tenants WHERE id = ?", [tenant_id])
                    run("DELETE FROM entries WHERE tenant = ?", [tenant_id])
                    run("DELETE FROM tokens WHERE tenant = ?", [tenant_id])
                for tenant_id, checkpoint in changes.checkpoints.items():
                    version = checkpoint.known.version
                    run(
                        "INSERT INTO tenants (id, version, checkpoint) VALUES (?, ?, ?) ON CONFLICT (id) "
                        "DO UPDATE SET version = excluded.version, checkpoint = excluded.checkpoint",
                        [tenant_id, version, checkpoint.content],
                    )
                    run("DELETE FROM entries WHERE tenant = ? AND version <= ?", [tenant_id, version])
                for token, owner in changes.tokens.items():
                    if owner is None:
                        run("DELETE FROM tokens WHERE hash = ?", [token])
                    else:
                        run("INSERT OR REPLACE INTO tokens VALUES (?, ?)", [token, owner])
                for tenant_id, (_, flags) in changes.flags.items():
                    bits = flags.pending * PENDING + flags.frozen * FROZEN
                    run("UPDATE tenants SET flags = ? WHERE id = ?", [bits, tenant_id])
                self._number = int(changes.facts.get(NUMBER, self._number))
                facts = {**changes.facts, NUMBER: b"%d" % self._number}
                run_many("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
                run("COMMIT")
            except sqlite3.DatabaseError:
                if self._file.in_transaction:
                    run("ROLLBACK")
                raise
        return {}

    def load(self, tenant_id: str) -> Stored | None:
        """Return what there is of a tenant."""
        with self._told():
            found = self._file.execute("SELECT version, checkpoint FROM tenants WHERE id = ?", [tenant_id]).fetchone()
            if found is None:
                return None
            entries = self._file.execute(
                "SELECT version, number, content FROM entries WHERE tenant = ? ORDER BY version", [tenant_id]
            )
            return Stored(Known(found[0]), found[1], entries.fetchall())

    def owner(self, token: bytes) -> str | None:
        """Return the tenant of a key."""
        with self._told():
            found = self._file.execute("SELECT tenant FROM tokens WHERE hash = ?", [token]).fetchone()
        return None if found is None else str(found[0])

    def tenant_ids(self) -> Sequence[str]:
        """Return all tenants, in the order in which they were made."""
        with self._told():
            return [tenant_id for (tenant_id,) in self._file.execute("SELECT id FROM tenants ORDER BY number")]

    def count(self) -> int:
        """Return the number of tenants."""
        with self._told():
            return int(self._file.execute("SELECT count(*) FROM tenants").fetchone()[0])

    def flagged(self, flag: int) -> Sequence[str]:
        """Return the tenants that have a flag."""
        with self._told():
            found = self._file.execute("SELECT id FROM tenants WHERE flags AND flags & ? ORDER BY number", [flag])
            return [tenant_id for (tenant_id,) in found]

    def claim(self, owned: Collection[str]) -> Collection[str]:
        """Return all that have deliveries to make: there is no other process."""
        return self.flagged(PENDING)

    def ended(self) -> Collection[str]:
        """Return nothing: the process itself watches leases."""
        return ()

    def draw(self) -> int:
        """There is no other process that draws."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _reason(error: sqlite3.DatabaseError) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another mock uses this file. Stop that one, or give --state another file."
    if code == sqlite3.SQLITE_NOTADB:
        return "is not a file that a mock has written. Give --state another name."
    if code == sqlite3.SQLITE_CANTOPEN:
        return "cannot be opened. Its folder must exist, and this user must be able to write there."
    if code == sqlite3.SQLITE_READONLY:
        return "cannot be written by this user."
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full."
    if code == sqlite3.SQLITE_CORRUPT:
        return "is damaged. Restore a copy, or delete it together with its -wal file and begin anew."
    return f"cannot be used: {error}"
