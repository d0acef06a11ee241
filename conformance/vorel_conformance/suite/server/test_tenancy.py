"""Tenancy: a tenant learns nothing about the leads of another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from vorel_conformance.checks.likeness import FEW, difference
from vorel_conformance.checks.response import lead_of
from vorel_conformance.http import strict_json
from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.session.judging import Expectation, no_evidence
from vorel_conformance.session.probe import Probe, with_key
from vorel_conformance.session.served import outcome
from vorel_conformance.suite import Size, covers
from vorel_conformance.suite.server.test_crm import external_id

VALID = "a valid handoff"
PAIRS = 9  # enough to see both names of a load balancer with two in the responses to unknown leads
UNKNOWN = 3  # unknown leads of one comparison, asked for in turns
MORE = 6  # additional pairs that confirm a difference
FRESH = 12  # additional unknown leads that confirm a difference


@covers("tenancy.unknown-lead", requests=4, writes=False)
def test_unknown_lead(probe: Probe) -> None:
    for _ in range(4):
        request = probe.valid(probe.handoff, lead=probe.unknown_lead())
        probe.expect("tenancy.unknown-lead", "an unknown lead", request, {404})


# The hyphens of a UUID, and the digit of its version: a server may reject another one.
HYPHENS, VERSION = (8, 13, 18, 23), 14
NEAR = 32  # ids that differ from a lead's in one digit


def _neighbours(lead: str, bit: int) -> list[tuple[int, str]]:
    """Return ids that differ from a lead's in one digit, with the position of that digit, from 1."""
    if len(lead) != NEAR + len(HYPHENS):
        return []
    digits = [place for place in range(len(lead)) if place not in HYPHENS]
    return [(n + 1, f"{lead[:p]}{int(lead[p], 16) ^ bit:x}{lead[p + 1 :]}") for n, p in enumerate(digits)]


@covers("tenancy.unknown-lead", requests=lambda size: min(2, size.own) * (NEAR + 1), writes=False)
def test_near_leads(probe: Probe) -> None:
    """Ids that differ from a lead's in one digit, at every position, are unknown."""
    clause = "tenancy.unknown-lead"
    known = {lead.lower() for lead in (*probe.target.own, *probe.target.foreign)}
    for bit, lead in enumerate(dict.fromkeys((*probe.target.own[:1], *probe.target.own[-1:])), 1):
        conversation = _member(probe.send(probe.valid(probe.handoff, lead=lead)), "conversation_id")
        for place, near in _neighbours(lead.lower(), bit):
            if near in known:
                continue
            statuses = frozenset({400, 404} if near[VERSION] != lead[VERSION] else {404})
            label = f"the id of a lead with another digit at position {place}"
            exchange = probe.send(probe.valid(probe.handoff, lead=near), label)
            if _member(exchange, "lead_id") == near and _member(exchange, "conversation_id") != conversation:
                continue  # a lead that the profile does not have
            reason = no_evidence(exchange, Expectation(clause, label, statuses))
            if reason:
                probe.session.gap(clause, f"{label}: {reason}")
                continue
            expected, got = "HTTP " + " or ".join(map(str, sorted(statuses))), f"HTTP {exchange.status}"
            probe.check(clause, exchange.status in statuses, f"{label}: {got}", exchange, expected=expected, got=got)


def _member(exchange: Exchange, name: str) -> Any:
    value = exchange.parsed.value
    return value.get(name) if exchange.status == 200 and isinstance(value, dict) else None


@covers(
    "tenancy.foreign-lead",
    requests=lambda size: (size.full + ("leads_only" in size.singles)) * bool(size.foreign),
    writes=False,
)
def test_foreign_lead_with_each_key(probe: Probe) -> None:
    """No key opens the leads of another tenant: not one of many."""
    keys = [f"full.{n}" for n in range(len(probe.target.full))]
    keys += ["leads_only"] * ("leads_only" in probe.target.single)
    for n, key in enumerate(keys if probe.target.foreign else []):
        lead = probe.target.foreign[n % len(probe.target.foreign)]
        request = probe.valid(probe.handoff, lead=lead, key=key)
        probe.expect("tenancy.foreign-lead", f"another tenant's lead with {key}", request, {404})


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


WRITES = 4  # of each tenant, with one idempotency_key for both


def _writes_cost(size: Size) -> int:
    return 2 * size.soft_failures + ((3 * WRITES + bool(size.own)) if "other_tenant" in size.singles else 0)


