"""Requests that nobody thought of: bodies that schemathesis makes from the contract, and their shrinking.

All bodies are drawn before the first is sent, so that they depend on the seed alone and not on what the server
answers. Each is judged by both validators first: a valid one that is not valid would accuse the server of our own
mistake.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.internal import constants_ast
from hypothesis.internal.conjecture import providers
from hypothesis.strategies import SearchStrategy

from vorel_conformance import contract, strict, validators

if TYPE_CHECKING:
    from vorel_conformance.exchange import Exchange
    from vorel_conformance.session import Probe

LARGEST = 64 * 1024  # bytes; a server may refuse a larger body for its size alone
DEEPEST = 40
DRAWS = 8  # times as many as are needed: doubles and unfit ones fall out
SHRINKS = 60  # requests that the search for a smaller breach may take
_ONE_AT_A_TIME = threading.Lock()
T = TypeVar("T")


class _EnoughError(Exception):
    """What ends the drawing."""


class _BreachError(Exception):
    """What makes hypothesis shrink."""


@cache
def bodies(operation: str, valid: bool, seed: int, count: int) -> tuple[bytes, ...]:
    """`count` different bodies of an operation, valid or invalid by both validators; the same for the same seed."""
    found: dict[bytes, None] = {}
    boundary = [body for body in _boundaries(operation, valid) if is_fit(operation, body, valid)]
    for body in boundary[:: max(1, len(boundary) * 3 // count)]:
        found.setdefault(body)

    def collect(body: bytes) -> None:
        if is_fit(operation, body, valid):
            found.setdefault(body)
        if len(found) >= count:
            raise _EnoughError

    with contextlib.suppress(_EnoughError):
        _run(_strategy(operation, valid), seed, DRAWS * count, [Phase.generate], collect)
    return tuple(found)[:count]


def is_fit(operation: str, body: bytes, valid: bool) -> bool:
    """Whether a body may be sent as a valid or an invalid one, and every reader of JSON would say the same."""
    if not body.strip() or len(body) > LARGEST:
        return False
    parsed = strict.parse(body)
    if parsed.error:
        # NaN, UTF-16 and the like: some readers take it. body.strict asks for those.
        return not valid and not _lenient_readers_take_it(body)
    if depth(parsed.value) > DEEPEST:
        return False
    kept = validators.is_valid(f"/components/schemas/{_schema_name(operation)}", parsed.value)
    if valid and kept and isinstance(parsed.value, dict):
        # The schemas are open, but whether unknown members pass is a clause of its own, and a SHOULD.
        kept = set(parsed.value) <= set(contract.load().operations[operation].body["properties"])
    return kept is valid


def depth(value: Any) -> int:
    """How deeply a value is nested; 0 for a plain one."""
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


def example(strategy: SearchStrategy[T], seed: int) -> T:
    """One example of a strategy, the same for the same seed, and not the simplest."""
    found: list[T] = []
    _run(strategy, seed, 12, [Phase.generate], found.append)
    return found[-1]


def shrink_breaches(probe: Probe, clause: str, operation: str, *, valid: bool, label: str, status: int) -> None:
    """Search for the smallest body that breaks `clause`, or the server, where one of the test's bodies did."""
    for broken, is_bad in (
        (
            clause,
            lambda exchange: exchange.answered and exchange.status < 500 and exchange.status not in (status, 401, 429),
        ),
        ("fuzz.no-server-error", lambda exchange: not exchange.answered or exchange.status >= 500),
    ):
        record = probe.session.records.get(broken)
        mine = [each for each in record.violations if each.test == probe.name and each.exchange] if record else []
        if record is None or not mine:
            continue
        smallest = _smallest(probe, operation, valid, label, status, clause, is_bad)
        # The smallest breach goes first: it is the one that a reader looks at.
        size = {id(each): len(each.exchange.request.body or b"") for each in record.violations if each.exchange}
        if smallest is not None:
            record.violations.sort(key=lambda each: (each.test != probe.name, size.get(id(each), 0)))


def _smallest(
    probe: Probe,
    operation: str,
    valid: bool,
    label: str,
    status: int,
    clause: str,
    is_bad: Callable[[Exchange], bool],
) -> bytes | None:
    known = {each.request.body: is_bad(each) for each in probe.session.client.exchanges if each.request.body}
    left, best = SHRINKS, None

    def ask(drawn_body: bytes) -> None:
        nonlocal left, best
        body = marked(drawn_body, probe.session.seed)
        if body not in known:
            # Before the first breach every body is a known one: what is not was left out, and stays so.
            if best is None or left == 0 or not is_fit(operation, body, valid):
                return
            left -= 1
            request = probe.request(probe.contract.operations[operation], body)
            known[body] = is_bad(probe.expect(clause, label, request, {status}))
        if known[body]:
            if best is None or len(body) < len(best):
                best = body
            raise _BreachError

    count = DRAWS * probe.session.shared.get("fuzz", 0)
    # Flaky: a breach that comes and goes; the report says so by itself.
    with contextlib.suppress(_BreachError, hypothesis.errors.Flaky):
        _run(_strategy(operation, valid), probe.session.seed, count, [Phase.generate, Phase.shrink], ask)
    return best


