"""What another tenant can learn: nothing."""

from __future__ import annotations

import re
from typing import Any

from vorel_conformance.exchange import Exchange
from vorel_conformance.session import Probe
from vorel_conformance.suite import covers

PAIRS = 9  # enough that a load balancer with two names shows both of them among the unknown leads


@covers("tenancy.unknown-lead", requests=4, writes=False)
def test_unknown_lead(probe: Probe) -> None:
    for body in (None, {}, probe.note(), {"reason": "vorel-conformance"}):
        request = probe.request(probe.handoff, body, lead=probe.unknown_lead())
        probe.expect("tenancy.unknown-lead", "an unknown lead", request, {404})


@covers("tenancy.foreign-lead", requests=lambda plan: 3 * plan.foreign, writes=False)
def test_foreign_lead(probe: Probe) -> None:
    probe.has("foreign", "tenancy.foreign-lead")
    for lead in probe.target.foreign:
        for body in (None, {}, probe.note()):
            request = probe.request(probe.handoff, body, lead=lead)
            probe.expect("tenancy.foreign-lead", "another tenant's lead", request, {404})


@covers("tenancy.indistinguishable", requests=lambda plan: 2 * PAIRS + 2 if plan.foreign else 0, writes=False)
def test_foreign_and_unknown_answer_alike(probe: Probe) -> None:
    if not probe.has("foreign", "tenancy.indistinguishable"):
        return
    # One key for all, and a body that gives nothing away: only the id differs.
    key = probe.full()

    def ask(lead: str) -> Exchange:
        return probe.send(probe.request(probe.handoff, {"reason": "vorel-conformance"}, key=key, lead=lead))

    strangers = [ask(probe.unknown_lead()), ask(probe.unknown_lead())]
    foreigners = []
    for n in range(PAIRS):
        foreigners.append(ask(probe.target.foreign[n % len(probe.target.foreign)]))
        # The last word is a stranger's, so that whatever changes with time has changed for one of them too.
        strangers.append(ask(probe.unknown_lead()))
    strangers = [each for each in strangers if each.status == 404]
    if len(strangers) < 2:
        probe.session.gap("tenancy.indistinguishable", "unknown leads are not answered 404, see tenancy.unknown-lead")
        return
    usual = [_traits(each) for each in strangers]
    for exchange in foreigners:
        if exchange.status == 404:  # another status is tenancy.foreign-lead's
            difference = _difference(_traits(exchange), usual)
            probe.check(
                "tenancy.indistinguishable",
                not difference,
                f"another tenant's lead differs from an unknown one in {difference}",
                exchange,
                expected="the same answer",
                got=difference,
            )


def _traits(exchange: Exchange) -> dict[str, Any]:
    """An answer as names and values, less the id asked for."""
    lead = exchange.request.path.partition("?")[0].split("/")[-2]

    def mask(text: str) -> str:
        return re.sub(re.escape(lead), "<id>", text, flags=re.IGNORECASE)

    traits = {f"the header {name.lower()}": mask(value) for name, value in exchange.headers}
    if exchange.parsed.error:
        traits["the body"] = mask(exchange.body.decode("utf-8", "replace"))
    else:
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
        elif len(set(map(repr, values))) == 1 and traits[name] != values[0]:
            return name
    return ""
