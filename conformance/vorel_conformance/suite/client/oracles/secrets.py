"""Oracles for the API key: it goes into one header, to one host, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

from vorel_conformance.checks.response import Check
from vorel_conformance.suite.client.observation import Observation
from vorel_conformance.suite.client.oracles.common import shown


def places(observation: Observation) -> Iterator[Check]:
    """The key in URLs, bodies and other headers."""
    holds = observation.holds_key
    for attempt in observation.attempts:
        yield Check(
            "secrets.url",
            not holds(attempt.target),
            "the key is in the URL, which logs and proxies keep",
            "no key in the URL",
            "the key",
        )
        if attempt.body:
            yield Check(
                "secrets.body",
                not holds(attempt.body.decode("utf-8", "replace")),
                "the key is in the body",
                "no key in the body",
                "the key",
            )
        others = [(name, value) for name, value in attempt.headers if name.lower() != "authorization"]
        seen = next((name for name, value in others if holds(value) or holds(name)), "")
        yield Check(
            "secrets.header",
            not seen,
            f"the key is in the header {seen}",
            "the key in Authorization alone",
            f"the key in {seen}",
        )


def output(observation: Observation) -> Iterator[Check]:
    """The key on stdout and stderr."""
    for execution in observation.executions:
        where = " and ".join(execution.leaks)
        line = next((before for before in execution.leaks.values() if before), "")
        got = f"the key on {where}" + (f", after {shown(line)}" if line else "")
        yield Check("secrets.output", not where, f"the key is printed on {where}", "no key in logs", got)


def redirects(observation: Observation) -> Iterator[Check]:
    """The key at the host to which a redirect leads."""
    if not any(300 <= attempt.status < 400 for attempt in observation.attempts):
        return
    taken = [
        attempt
        for attempt in observation.elsewhere
        if observation.holds_key(attempt.target)
        or observation.holds_key(attempt.body.decode("utf-8", "replace"))
        or any(observation.holds_key(value) for _, value in attempt.headers)
    ]
    yield Check(
        "secrets.redirect",
        not taken,
        "the key was sent to the host that a redirect names",
        "the redirect is not followed, or followed without the key",
        f"{taken[0].method} {taken[0].path} with the key" if taken else "",
    )


ORACLES = (places, output, redirects)
