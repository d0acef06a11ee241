"""What another tenant can learn: nothing."""

from __future__ import annotations

import re
from typing import Any

from vorel_conformance.exchange import Exchange
from vorel_conformance.session import Probe
from vorel_conformance.suite import covers

FEW = 3
# Whether they are there tells as much as any header; what they say changes with the time of day.
CLOCKS = re.compile(r"the header (date|age|expires|retry-after|(x-)?ratelimit.*)")
VALID = "a valid handoff"
PAIRS = 9  # enough that a load balancer with two names shows both of them among the unknown leads


@covers("tenancy.unknown-lead", requests=4, writes=False)
def test_unknown_lead(probe: Probe) -> None:
    for _ in range(4):
        request = probe.valid(probe.handoff, lead=probe.unknown_lead())
        probe.expect("tenancy.unknown-lead", "an unknown lead", request, {404})


@covers("tenancy.foreign-lead", requests=lambda plan: 3 * plan.foreign, writes=False)
def test_foreign_lead(probe: Probe) -> None:
    probe.has("foreign", "tenancy.foreign-lead")
    for lead in probe.target.foreign:
        for _ in range(2):
            request = probe.valid(probe.handoff, lead=lead)
            probe.expect("tenancy.foreign-lead", "another tenant's lead", request, {404})
        # Another spelling of the id may be refused for that alone, but it opens nothing.
        request = probe.valid(probe.handoff, lead=lead.upper())
        probe.expect("tenancy.foreign-lead", "another tenant's lead in capitals", request, {404, 400})


@covers(
    "tenancy.indistinguishable",
    requests=lambda plan: (
        (2 * (PAIRS + 1) + (1 + ("read_only" in plan.singles)) * 2 * (FEW + 1)) if plan.foreign else 0
    ),
    writes=False,
)
def test_foreign_and_unknown_answer_alike(probe: Probe) -> None:
    if not probe.has("foreign", "tenancy.indistinguishable"):
        return
    # A request that is wrong in another way as well must not tell either, whatever the server looks at first.
    _compare(probe, VALID, probe.full(), {"reason": "vorel-conformance", "summary": "x"}, PAIRS)
    _compare(probe, "a bad body", probe.full(), {"reason": 7}, FEW)
    if "read_only" in probe.target.single:
        _compare(probe, "the read-only key", "read_only", {"reason": "vorel-conformance", "summary": "x"}, FEW)


def _compare(probe: Probe, what: str, key: str, body: Any, pairs: int) -> None:
    """One key and one body for all: only the id differs."""

    def ask(lead: str) -> Exchange:
        return probe.send(probe.request(probe.handoff, body, key=key, lead=lead))

    strangers = [ask(probe.unknown_lead()), ask(probe.unknown_lead())]
    foreigners = []
    for n in range(pairs):
        foreigners.append(ask(probe.target.foreign[n % len(probe.target.foreign)]))
        # The last word is a stranger's, so that whatever changes with time has changed for one of them too.
        strangers.append(ask(probe.unknown_lead()))
    strangers = [each for each in strangers if each.answered and each.status < 500 and each.status != 429]
    if len(strangers) < 2:
        probe.session.gap("tenancy.indistinguishable", f"{what}: unknown leads get no answer to compare with")
        return
    usual = [_traits(each) for each in strangers]
    plain = strangers[0].status == 404
    for exchange in foreigners:
        # Where an unknown lead is a plain 404 and another tenant's is not, tenancy.foreign-lead has said so.
        if not exchange.answered or exchange.status == 429 or (what == VALID and plain and exchange.status != 404):
            continue
        difference = _difference(_traits(exchange), usual)
        probe.check(
            "tenancy.indistinguishable",
            not difference,
            f"{what}: another tenant's lead differs from an unknown one in {difference}",
            exchange,
            expected="the same answer",
            got=difference,
        )


def _traits(exchange: Exchange) -> dict[str, Any]:
    """An answer as names and values, less the id asked for."""
    lead = exchange.request.path.partition("?")[0].split("/")[-2]

    def mask(text: str) -> str:
        return re.sub(re.escape(lead), "<id>", text, flags=re.IGNORECASE)

    traits: dict[str, Any] = {"the status": exchange.status}
    traits |= {f"the header {name.lower()}": mask(value) for name, value in exchange.headers}
    traits["the bytes of the body"] = mask(exchange.body.decode("utf-8", "replace"))
    if not exchange.parsed.error:
        _flatten(exchange.parsed.value, "the body", traits, mask)
    return traits


def _flatten(value: Any, where: str, into: dict[str, Any], mask: Any) -> None:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None:
        into[where] = mask(value) if isinstance(value, str) else value
        return
    into[where] = type(value).__name__
    for name, each in inside:
        _flatten(each, f"{where}/{name}", into, mask)


def _difference(traits: dict[str, Any], usual: list[dict[str, Any]]) -> str:
    """The first trait that sets an answer apart; what varies among unknown leads (dates, request ids) does not."""
    for name in sorted({*traits, *(each for one in usual for each in one)}):
        values = [one.get(name) for one in usual]
        if name not in traits:
            if all(name in one for one in usual):
                return f"{name}, which is missing"
        elif not any(name in one for one in usual):
            return f"{name}, which unknown leads do not have"
        elif len(set(map(repr, values))) == 1 and traits[name] != values[0] and not CLOCKS.fullmatch(name):
            return name
    return ""