def _run(strategy: SearchStrategy[T], seed: int, count: int, phases: list[Phase], use: Callable[[T], None]) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        database=None,
        max_examples=count,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
    )
    @hypothesis.given(strategy)
    def test(value: T) -> None:
        use(value)

    # Hypothesis keeps state by thread and schemathesis does not: one run at a time.
    with _ONE_AT_A_TIME, _no_borrowed_constants(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test()


@contextlib.contextmanager
def _no_borrowed_constants() -> Iterator[None]:
    """Keep Hypothesis from drawing constants of the modules that happen to be imported: the seed alone decides.

    It has no setting for that; its release is pinned, and a test looks that this still works.
    """
    providers.CONSTANTS_CACHE.cache.clear()
    with mock.patch.object(providers, "_get_local_constants", constants_ast.Constants):
        yield
    providers.CONSTANTS_CACHE.cache.clear()


@cache
def _strategy(operation: str, valid: bool) -> SearchStrategy[bytes]:
    mode = schemathesis.GenerationMode.POSITIVE if valid else schemathesis.GenerationMode.NEGATIVE
    strategy: SearchStrategy[Any] = _operation(operation, closed=valid).as_strategy(generation_mode=mode)
    return strategy.map(lambda case: _encoded(case.body))


@cache
def _operation(operation: str, *, closed: bool) -> Any:
    """Schemathesis' view of an operation's body alone: parameters and keys would be drawn for nothing.

    `closed`: without unknown members, which would be most of what it draws.
    """
    found = contract.load().operations[operation]
    document = copy.deepcopy(contract.load().document)
    if closed:
        document["components"]["schemas"][_schema_name(operation)]["additionalProperties"] = False
    item = {**document["paths"][found.path][found.method.lower()], "parameters": [], "security": []}
    document = {**document, "paths": {"/body": {"post": item}}, "security": []}
    logging.getLogger("schemathesis").setLevel(logging.ERROR)
    return schemathesis.openapi.from_dict(document)["/body"]["POST"]


def _boundaries(operation: str, valid: bool) -> Iterator[bytes]:
    """The lengths around each limit, the members of each enumeration, each member left out, wrong types."""
    schema = contract.load().operations[operation].body
    required = schema.get("required", [])
    example = {name: _example(each) for name, each in schema["properties"].items()}
    for name, each in schema["properties"].items():
        for value in _edges(each):
            yield _encoded({**example, name: value})
            yield _encoded({**{key: example[key] for key in required}, name: value})
        yield _encoded({key: value for key, value in example.items() if key != name})
    for value in (None, [], "", 0, False, {}, [example], "{}"):
        yield _encoded(value)


def _example(schema: dict[str, Any]) -> Any:
    if schema["type"] == "object":
        return {}
    found: Any = schema.get("enum", ["vorel-conformance"])[0]
    return found


def _edges(schema: dict[str, Any]) -> Iterator[Any]:
    yield from (None, True, 0, 1.5, -1, [], [""], {"a": 1})
    yield from schema.get("enum", [])
    if schema["type"] == "string":
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 0)
        for length in {
            shortest - 1,
            shortest,
            shortest + 1,
            longest - 1,
            longest,
            longest + 1,
            longest * 2,
            longest * 10,
        }:
            for character in ("x", " ", "\u00e9", "\u6f22", "\U0001f600", "\u0001", "\\", '"') if length > 0 else ("",):
                yield character * length


def _encoded(body: Any) -> bytes:
    """A body as bytes; empty for none. A CRM write gets an idempotency_key that no other run has used."""
    if isinstance(body, bytes):
        return body
    if type(body).__name__ == "NotSet":
        return b""
    try:
        raw = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, TypeError, RecursionError):
        return b""
    return raw


def _schema_name(operation: str) -> str:
    document = contract.load().document
    found = contract.load().operations[operation]
    content = document["paths"][found.path][found.method.lower()]["requestBody"]["content"]
    return str(content[contract.MEDIA_TYPE]["schema"]["$ref"]).rsplit("/", 1)[-1]


def _lenient_readers_take_it(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        pass
    else:
        return True
    try:
        json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


def marked(body: bytes, seed: int) -> bytes:
    """The body with an idempotency_key of this run, as far as it has one with room for it."""
    parsed = strict.parse(body)
    key = parsed.value.get("idempotency_key") if isinstance(parsed.value, dict) else None
    if parsed.error or not isinstance(key, str) or not 40 < len(key) + 40 <= 200:
        return body
    mark = hashlib.sha256(f"{seed} ".encode() + body).hexdigest()[:12]
    return json.dumps(
        {**parsed.value, "idempotency_key": f"vorel-conformance {mark} {key}"}, ensure_ascii=False
    ).encode()
