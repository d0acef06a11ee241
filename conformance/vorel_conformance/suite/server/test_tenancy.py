"""Tenancy: a tenant learns nothing about the leads of another."""

from __future__ import annotations

import os.path
import re
from collections.abc import Collection, Sequence
from typing import Any

from vorel_conformance.checks.response import lead_of
from vorel_conformance.http.exchange import Exchange
from vorel_conformance.session.probe import Probe
from vorel_conformance.suite import covers

# The presence of these headers is compared, but not their values: those change with time.
CLOCKS = re.compile(r"the header (date|age|expires|retry-after|(x-)?ratelimit.*)")
VALID = "a valid handoff"
PAIRS = 9  # enough to see both names of a load balancer with two in the responses to unknown leads
FEW = 3
MORE = 6  # additional pairs that confirm a difference


@covers("tenancy.unknown-lead", requests=4, writes=False)
def test_unknown_lead(probe: Probe) -> None:
    for _ in range(4):
        request = probe.valid(probe.handoff, lead=probe.unknown_lead())
        probe.expect("tenancy.unknown-lead", "an unknown lead", request, {404})


@covers("tenancy.foreign-lead", requests=lambda size: 3 * size.foreign, writes=False)
def test_foreign_lead(probe: Probe) -> None:
    probe.has("foreign", "tenancy.foreign-lead")
    for lead in probe.target.foreign:
        for _ in range(2):
            request = probe.valid(probe.handoff, lead=lead)
            probe.expect("tenancy.foreign-lead", "another tenant's lead", request, {404})
        # The server may reject the spelling, but it must not accept the request.
        request = probe.valid(probe.handoff, lead=lead.upper())
        probe.expect("tenancy.foreign-lead", "another tenant's lead in capitals", request, {404, 400})


def _comparisons(singles: Collection[str]) -> list[tuple[str, str, Any, int]]:
    """Return what is sent to both kinds of lead: a name, a key, a body, the number of pairs.

    A request that is invalid in another way must not reveal a difference either, whatever the server checks first.
    """
    note = {"reason": "vorel-conformance", "summary": "x"}
    keys = [name for name in ("read_only", "crm_only") if name in singles]
    return [
        (VALID, "full.0", note, PAIRS),
        ("no body", "full.0", None, FEW),
        ("an invalid body", "full.0", {"reason": 7}, FEW),
        ("broken JSON", "full.0", b'{"reason": ', FEW),
        ("a key that was never issued", "random.0", note, FEW),
        *((f"the key {name}", name, note, FEW) for name in keys),
    ]


@covers(
    "tenancy.indistinguishable",
    requests=lambda size: sum(2 * (pairs + 1) for *_, pairs in _comparisons(size.singles)) if size.foreign else 0,
    writes=False,
)
def test_foreign_and_unknown_answer_alike(probe: Probe) -> None:
    if not probe.has("foreign", "tenancy.indistinguishable"):
        return
    for what, key, body, pairs in _comparisons(probe.target.single):
        _compare(probe, what, probe.next_full_key() if key == "full.0" else key, body, pairs)


def _compare(probe: Probe, what: str, key: str, body: Any, pairs: int) -> None:
    """Send one body with one key to unknown and to foreign leads, and compare. Only the id differs."""
    leads = probe.target.foreign

    def ask(lead: str) -> Exchange:
        return probe.send(probe.request(probe.handoff, body, key=key, lead=lead))

    unknown = [ask(probe.unknown_lead()), ask(probe.unknown_lead())]
    foreign: list[Exchange] = []

    def ask_pairs(leads: Sequence[str]) -> None:
        for lead in leads:
            foreign.append(ask(lead))
            # An unknown lead comes last, so that a change over time also shows in an unknown lead.
            unknown.append(ask(probe.unknown_lead()))

    ask_pairs([leads[n % len(leads)] for n in range(pairs)])
    usual = [each for each in unknown if _comparable(each)]
    if len(usual) < 2:
        probe.session.gap("tenancy.indistinguishable", f"{what}: no response for unknown leads to compare with")
        return
    # A foreign lead that is not a 404 is reported by tenancy.foreign-lead.
    plain = what == VALID and usual[0].status == 404

    def sample() -> list[Exchange]:
        return [each for each in foreign if _comparable(each) and not (plain and each.status != 404)]

    difference, shown = _difference(sample(), [each for each in unknown if _comparable(each)])
    if shown:
        # Ask again: a header in one response of ten is chance, not a difference.
        lead = lead_of(shown[0])
        ask_pairs([lead] * MORE)
        difference, shown = _difference(
            [each for each in sample() if lead_of(each) == lead], [each for each in unknown if _comparable(each)]
        )
    for exchange in shown or sample():
        probe.check(
            "tenancy.indistinguishable",
            not difference,
            f"{what}: another tenant's lead differs from an unknown one in {difference}",
            exchange,
            expected="the same response",
            got=difference,
        )


def _comparable(exchange: Exchange) -> bool:
    return exchange.responded and exchange.status < 500 and exchange.status != 429


def _difference(foreign: list[Exchange], unknown: list[Exchange]) -> tuple[str, list[Exchange]]:
    """Return the first trait that distinguishes foreign leads, or one of them, and the responses that show it.

    Traits that vary among responses of one kind (dates, request ids) do not distinguish.
    """
    usual = [_traits(each) for each in unknown]
    groups = [
        foreign,
        *([e for e in foreign if lead_of(e) == lead] for lead in {lead_of(e): 0 for e in foreign}),
    ]
    for group in groups:
        found = [_traits(each) for each in group]
        names = sorted({name for one in (*found, *usual) for name in one}) if len(group) >= FEW else []
        for name in names:
            apart = _apart(name, [one.get(name) for one in found], [one.get(name) for one in usual])
            if apart:
                return apart, group
    return "", []


def _apart(name: str, found: list[Any], usual: list[Any]) -> str:
    """Describe how a trait distinguishes the two kinds of lead. Empty if it does not. None: the trait is missing."""
    if all(each is None for each in found) and None not in usual:
        return f"{name}, which is missing"
    if None not in found and all(each is None for each in usual):
        return f"{name}, which the responses to unknown leads do not have"
    if None in found or None in usual or CLOCKS.fullmatch(name):
        return ""
    if len(set(map(repr, usual))) == 1:
        return name if usual[0] not in found else ""
    if not all(isinstance(each, str) for each in (*found, *usual)):
        return ""
    # Values that vary, for example request ids, may still have another form.
    if len({len(each) for each in usual}) == 1 and len(usual[0]) not in {len(each) for each in found}:
        return f"the length of {name}"
    prefix = os.path.commonprefix(found)  # noqa: RUF071 - texts, not paths
    return f"the beginning of {name}" if prefix and not any(each.startswith(prefix) for each in usual) else ""


def _traits(exchange: Exchange) -> dict[str, Any]:
    """Return a response as names and values, with the id of the request masked."""
    lead = lead_of(exchange)

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
