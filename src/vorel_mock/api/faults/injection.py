"""Step: apply faults, those armed for the tenant and those that a request asks for by its Prefer header."""

import difflib
import re
from functools import partial
from typing import Any, NamedTuple

import msgspec

from vorel_mock.api.faults.catalogue import CATALOGUE, Fault, Stage, fault_of
from vorel_mock.api.faults.deviations import FaultContext, declared
from vorel_mock.api.messages import ApiError, Exchange, Response, seen_request
from vorel_mock.contract.contract import Contract
from vorel_mock.contract.operation import Operation
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.ids import Ids
from vorel_mock.model.stubs import Stub
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.unknown_name import unknown_name

#: A preference, or a parameter of one (RFC 7240, 2). In a quoted value, commas and semicolons separate nothing.
_PART = re.compile(r'(?:[^,;"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
#: The preferences of the mock, and a parameter of `code`.
_OURS = ("code", "fault", "example")
_UNLAWFUL = "unlawful"
#: Bytes of all Prefer fields of a request: what a header holds must not decide what it costs.
MAX_PREFER = 1024
#: Characters of a preference that an error message repeats.
_SHOWN = 60


def before(exchange: Exchange, contract: Contract) -> Response | None:
    """Read the Prefer header, and apply a fault that replaces the response. Returns None if there is none."""
    if b"prefer" in exchange.request.fields:
        forced = _prefer(exchange, contract, _preference(exchange))
        if forced is not None:
            return forced
    return _meet(exchange, "before", contract) if may_meet(exchange) else None


def may_meet(exchange: Exchange) -> bool:
    """Return True if there is a fault or a stub that the request could meet; else skip the functions below."""
    tenant = exchange.tenant
    return exchange.asked is not None or (tenant is not None and bool(tenant.faults or tenant.stubs))


def wanted_example(exchange: Exchange) -> str | None:
    """Return the name of the example that the Prefer header asks for. Of use where an example is the response."""
    if b"prefer" not in exchange.request.fields:
        return None
    preference = _preference(exchange)
    return preference.value if preference is not None and preference.name == "example" else None


def stubbed(exchange: Exchange, contract: Contract) -> Response | None:
    """Return the response of a stub, in place of what the operation would do; None if no stub has one."""
    return _meet(exchange, "operation", contract)


def crm(exchange: Exchange, contract: Contract) -> None:
    """Apply a fault of the tenant's CRM. Raises CrmError if there is one."""
    _meet(exchange, "crm", contract)


def webhook(exchange: Exchange, contract: Contract) -> dict[str, Any] | None:
    """Return the keywords with which an event is published, as a fault changes them; None if the event is lost."""
    armed = _take(exchange, "webhook", contract)
    if armed is None:
        return {}
    delivery = CATALOGUE[armed.fault].delivery
    assert delivery is not None
    return delivery(armed)


def after(exchange: Exchange, contract: Contract, response: Response) -> Response:
    """Return the response that a fault leaves of `response`, whose effect is committed."""
    return _meet(exchange, "after", contract, response) or response


def was_applied(exchange: Exchange, response: Response) -> bool:
    """Return True if the request got what its Prefer header asked for (Preference-Applied, RFC 7240)."""
    if exchange.asked is None:
        preference = exchange.preference or ""
        return preference == f"code={response.status}" or preference.startswith("example=")
    return exchange.asked.met > 0


def _meet(exchange: Exchange, stage: Stage, contract: Contract, response: Response | None = None) -> Response | None:
    armed = _take(exchange, stage, contract, response)
    if armed is None:
        return None
    fault = fault_of(armed)
    deviation = fault.apply(FaultContext(contract, exchange, armed, response))
    if deviation is not None:
        if fault.stage != "operation":
            exchange.reason = f"the fault {fault.id}: {fault.sentence}"
        _hold(exchange, armed, deviation)
    return deviation


def _hold(exchange: Exchange, armed: ArmedFault, deviation: Response) -> None:
    """Note a response that is held back, so that it can be let go when the fault is disarmed."""
    how, tenant = deviation.transmission, exchange.tenant
    if tenant is not None and how is not None and (how.delay or how.drip):
        deviation.transmission = msgspec.structs.replace(how, held=tenant.held.add(armed.id))


def _take(exchange: Exchange, stage: Stage, contract: Contract, response: Response | None = None) -> ArmedFault | None:
    """Return the first stub or armed fault of that stage that this request meets, counted as met."""
    tenant, operation = exchange.tenant, exchange.operation
    assert tenant is not None
    assert operation is not None
    candidates: list[ArmedFault] = [] if exchange.asked is None else [exchange.asked]
    seen = None
    for armed in [*candidates, *tenant.stubs, *tenant.faults]:
        fault = fault_of(armed)
        if fault.stage != stage or fault.operation not in (None, operation.id):
            continue
        if isinstance(armed, Stub):
            seen = seen or seen_request(exchange)
            if armed.spent or not armed.request.matches(seen):
                continue
        if not fault.applies(FaultContext(contract, exchange, armed, response)):
            continue
        if armed.meets(operation.id, partial(_draw, tenant, armed)):
            armed.note(exchange.id, exchange.at)
            if isinstance(armed, Stub):
                exchange.stub = armed.id
            if armed.fault:
                exchange.fault = armed.fault
            return armed
    return None


def _draw(tenant: Tenant, armed: ArmedFault, number: int) -> float:
    """Draw from a stream of the fault's own, so that an armed fault changes no id of the tenant."""
    return Ids(tenant.ids.seed, f"{tenant.ids.stream}/{armed.id}", number).chance()


class _Preference(NamedTuple):
    name: str
    value: str
    unlawful: bool


def _preference(exchange: Exchange) -> _Preference | None:
    """Return our preference in all `Prefer` fields; it may be repeated. None if there is none.

    Other preferences are ignored (RFC 7240, 2), but for those that are probably typing errors.
    """
    raw = b",".join(value for name, value in exchange.request.headers if name == b"prefer")
    if len(raw) > MAX_PREFER:
        raise ApiError(400, f"Prefer: is longer than {MAX_PREFER} bytes; ask for one preference, once")
    fields = raw.decode("latin-1")
    found: dict[tuple[str, str], None] = {}
    unlawful = False
    for part in _PART.findall(fields):
        name, _, value = (piece.strip().strip('"') for piece in part.partition("="))
        if name.lower() in _OURS:
            found[name.lower(), value] = None
        elif name.lower() == _UNLAWFUL:
            unlawful = True
        elif remedy := _remedy(name, value):
            raise ApiError(400, f"Prefer: {remedy}")
    if len(found) > 1:
        asked = " and ".join(f"{name}={value[:_SHOWN]}" for name, value in list(found)[:2])
        raise ApiError(400, f"Prefer: asks for {asked}; ask for one of them")
    wanted = next(iter(found), None)
    if unlawful and (wanted is None or wanted[0] != "code"):
        raise ApiError(400, f"Prefer: {_UNLAWFUL} goes with a code only: code=409; {_UNLAWFUL}")
    return None if wanted is None else _Preference(*wanted, unlawful)


def _remedy(name: str, value: str) -> str | None:
    """Return what to write instead of a preference that looks like one of ours."""
    if not value and name in CATALOGUE:
        return f"write fault={name}"
    if not value and re.fullmatch("[1-5][0-9][0-9]", name):
        return f"write code={name}"
    near = difflib.get_close_matches(name.lower(), (*_OURS, _UNLAWFUL), n=1, cutoff=0.7)
    return unknown_name("preference", name[:_SHOWN], near) if near else None


def _prefer(exchange: Exchange, contract: Contract, preference: _Preference | None) -> Response | None:
    """Apply a preference: force a response, or arm a fault for this request alone."""
    operation = exchange.operation
    assert operation is not None
    match preference:
        case None | ("example", _, _):
            return None
        case "code", value, unlawful:
            if value not in operation.responses:
                _check_undeclared(contract, operation, value, unlawful=unlawful)
            exchange.preference = f"code={value}"
            if value.isdigit() and int(value) >= 400:
                return declared(int(value))(FaultContext(contract, exchange, ArmedFault("prefer", "")))
        case _, value, _:
            fault = CATALOGUE.get(value)
            if fault is None:
                unknown = unknown_name("fault", value[:_SHOWN], CATALOGUE)
                raise ApiError(400, f"Prefer: {unknown} (GET /_mock/faults lists them)")
            _check_operation(fault, operation)
            exchange.preference = f"fault={value}"
            exchange.asked = ArmedFault("prefer", value, next=1)
    return None


def _check_undeclared(contract: Contract, operation: Operation, value: str, *, unlawful: bool) -> None:
    """Reject a code that an operation does not declare, unless the document has an error for it and it is asked for."""
    has_error = value.isdigit() and int(value) in contract.error_codes
    if not (has_error and unlawful):
        declares = ", ".join(operation.responses)
        remedy = ""
        if has_error:
            remedy = f"; code={value}; {_UNLAWFUL} gets it nevertheless"
        elif unlawful:
            remedy = f", and the document has no error for {value[:_SHOWN]}; a stub can have any status"
        raise ApiError(400, f"Prefer: {operation.id} declares the codes {declares}, and no other{remedy}")


def _check_operation(fault: Fault, operation: Operation) -> None:
    if fault.operation not in (None, operation.id):
        raise ApiError(400, f"Prefer: {fault.id} is a fault of {fault.operation}, not of {operation.id}")
