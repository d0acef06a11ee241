"""Runs the kit against the reference server, with a small limit and a short window, for the proof.

By default both are in one process, on a clock that jumps; variants whose difference is on the wire have connections.
FULL_PROOF=1 (`make proof`) runs all of it over connections, which takes an hour.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.conformance.in_process import InProcess, Inside, inside
from tests.conformance.reference import Fault, Reading, Running, serve
from tests.conformance.reference.server import Variant

from vorel_conformance.http.target import from_profile
from vorel_conformance.runs.plan import Options
from vorel_conformance.runs.server import run

LIMIT, WINDOW = 20, 2.0
T = TypeVar("T")
FULL = bool(os.environ.get("FULL_PROOF"))
# Over connections, runs mostly wait: several at once.
BATCH, THREADS = (8, 4) if FULL else (1, 1)


def certify(running: Running, **options: Any) -> dict[str, Any]:
    """Return the kit's report on a running server, which must not crash by a mistake of its own code."""
    report = judge(running, **options)
    assert not running.server.crashes, running.server.crashes[0]
    return report


def judge(running: Running, **options: Any) -> dict[str, Any]:
    """Return the kit's report on a running server."""
    target = from_profile(running.profile, running.base_url)
    settings = {"seed": 1, "rate": 120_000.0, "limit": LIMIT, "window_s": WINDOW, "fuzz": 60 if FULL else 20} | options
    clock, way = (running.clock, InProcess(running)) if isinstance(running, Inside) else (None, None)
    return run(running.base_url, target=target, options=Options(**settings), clock=clock, way=way)


def report_on(reading: Reading | None = None, fault: Fault | None = None, **options: Any) -> dict[str, Any]:
    """Certify a variant: in process, or over connections if it needs them."""
    window = (fault and fault.window) or WINDOW
    options = {"window_s": window} | options
    if not FULL and not any(variant.wire for variant in (reading, fault) if variant):
        return certify(inside(reading, fault, limit=LIMIT, window=window), **options)
    with serve(reading, fault, limit=LIMIT, window=window) as running:
        return certify(running, **options)


def batches(variants: Sequence[T]) -> list[Sequence[T]]:
    """Split a catalogue into batches, one for each test."""
    return [variants[start : start + BATCH] for start in range(0, len(variants), BATCH)]


def name_of(batch: Sequence[Variant]) -> str:
    """Return the name of a batch for the name of its test."""
    return "..".join(dict.fromkeys((batch[0].id, batch[-1].id)))


def at_once(complaint: Callable[[T], str], batch: Sequence[T]) -> list[str]:
    """Call `complaint` for all variants, several at a time, and return its texts."""
    with ThreadPoolExecutor(THREADS) as pool:
        return [text for text in pool.map(complaint, batch) if text]


def broken(report: dict[str, Any]) -> dict[str, list[str]]:
    """Return the violated clauses with their messages."""
    return {
        clause["id"]: [violation["message"] for violation in clause["violations"]] or [clause.get("reason", "")]
        for clause in report["clauses"]
        if clause["status"] in {"failed", "warning", "error"}
    }
