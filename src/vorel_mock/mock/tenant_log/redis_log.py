"""Logs in Redis or Valkey, which any number of mocks share. The functions that run there are in redis_functions.lua."""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from vorel_mock.mock.tenant_log.interface import (
    FROZEN,
    NUMBER,
    Append,
    Behind,
    Changes,
    Known,
    LogError,
    NewCheckpoint,
    Placed,
    PlacedEntry,
    Stored,
)
from vorel_mock.unpatched.clocks import monotonic, sleep

FUNCTIONS = Path(__file__).with_name("redis_functions.lua")
_LIBRARY = "vorel_mock_1"
_PREFIX = "vorel-mock:"

#: Seconds to connect, and for one answer.
CONNECT_TIMEOUT = 1.5
ANSWER_TIMEOUT = 2.0
#: Seconds after a failure in which nothing is tried: who asks meanwhile is told at once.
PAUSE = 0.5
#: Seconds after which another process makes the deliveries of one that says nothing.
CLAIM = 10.0
#: Seconds that the first process has to make the tenants of the fixtures, while others wait.
_MAKING = 30.0


class RedisLog:
    """Logs in a Redis database. Raises LogError if that cannot be used."""

    is_shared = True

    def __init__(self, url: str) -> None:
        self.url = _without_password(url)
        self._me = secrets.token_hex(8)
        self._facts_version = b"0"
        self._failed_at = -PAUSE
        # No second try: it would write an entry twice whose answer was lost.
        options: Any = {"retry": Retry(NoBackoff(), 0), "retry_on_error": []}
        with self._told():
            try:
                # Any: the library's types allow for answers that are texts, which ours are not.
                self._redis: Any = redis.Redis.from_url(
                    url, socket_connect_timeout=CONNECT_TIMEOUT, socket_timeout=ANSWER_TIMEOUT, **options
                )
            except ValueError as error:
                raise LogError(f"{self.url}: is no URL of Redis: {error}. Write redis://HOST:PORT/DATABASE.") from error
            self._redis.ping()
            self._redis.function_load(FUNCTIONS.read_text("utf-8"), replace=True)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a function in Redis. One that has lost them, after a restart without a file, is given them again."""
        with self._told():
            try:
                return self._redis.fcall(f"{_LIBRARY}_{name}", 0, *arguments)
            except redis.ResponseError as error:
                if "Function not found" not in str(error):
                    raise
                self._redis.function_load(FUNCTIONS.read_text("utf-8"), replace=True)
                return self._redis.fcall(f"{_LIBRARY}_{name}", 0, *arguments)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what goes wrong as a LogError, at once if it has just gone wrong."""
        if monotonic() - self._failed_at < PAUSE:
            raise LogError(f"{self.url}: does not answer.")
        try:
            yield
        except redis.AuthenticationError as error:
            raise LogError(f"{self.url}: rejects the password. Write redis://:PASSWORD@HOST:PORT.") from error
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self._failed_at = monotonic()
            why = "does not answer in time" if isinstance(error, redis.TimeoutError) else "cannot be reached"
            raise LogError(f"{self.url}: {why}. Is it running?") from error
        except redis.RedisError as error:
            raise LogError(f"{self.url}: {error}") from error

    def facts(self) -> Mapping[str, bytes]:
        """Return what concerns the whole mock. If there is nothing yet, one process is to make it, and others wait."""
        deadline = monotonic() + _MAKING
        while True:
            with self._told():
                found = self._redis.hgetall(f"{_PREFIX}facts")
            if found or self._is_first():
                break
            if monotonic() > deadline:
                raise LogError(f"{self.url}: another mock has begun to use it, and did not finish. Try again.")
            sleep(0.05)
        facts = {name.decode(): value for name, value in found.items()}
        self._facts_version = facts.pop("version", b"0")
        if facts:
            with self._told():
                facts[NUMBER] = self._redis.get(f"{_PREFIX}number") or b"0"
        return facts

    def _is_first(self) -> bool:
        with self._told():
            key = f"{_PREFIX}making"
            return bool(self._redis.set(key, self._me, nx=True, px=int(_MAKING * 1000))) or (
                self._redis.get(key) == self._me.encode()
            )

    def place(self, entries: Sequence[Append]) -> Sequence[Placed]:
        """Give each entry its place: one call for all."""
        if not entries:
            return []
        arguments: list[Any] = [self._facts_version, len(entries)]
        for entry in entries:
            known = entry.known
            arguments += (entry.tenant_id or "", known.version, known.epoch, entry.content, int(entry.is_request))
        return [
            Placed(version, number, _entries(missed), is_gone=version < 0)
            for version, number, missed in self._current(self._call("place", *arguments))
        ]

    def read(self, tenants: Mapping[str, Known], used: Collection[str]) -> Mapping[str, Sequence[PlacedEntry] | None]:
        """Return the entries that others have placed."""
        arguments: list[Any] = [self._facts_version]
        for tenant_id, known in tenants.items():
            arguments += (tenant_id, known.version, known.epoch, int(tenant_id in used))
        answers = self._current(self._call("read", *arguments))
        return {
            tenant_id: None if version < 0 else _entries(missed)
            for tenant_id, (version, missed) in zip(tenants, answers, strict=True)
        }

    def _current(self, answer: Any) -> Any:
        match answer[0]:
            case b"facts":
                raise Behind
            case b"behind":
                raise Behind([tenant_id.decode() for tenant_id in answer[1]])
        return answer[1]

    def commit(self, changes: Changes) -> Mapping[str, Known]:
        """Write `changes` in one transaction; entries are there since they were placed."""
        facts = {name: value for name, value in changes.facts.items() if name not in (NUMBER, "drawn")}
        if not (changes.checkpoints or changes.removed or changes.tokens or changes.flags or facts):
            if NUMBER in changes.facts:
                with self._told():
                    self._redis.set(f"{_PREFIX}number", changes.facts[NUMBER])
            return {}
        with self._told(), self._redis.pipeline(transaction=True) as pipe:

            def call(name: str, *arguments: Any) -> None:
                pipe.fcall(f"{_LIBRARY}_{name}", 0, *arguments)

            for tenant_id, made in changes.checkpoints.items():
                call("checkpoint", tenant_id, _kind(made), made.known.version, made.known.epoch, made.content)
            for tenant_id in changes.removed:
                call("remove", tenant_id)
            for token, owner in changes.tokens.items():
                call("token", token, owner or "")
            for tenant_id, (version, flags) in changes.flags.items():
                ttl = "" if flags.ttl is None else round(flags.ttl * 1000)
                call("flag", tenant_id, version, int(flags.pending), int(flags.frozen), ttl)
            if NUMBER in changes.facts:
                pipe.set(f"{_PREFIX}number", changes.facts[NUMBER])
            if facts:
                pipe.hset(f"{_PREFIX}facts", mapping=dict(facts))
                pipe.hincrby(f"{_PREFIX}facts", "version", 1)
            answers = pipe.execute()
        if facts:
            self._facts_version = b"%d" % answers[-1]
        placed = zip(changes.checkpoints, answers, strict=False)
        return {tenant_id: Known(*answer) for tenant_id, answer in placed if answer}

    def load(self, tenant_id: str) -> Stored | None:
        """Return what there is of a tenant."""
        with self._told(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(f"{_PREFIX}{tenant_id}", "from", "epoch", "checkpoint")
            pipe.xrange(f"{_PREFIX}{tenant_id}:log")
            (version, epoch, checkpoint), entries = pipe.execute()
        if checkpoint is None:
            return None
        return Stored(Known(int(version), int(epoch)), checkpoint, _entries(entries))

    def owner(self, token: bytes) -> str | None:
        """Return the tenant of a key."""
        with self._told():
            found = self._redis.hget(f"{_PREFIX}tokens", token)
        return None if found is None else found.decode()

    def tenant_ids(self) -> Sequence[str]:
        """Return all tenants, in the order in which they were made."""
        with self._told():
            return [tenant_id.decode() for tenant_id in self._redis.zrange(f"{_PREFIX}tenants", 0, -1)]

    def count(self) -> int:
        """Return the number of tenants."""
        with self._told():
            return int(self._redis.zcard(f"{_PREFIX}tenants"))

    def flagged(self, flag: int) -> Sequence[str]:
        """Return the tenants that have a flag."""
        with self._told():
            if flag == FROZEN:
                return sorted(tenant_id.decode() for tenant_id in self._redis.smembers(f"{_PREFIX}frozen"))
            return [tenant_id.decode() for tenant_id in self._redis.zrange(f"{_PREFIX}pending", 0, -1)]

    def claim(self, owned: Collection[str]) -> Collection[str]:
        """Return the tenants whose deliveries this process makes now."""
        return [each.decode() for each in self._call("claim", self._me, round(CLAIM * 1000), *owned)]

    def ended(self) -> Collection[str]:
        """Return tenants whose lease has ended."""
        return [each.decode() for each in self._call("ended")]

    def draw(self) -> int:
        """Return the number of an id that no other process draws."""
        with self._told():
            return int(self._redis.incr(f"{_PREFIX}drawn"))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _kind(made: NewCheckpoint) -> str:
    return "made" if made.is_made else "replaced" if made.is_replaced else "later"


def _entries(rows: Any) -> list[PlacedEntry]:
    """Return the rows of a stream as entries; redis-py makes dictionaries of some."""
    found = []
    for key, fields in rows:
        named = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
        found.append((int(key.partition(b"-")[0]), int(named[b"n"]), named[b"e"]))
    return found


def _without_password(url: str) -> str:
    """Return a URL as it may be shown."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        where = f"[{host}]" if ":" in host else host
        if parts.port is not None:
            where += f":{parts.port}"
    except ValueError:
        return url.partition("://")[0] + "://…"
    return urlunsplit((parts.scheme, ("***@" if parts.username or parts.password else "") + where, parts.path, "", ""))
