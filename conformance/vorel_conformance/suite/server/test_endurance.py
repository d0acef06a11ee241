"""Rules that must still hold late in a run, for a key that was busy, and side by side.

The other tests ask for each rule early, and one after the other. These run late. Their name puts them before the last
test of the rate limit, which waits for the end of a window.
"""

from __future__ import annotations

from collections.abc import Sequence

from vorel_conformance.session.judging import GENERATED, LATE
from vorel_conformance.session.probe import NO_KEY, Probe, Wanted
from vorel_conformance.spec.contract import Operation
from vorel_conformance.suite import Size, When, covers, fuzzing

BUSY = 40  # requests with each key of one scope; fewer if the limit of a key is smaller
BODIES = 20  # generated bodies of each kind that are sent again
MOST_ROUNDS = 8  # of requests of every kind, side by side
# What opens with the key of one scope, by the name of the key: `True` for the handoff.
OPENS = {"read_only": None, "leads_only": True, "crm_only": False}


def _busy(limit: int) -> int:
    return min(BUSY, limit)


def _rounds(limit: int) -> int:
    return max(2, min(MOST_ROUNDS, limit // 5))


def _expect(probe: Probe, wanted: Sequence[Wanted]) -> None:
    """Send requests one after the other, or several at a time if the target is slow."""
    probe.each(lambda each: probe.expect(each.clause, each.label, each.request, each.statuses), wanted)


def _keys_cost(size: Size) -> int:
    return 5 + (size.full > 1) + 2 * ("revoked" in size.singles)


def _scopes_cost(size: Size) -> int:
    return len(set(OPENS) & size.singles) * (1 + bool(size.own))


def _leads_cost(size: Size) -> int:
    return 1 + size.foreign


def _of_scope(name: str, operation: Operation) -> tuple[str, frozenset[int]]:
    """Return the clause about an operation with the key of one scope, and the status that it leads to."""
    if OPENS[name] is operation.takes_lead:
        return "scope.sufficient", frozenset({200})
    if name == "read_only":
        return ("scope.handoff" if operation.takes_lead else "scope.crm"), frozenset({403})
    return "scope.no-crossover", frozenset({403})


def _scoped(probe: Probe, name: str) -> list[Wanted]:
    """Return a request of each operation with the key of one scope."""
    if name not in probe.target.single:
        return []
    return [
        Wanted(clause, f"{name} on {operation.id}, {LATE}", probe.valid(operation, key=name), statuses)
        for operation in probe.operations
        if probe.target.own or not operation.takes_lead
        for clause, statuses in [_of_scope(name, operation)]
    ]


@covers(
    "scope.handoff",
    "scope.crm",
    "scope.no-crossover",
    "scope.sufficient",
    requests=lambda size: _busy(size.limit) // 2 * _scopes_cost(size),
    when=When.LATE,
    again=True,
)
def test_scopes_of_busy_keys(probe: Probe) -> None:
    """Use each key of one scope until it was busy. Its scope is checked all the same."""
    for name in OPENS:
        _expect(probe, [each for _ in range(_busy(probe.target.limit) // 2) for each in _scoped(probe, name)])


def _keys(probe: Probe, operation: Operation) -> list[Wanted]:
    """Return requests with invalid keys."""
    refused = frozenset({401})
    altered = ("${full.0|flip.57}", "${full.0|cut.57}", "${full.1|flip.40}" if len(probe.target.full) > 1 else "")
    return [
        Wanted("auth.missing", f"no Authorization header, {LATE}", probe.valid(operation, key=NO_KEY), refused),
        Wanted("auth.unknown", f"an unknown key, {LATE}", probe.valid(operation, key="random.7"), refused),
        Wanted("auth.unknown", f"another unknown key, {LATE}", probe.valid(operation, key="random.8"), refused),
        *(
            Wanted("auth.revoked", f"the revoked key, {LATE}", probe.valid(operation, key="revoked"), refused)
            for _ in range(2 * ("revoked" in probe.target.single))
        ),
        *(
            Wanted(
                "auth.whole-key",
                f"an altered key, {LATE}",
                probe.valid(operation, key=NO_KEY, headers=[("Authorization", f"Bearer {key}")]),
                refused,
            )
            for key in altered
            if key and len(probe.target.full[0]) == len("vapk_live_") + 48
        ),
    ]


@covers(
    "auth.missing",
    "auth.unknown",
    "auth.revoked",
    "auth.whole-key",
    requests=lambda size: 2 * _keys_cost(size),
    when=When.LATE,
    again=True,
    writes=False,
)
def test_keys_late(probe: Probe) -> None:
    _expect(probe, [each for operation in probe.operations for each in _keys(probe, operation)])


def _leads(probe: Probe) -> list[Wanted]:
    """Return handoffs of leads that the tenant does not have."""
    missing = frozenset({404})
    unknown = probe.valid(probe.handoff, lead=probe.unknown_lead())
    return [
        Wanted("tenancy.unknown-lead", f"an unknown lead, {LATE}", unknown, missing),
        *(
            Wanted(
                "tenancy.foreign-lead",
                f"another tenant's lead, {LATE}",
                probe.valid(probe.handoff, lead=lead),
                missing,
            )
            for lead in probe.target.foreign
        ),
    ]


@covers(
    "tenancy.unknown-lead",
    "tenancy.foreign-lead",
    requests=lambda size: 4 * _leads_cost(size),
    when=When.LATE,
    again=True,
    writes=False,
)
def test_tenancy_late(probe: Probe) -> None:
    _expect(probe, [each for _ in range(4) for each in _leads(probe)])


def _bodies_cost(size: Size) -> int:
    return 2 * min(BODIES, size.fuzz) * (1 + bool(size.own))


@covers("fuzz.valid-accepted", "fuzz.invalid-refused", requests=_bodies_cost, when=When.LATE, again=True)
def test_bodies_late(probe: Probe) -> None:
    """Send some of the generated bodies again: the server has the same rules as at the beginning."""
    for operation in probe.operations:
        if operation.takes_lead and not probe.target.own:
            continue
        for valid, clause, status in ((True, "fuzz.valid-accepted", 200), (False, "fuzz.invalid-refused", 400)):
            bodies = fuzzing.bodies(operation.id, valid, probe.session.seed, probe.session.fuzz_count)
            label = f"{GENERATED} {'valid' if valid else 'invalid'} body, {LATE}"
            # Another idempotency_key than the first time, where there is room for one.
            marked = [fuzzing.marked(body, probe.session.seed + 1) for body in _some(bodies)]
            requests = [probe.request(operation, body) for body in marked]
            _expect(probe, [Wanted(clause, label, request, frozenset({status})) for request in requests])


def _some(bodies: Sequence[bytes]) -> Sequence[bytes]:
    return bodies[:: max(1, len(bodies) // BODIES)][:BODIES]


@covers(
    "scope.handoff",
    "scope.crm",
    "scope.no-crossover",
    "scope.sufficient",
    "auth.missing",
    "auth.unknown",
    "auth.revoked",
    "auth.whole-key",
    "tenancy.unknown-lead",
    "tenancy.foreign-lead",
    "fuzz.valid-accepted",
    requests=lambda size: (
        _rounds(size.limit) * (_scopes_cost(size) + _keys_cost(size) + min(2, _leads_cost(size)) + 1 + bool(size.own))
    ),
    when=When.LATE,
    again=True,
)
def test_side_by_side(probe: Probe) -> None:
    """Send requests with valid and invalid keys, of several scopes and tenants, at the same time."""
    wanted: list[Wanted] = []
    operations = probe.operations
    for n in range(_rounds(probe.target.limit)):
        wanted += [each for name in OPENS for each in _scoped(probe, name)]
        wanted += _keys(probe, operations[n % len(operations)])
        if probe.handoff in operations:
            wanted += _leads(probe)[:2]
        wanted += [
            Wanted("fuzz.valid-accepted", f"a valid request, {LATE}", probe.valid(operation), frozenset({200}))
            for operation in operations
            if probe.target.own or not operation.takes_lead
        ]
    probe.rng.shuffle(wanted)
    probe.together([Wanted(each.clause, f"{each.label}, side by side", each.request, each.statuses) for each in wanted])