@covers("tenancy.crm-writes", requests=_writes_cost)
def test_writes_of_two_tenants(probe: Probe) -> None:
    clause = "tenancy.crm-writes"
    for error in probe.target.soft_failures:
        # Every write of this tenant fails. A success can only be the record of the other one.
        request = probe.valid(probe.crm)
        ours, theirs = external_id(probe.send(request)), probe.send(with_key(request, f"soft.{error}"))
        if ours and theirs.status == 200 and not theirs.parsed.error:
            message = f"the key for {error} gets the record of another tenant: external_id {ours}"
            _judge(probe, external_id(theirs) != ours, message, theirs, ours)
    if not probe.has("other_tenant", clause) or _may_be_the_same_tenant(probe):
        return
    key = probe.next_full_key()
    own: list[str | None] = []
    others: list[str | None] = []
    for _ in range(WRITES):
        request = probe.valid(probe.crm, key=key)
        own.append(external_id(probe.send(request)))
        last = probe.send(with_key(request, "other_tenant"))
        others.append(external_id(last))
        # One more of our own, so that the counters of two tenants do not keep step.
        own.append(external_id(probe.send(probe.valid(probe.crm, key=key))))
    ids = [each for each in own if each is not None]
    if len(ids) < len(own) or None in others:
        probe.session.does_not_apply(clause, "a write of one of the tenants was no success with an external_id")
        return
    if len(set(ids)) < len(ids):
        probe.session.gap(clause, "different writes of one tenant have one external_id, see crm.distinct")
        return
    shared = others == ids[::2]
    if shared and not _kept(probe, request, ids):
        reason = "both tenants get the same external_id, but it may follow from the idempotency_key"
        probe.session.gap(clause, reason)
        return
    message = f"keys.other_tenant gets the records of another tenant: external_ids {', '.join(ids[::2])}"
    _judge(probe, not shared, message, last, ids[-2])


def _judge(probe: Probe, ok: bool, message: str, exchange: Exchange, ours: str) -> None:
    expected = "a record of its own, or a soft failure"
    probe.check("tenancy.crm-writes", ok, message, exchange, expected=expected, got=f"external_id {ours}")


def _may_be_the_same_tenant(probe: Probe) -> bool:
    """Return True, and record a gap, if keys.other_tenant can see a lead of keys.full."""
    if not probe.target.own or not probe.serves(probe.handoff):
        return False
    seen = probe.send(probe.valid(probe.handoff, key="other_tenant")).status == 200
    if seen:
        reason = (
            "keys.other_tenant can see leads.own, so it may be a key of the same tenant; correct the target profile"
        )
        probe.session.gap("tenancy.crm-writes", reason)
    return seen


def _kept(probe: Probe, request: Request, ids: list[str]) -> bool:
    """Return True if external_ids come from records that the server keeps, and do not follow from the idempotency_key.

    They grow from write to write, or another record with a key that was used before does not get its external_id.
    """
    if ids == sorted(ids, key=lambda each: (len(each), each)):
        return True
    sent = strict_json.parse(request.body or b"").value
    again = replace(request, body=strict_json.dumps({**sent, "fields": {"first_name": "Another"}}))
    exchange = probe.send(again)
    return exchange.status in (200, 400, 409) and external_id(exchange) != ids[-2]


def _compare(probe: Probe, what: str, key: str, body: Any, pairs: int) -> None:
    """Send one body with one key to unknown and to foreign leads, and compare. Only the id differs."""
    leads = probe.target.foreign
    # Asked several times each, like the foreign ones: this shows which parts of a response follow from the id.
    unknown_leads = [probe.unknown_lead() for _ in range(UNKNOWN)]

    def ask(lead: str) -> Exchange:
        return probe.send(probe.request(probe.handoff, body, key=key, lead=lead), what)

    unknown = [ask(unknown_leads[0]), ask(unknown_leads[1])]
    foreign: list[Exchange] = []

    def ask_pairs(leads: Sequence[str]) -> None:
        for lead in leads:
            foreign.append(ask(lead))
            # An unknown lead comes last, so that a change over time also shows in an unknown lead.
            unknown.append(ask(unknown_leads[len(unknown) % UNKNOWN]))

    ask_pairs([leads[n % len(leads)] for n in range(pairs)])
    usual = [each for each in unknown if _comparable(each)]
    if len(usual) < 2:
        found = sorted({outcome(each) for each in unknown if not _comparable(each)})
        probe.session.gap(
            "tenancy.indistinguishable",
            f"{what}: nothing to compare with, because the requests for unknown leads led to {', '.join(found)}",
        )
        return
    # A foreign lead that is not a 404 is reported by tenancy.foreign-lead.
    plain = what == VALID and usual[0].status == 404

    def sample() -> list[Exchange]:
        return [each for each in foreign if _comparable(each) and not (plain and each.status != 404)]

    apart, shown = difference(sample(), usual)
    if shown:
        # Ask again: a header in one response of ten is chance, not a difference. Fresh unknown leads, twice each, show
        # whether a value follows from the id, for example the name of a node that is chosen by the path.
        lead = lead_of(shown[0])
        ask_pairs([lead] * MORE)
        unknown += [ask(each) for _ in range(FRESH) for each in [probe.unknown_lead()] * 2]
        apart, shown = difference(
            [each for each in sample() if lead_of(each) == lead], [each for each in unknown if _comparable(each)]
        )
    for exchange in shown or sample():
        probe.check(
            "tenancy.indistinguishable",
            not apart,
            f"{what}: another tenant's lead differs from an unknown one in {apart}",
            exchange,
            expected="the same response",
            got=apart,
        )


def _comparable(exchange: Exchange) -> bool:
    return exchange.responded and exchange.status < 500 and exchange.status != 429
