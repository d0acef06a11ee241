"""What another tenant can learn: nothing."""

from __future__ import annotations

import os.path
import re
from collections.abc import Collection, Sequence
from typing import Any

from vorel_conformance.exchange import Exchange
from vorel_conformance.session import Probe
from vorel_conformance.suite import covers

# Whether they are there tells as much as any header; what they say changes with the time of day.
CLOCKS = re.compile(r"the header (date|age|expires|retry-after|(x-)?ratelimit.*)")
VALID = "a valid handoff"
PAIRS = 9  # enough that a load balancer with two names shows both of them among the unknown leads
FEW = 3
MORE = 6  # pairs that are asked in addition before a difference is believed


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


def _situations(singles: Collection[str]) -> list[tuple[str, str, Any, int]]:
    """What is sent to both kinds of lead: a name, a key, a body, how often.

    A request that is wrong in another way as well must not tell either, whatever the server looks at first.
    """
    note = {"reason": "vorel-conformance", "summary": "x"}
    keys = [name for name in ("read_only", "crm_only") if name in singles]
    return [
        (VALID, "full.0", note, PAIRS),
        ("no body", "full.0", None, FEW),
        ("a bad body", "full.0", {"reason": 7}, FEW),
        ("broken JSON", "full.0", b'{"reason": ', FEW),
        ("a key that was never issued", "random.0", note, FEW),
        *((f"the key {name}", name, note, FEW) for name in keys),
    ]


@covers(
    "tenancy.indistinguishable",
    requests=lambda plan: sum(2 * (pairs + 1) for *_, pairs in _situations(plan.singles)) if plan.foreign else 0,
    writes=False,
)
def test_foreign_and_unknown_answer_alike(probe: Probe) -> None:
    if not probe.has("foreign", "tenancy.indistinguishable"):
        return
    for what, key, body, pairs in _situations(probe.target.single):
        _compare(probe, what, probe.full() if key == "full.0" else key, body, pairs)


def _compare(probe: Probe, what: str, key: str, body: Any, pairs: int) -> None:
    """One key and one body for all: only the id differs."""
    foreign = probe.target.foreign

    def ask(lead: str) -> Exchange:
        return probe.send(probe.request(probe.handoff, body, key=key, lead=lead))

    strangers = [ask(probe.unknown_lead()), ask(probe.unknown_lead())]
    foreigners: list[Exchange] = []

    def ask_pairs(leads: Sequence[str]) -> None:
        for lead in leads:
            foreigners.append(ask(lead))
            # The last word is a stranger's, so that whatever changes with time has changed for one of them too.
            strangers.append(ask(probe.unknown_lead()))

    ask_pairs([foreign[n % len(foreign)] for n in range(pairs)])
    usual = [each for each in strangers if _tells(each)]
    if len(usual) < 2:
        probe.session.gap("tenancy.indistinguishable", f"{what}: unknown leads get no answer to compare with")
        return
    # Where an unknown lead is a plain 404 and another tenant's is not, tenancy.foreign-lead has said so.
    plain = what == VALID and usual[0].status == 404

    def sample() -> list[Exchange]:
        return [each for each in foreigners if _tells(each) and not (plain and each.status != 404)]

    difference, shown = _difference(sample(), [each for each in strangers if _tells(each)])
    if shown:
        # By chance, or always? A header that comes with one answer in ten proves nothing.
        lead = _lead(shown[0])
        ask_pairs([lead] * MORE)
        difference, shown = _difference(
            [each for each in sample() if _lead(each) == lead], [each for each in strangers if _tells(each)]
        )
    for exchange in shown or sample():
        probe.check(
            "tenancy.indistinguishable",
            not difference,
            f"{what}: another tenant's lead differs from an unknown one in {difference}",
            exchange,
            expected="the same answer",
            got=difference,
        )


def _tells(exchange: Exchange) -> bool:
    return exchange.answered and exchange.status < 500 and exchange.status != 429


def _lead(exchange: Exchange) -> str:
    return exchange.request.path.partition("?")[0].split("/")[-2]


def _difference(foreigners: list[Exchange], strangers: list[Exchange]) -> tuple[str, list[Exchange]]:
    """What sets the answers about another tenant's leads, or about one of these leads, apart from all the others; and
    these answers.

    What varies among answers of one kind (dates, request ids) sets nothing apart.
    """
    usual = [_traits(each) for each in strangers]
    groups = [foreigners, *([e for e in foreigners if _lead(e) == lead] for lead in {_lead(e): 0 for e in foreigners})]
    for group in groups:
        found = [_traits(each) for each in group]
        names = sorted({name for one in (*found, *usual) for name in one}) if len(group) >= FEW else []
        for name in names:
            apart = _apart(name, [one.get(name) for one in found], [one.get(name) for one in usual])
            if apart:
                return apart, group
    return "", []


def _apart(name: str, found: list[Any], usual: list[Any]) -> str:
    """How the values of a trait tell the two kinds of lead apart; empty when they do not. None: it is not there."""
    if all(each is None for each in found) and None not in usual:
        return f"{name}, which is missing"
    if None not in found and all(each is None for each in usual):
        return f"{name}, which unknown leads do not have"
    if None in found or None in usual or CLOCKS.fullmatch(name):
        return ""
    if len(set(map(repr, usual))) == 1:
        return name if usual[0] not in found else ""
    if not all(isinstance(each, str) for each in (*found, *usual)):
        return ""
    # Values that differ from answer to answer, as those of a request id do, may still be of another kind.
    if len({len(each) for each in usual}) == 1 and len(usual[0]) not in {len(each) for each in found}:
        return f"the length of {name}"
    prefix = os.path.commonprefix(found)  # noqa: RUF071 - of texts, which are no paths
    return f"the beginning of {name}" if prefix and not any(each.startswith(prefix) for each in usual) else ""


def _traits(exchange: Exchange) -> dict[str, Any]:
    """An answer as names and values, less the id asked for."""
    lead = _lead(exchange)

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
        into[where] = mask(value) if isinstance(value, str) else "null" if value is None else value
        return
    into[where] = type(value).__name__
    for name, each in inside:
        _flatten(each, f"{where}/{name}", into, mask)
