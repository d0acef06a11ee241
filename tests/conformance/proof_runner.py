"""Runs the kit against the reference server, with a small limit and a short window, for the proof."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.conformance.reference import Fault, Reading, Running, serve
from tests.conformance.reference.server import Variant

from vorel_conformance.http.target import from_profile
from vorel_conformance.runs.plan import Options
from vorel_conformance.runs.server import run

LIMIT, WINDOW = 20, 2.0
BATCH, THREADS = 8, 4
V = TypeVar("V", bound=Variant)
# By default a part of the proof runs, which takes minutes. FULL_PROOF=1 runs all of it.
FULL = bool(os.environ.get("FULL_PROOF"))


def certify(running: Running, **options: Any) -> dict[str, Any]:
    """Return the kit's report on a running server."""
    target = from_profile(running.profile, running.base_url)
    settings = {"seed": 1, "rate": 120_000.0, "limit": LIMIT, "window_s": WINDOW, "fuzz": 60 if FULL else 20} | options
    report = run(running.base_url, target=target, options=Options(**settings))
    assert not running.server.crashes, running.server.crashes[0]
    return report


def report_on(reading: Reading | None = None, fault: Fault | None = None, **options: Any) -> dict[str, Any]:
    """Serve a variant and certify it."""
    window = (fault and fault.window) or WINDOW
    with serve(reading, fault, limit=LIMIT, window=window) as running:
        return certify(running, **{"window_s": window} | options)


def batches(variants: Sequence[V]) -> list[Sequence[V]]:
    """Split a catalogue into batches, one for each test."""
    return [variants[start : start + BATCH] for start in range(0, len(variants), BATCH)]


def name_of(batch: Sequence[Variant]) -> str:
    """Return the name of a batch for the name of its test."""
    return f"{batch[0].id}..{batch[-1].id}"


def at_once(complaint: Callable[[V], str], batch: Sequence[V]) -> list[str]:
    """Call `complaint` for all variants and return its texts. Runs several at once, because runs mostly wait."""
    with ThreadPoolExecutor(THREADS) as pool:
        return [text for text in pool.map(complaint, batch) if text]


def broken(report: dict[str, Any]) -> dict[str, list[str]]:
    """Return the violated clauses with their messages."""
    return {
        clause["id"]: [violation["message"] for violation in clause["violations"]] or [clause.get("reason", "")]
        for clause in report["clauses"]
        if clause["status"] in {"failed", "warning", "error"}
    }
