"""Step: what shall go wrong? Faults armed for the tenant, and what a single request asks for by its Prefer header."""

import re
from functools import partial

from vorel_mock.api.faults.catalogue import CATALOGUE, Fault, Situation, Stage, declared
from vorel_mock.api.messages import Answer, Exchange, Refusal
from vorel_mock.contract.contract import Contract, Operation
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.ids import Ids
from vorel_mock.model.tenant import Tenant

_PREFER = "Prefer: code=<status> or fault=<id> is what the mock knows"
#: Characters of a preference that a refusal repeats.
_SHOWN = 60


def before(exchange: Exchange, contract: Contract) -> Answer | None:
    """Read what the request prefers, and have it meet a fault that comes instead of the answer. Mostly None."""
    fields = [value for name, value in exchange.headers if name == b"prefer"]
    if fields:
        forced = _prefer(exchange, contract, _preference(b",".join(fields).decode("latin-1")))
        if forced is not None:
            return forced
    return _meet(exchange, "before", contract)


def crm(exchange: Exchange, contract: Contract) -> None:
    """Have the request meet a fault of the tenant's CRM, which raises CrmError."""
    _meet(exchange, "crm", contract)


def webhook(exchange: Exchange, contract: Contract) -> ArmedFault | None:
    """The fault that an event meets on its way to its receivers."""
    return _take(exchange, "webhook", contract)


def after(exchange: Exchange, contract: Contract, answer: Answer) -> Answer:
    """Have a request whose effect is committed meet a fault; the answer that is left."""
    return _meet(exchange, "after", contract, answer) or answer


def _meet(exchange: Exchange, stage: Stage, contract: Contract, answer: Answer | None = None) -> Answer | None:
    armed = _take(exchange, stage, contract, answer)
    if armed is None:
        return None
    spoiled = CATALOGUE[armed.fault].spoil(Situation(contract, exchange, armed, answer))
    if spoiled is not None:
        exchange.reason = f"the fault {armed.fault}: {CATALOGUE[armed.fault].sentence}"
    return spoiled


def _take(exchange: Exchange, stage: Stage, contract: Contract, answer: Answer | None = None) -> ArmedFault | None:
    """The first armed fault of that stage that this request meets."""
    tenant, operation = exchange.tenant, exchange.operation
    if exchange.asked is None and not (tenant is not None and tenant.faults):
        return None
    assert tenant is not None
    assert operation is not None
    candidates: list[ArmedFault] = [] if exchange.asked is None else [exchange.asked]
    for armed in [*candidates, *tenant.faults]:
        fault = CATALOGUE[armed.fault]
        if fault.stage != stage or fault.operation not in (None, operation.id):
            continue
        if not fault.applies(Situation(contract, exchange, armed, answer)):
            continue
        if armed.meets(operation.id, partial(_draw, tenant, armed)):
            armed.note(exchange.id, tenant.clock.now())
            exchange.fault = fault.id
            return armed
    return None


def _draw(tenant: Tenant, armed: ArmedFault, number: int) -> float:
    """From a stream of the fault's own: that a request may meet it changes no id that the tenant gives out."""
    return Ids(tenant.ids.seed, f"{tenant.ids.stream}/{armed.id}", number).chance()


def _preference(fields: str) -> tuple[str, str]:
    """What all the `Prefer` fields together ask for, by name and value: one thing, however often it stands there."""
    found: dict[tuple[str, str], None] = {}
    for part in re.split("[,;]", fields):  # RFC 7240, 2: preferences, and parameters of one
        name, _, value = (piece.strip().strip('"') for piece in part.partition("="))
        if name.lower() in ("code", "fault"):
            found[name.lower(), value] = None
        elif name or value:
            raise Refusal(400, f"{_PREFER}; it does not know {part.strip()[:_SHOWN]}")
    if not found:
        raise Refusal(400, _PREFER)
    if len(found) > 1:
        asked = " and ".join(f"{name}={value[:_SHOWN]}" for name, value in list(found)[:2])
        raise Refusal(400, f"Prefer: asks for {asked}; ask for one of them")
    return next(iter(found))


def _prefer(exchange: Exchange, contract: Contract, preference: tuple[str, str]) -> Answer | None:
    """Do as `Prefer` says: force a declared answer, or arm a fault for this request alone."""
    operation = exchange.operation
    assert operation is not None
    match preference:
        case "code", value:
            if value not in operation.responses:
                declares = ", ".join(operation.responses)
                raise Refusal(400, f"Prefer: {operation.id} declares the codes {declares}, and no other")
            exchange.preference = f"code={value}"
            if value.isdigit() and int(value) >= 400:
                return declared(int(value))(Situation(contract, exchange, ArmedFault("prefer", "")))
        case _, value:
            fault = CATALOGUE.get(value)
            if fault is None:
                raise Refusal(400, f"Prefer: there is no fault {value[:_SHOWN]}; GET /_mock/faults lists them")
            _applicable(fault, operation)
            exchange.preference = f"fault={value}"
            exchange.asked = ArmedFault("prefer", value, next=1)
    return None


def _applicable(fault: Fault, operation: Operation) -> None:
    if fault.operation not in (None, operation.id):
        raise Refusal(400, f"Prefer: {fault.id} is a fault of {fault.operation}, not of {operation.id}")


def applied(exchange: Exchange, answer: Answer) -> str | None:
    """What the request asked for by its Prefer header and got, as Preference-Applied says it (RFC 7240)."""
    if exchange.preference is None:
        return None
    asked = exchange.asked
    got = exchange.preference == f"code={answer.status}" if asked is None else asked.met > 0
    return exchange.preference if got else None
