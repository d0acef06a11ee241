"""Fuzzing: bodies that schemathesis generates from the contract, and the shrinking of those that show a violation.

All bodies are generated before the first one is sent. They depend on the seed alone, not on the responses. Both
validators judge every body first, so that an invalid body is never sent as a valid one.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import hashlib
import json
import logging
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest import mock

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, configuration
from hypothesis.internal import charmap, constants_ast
from hypothesis.internal.conjecture import providers
from hypothesis.strategies import SearchStrategy

from vorel_conformance.checks import schema
from vorel_conformance.http import strict_json
from vorel_conformance.spec import contract

if TYPE_CHECKING:
    from vorel_conformance.http.exchange import Exchange
    from vorel_conformance.session.probe import Probe

LARGEST = 64 * 1024  # bytes; a server may reject a larger body because of its size
DEEPEST = 40
DRAWS = 8  # times the number needed: duplicates and unusable bodies are dropped
SHRINKS = 60  # requests for the search for a smaller violation
_ONE_AT_A_TIME = threading.Lock()


class _EnoughError(BaseException):  # Hypothesis takes an Exception for a bug that it has to shrink
    """Raised to end the generation, or the shrinking, at once."""


class _ViolationError(Exception):
    """Raised to make hypothesis shrink a body."""


@cache
def bodies(operation: str, valid: bool, seed: int, count: int) -> tuple[bytes, ...]:
    """Return `count` different bodies of an operation, valid or invalid by both validators. Repeatable by the seed."""
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
        _run(operation, valid, seed, DRAWS * count, [Phase.generate], collect)
    return tuple(found)[:count]


def is_fit(operation: str, body: bytes, valid: bool) -> bool:
    """Return True if a body is valid, or invalid, for every JSON parser and both validators."""
    if not body.strip() or len(body) > LARGEST:
        return False
    parsed = strict_json.parse(body)
    if parsed.error:
        # Some parsers accept NaN, UTF-16 and the like. body.strict tests them.
        return not valid and not _lenient_parsers_accept(body)
    if depth(parsed.value) > DEEPEST:
        return False
    kept = schema.is_valid(f"/components/schemas/{_schema_name(operation)}", parsed.value)
    if valid and kept and isinstance(parsed.value, dict):
        # The schemas are open, but unknown members have a clause of their own, which is only a SHOULD.
        kept = set(parsed.value) <= set(contract.load().operations[operation].body["properties"])
    return kept is valid


def depth(value: Any) -> int:
    """Return how deeply a value is nested, 0 for a scalar."""
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


def shrink_violations(probe: Probe, clause: str, operation: str, *, valid: bool, label: str, status: int) -> None:
    """Search for the smallest body that violates `clause` or `fuzz.no-server-error`, if one of the test's did."""
    for broken, is_bad in (
        (
            clause,
            lambda exchange: exchange.responded and exchange.status < 500 and exchange.status not in (status, 401, 429),
        ),
        ("fuzz.no-server-error", lambda exchange: not exchange.responded or exchange.status >= 500),
    ):
        result = probe.session.results.get(broken)
        mine = [each for each in result.violations if each.test == probe.name and each.exchange] if result else []
        if result is None or not mine:
            continue
        smallest = _smallest(probe, operation, valid, label, status, clause, is_bad)
        if smallest is None:
            continue
        # For the reader of the report: the smallest violation first, but a server error that a directed test has found,
        # and named, before those of generated bodies.
        size = {id(each): len(each.exchange.request.body or b"") for each in mine if each.exchange}
        last = broken != clause
        result.violations.sort(key=lambda each: ((each.test == probe.name) == last, size.get(id(each), 0)))


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
            # Before the first violation every usable body is known. Skip the others.
            if best is None or not is_fit(operation, body, valid):
                return
            if left == 0:
                raise _EnoughError
            left -= 1
            request = probe.request(probe.contract.operations[operation], body)
            known[body] = is_bad(probe.expect(clause, label, request, {status}))
        if known[body]:
            if best is None or len(body) < len(best):
                best = body
            raise _ViolationError

    count = DRAWS * probe.session.fuzz_count
    # Flaky: a violation that is not repeatable. The report says so.
    with contextlib.suppress(_ViolationError, _EnoughError, hypothesis.errors.Flaky):
        _run(operation, valid, probe.session.seed, count, [Phase.generate, Phase.shrink], ask)
    return best


def _run(operation: str, valid: bool, seed: int, count: int, phases: list[Phase], use: Callable[[bytes], None]) -> None:
    # Schemathesis has global state, and both compile syntax trees, which CPython may fail at in two threads at once
    # (gh-106905): only one thread at a time may generate.
    with _ONE_AT_A_TIME, _no_folder(), _no_borrowed_constants(), warnings.catch_warnings():
        warnings.simplefilter("ignore")

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
        @hypothesis.given(_strategy(operation, valid))
        def test(value: bytes) -> None:
            use(value)

        test()


@contextlib.contextmanager
def _no_folder() -> Iterator[None]:
    """Keep Hypothesis from leaving its folder `.hypothesis` where the kit was started.

    It has a function to set the folder, but none to read it. Its release is pinned, and a test checks the result.
    """
    before = vars(configuration)["__hypothesis_home_directory"]
    with tempfile.TemporaryDirectory(prefix="vorel-conformance-", ignore_cleanup_errors=True) as folder:
        configuration.set_hypothesis_home_dir(folder)
        _write_characters()
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)


def _write_characters() -> None:
    """Write the characters of UTF-8, all but the surrogates, to the folder of Hypothesis.

    It keeps them there from run to run, because it takes three seconds to find them. Ours is empty each time.
    """
    path = charmap.charmap_file("codec-v2-utf-8")
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt") as file:
        json.dump([[[0, 0xD7FF], [0xE000, sys.maxunicode]], []], file)


@contextlib.contextmanager
def _no_borrowed_constants() -> Iterator[None]:
    """Keep Hypothesis from using constants of the imported modules, so that the seed alone decides.

    Hypothesis has no setting for this. Its release is pinned, and a test checks that the patch still works.
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
    """Return schemathesis' view of an operation, reduced to the body: the kit sets parameters and keys itself.

    `closed`: without unknown members, which would fill most generated bodies.
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
    """Yield bodies at the boundaries: lengths around each limit, enumerations, missing members, wrong types."""
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
    """Return a body as bytes, empty for none."""
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


def _lenient_parsers_accept(body: bytes) -> bool:
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
    """Return the body with a marker of this run in its idempotency_key, if the key has room for it."""
    parsed = strict_json.parse(body)
    key = parsed.value.get("idempotency_key") if isinstance(parsed.value, dict) else None
    if parsed.error or not isinstance(key, str) or not 40 < len(key) + 40 <= 200:
        return body
    mark = hashlib.sha256(f"{seed} ".encode() + body).hexdigest()[:12]
    return json.dumps(
        {**parsed.value, "idempotency_key": f"vorel-conformance {mark} {key}"}, ensure_ascii=False
    ).encode()
