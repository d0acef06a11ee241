"""Verify which requests came; in vain, tell the nearest ones and where they differ."""

from functools import partial
from typing import Any

import msgspec

from vorel_mock.api.errors import error_body
from vorel_mock.control.handlers.streaming import listed
from vorel_mock.control.handlers.support import Operations, find_tenant, reject
from vorel_mock.mock.journal.explain import explain, secrets
from vorel_mock.mock.journal.verification import Miss, Near, expectation, verify
from vorel_mock.mock.mock import Mock
from vorel_mock.model.redaction import redact, redact_deep
from vorel_mock.model.unknown_name import not_among

Json = dict[str, Any]

#: Characters of a path or a value, and differences of a request, that are told; and those that the message has.
_LONGEST = 100
_DIFFERENCES = 20
_IN_MESSAGE = 3


def verify_requests(mock: Mock, body: Json | list[Json] | None = None) -> Any:
    """Return the requests of the whole mock that match, if there are as many as expected; else 409."""
    return _verified(mock, None, body)


def verify_tenant_requests(mock: Mock, tenant_id: str, body: Json | list[Json] | None = None) -> Any:
    """Return the requests of one tenant that match, if there are as many as expected; else 409."""
    return _verified(mock, tenant_id, body)


def _verified(mock: Mock, tenant_id: str | None, body: Json | list[Json] | None) -> Any:
    with mock.lock:
        tenant = None if tenant_id is None else find_tenant(mock, tenant_id)
        of_tenant = None if tenant is None else tenant.id
        kept, truncated = mock.journal.exchanges(of_tenant), mock.journal.truncated(of_tenant)
        answered = mock.answered
    given = [(str(number), each) for number, each in enumerate(body)] if isinstance(body, list) else [("", body or {})]
    expected = []
    for place, wanted in given:
        try:
            expected.append(expectation(wanted, answered, place))
        except ValueError as error:
            reject(400, str(error))
        if tenant is not None and "key" in wanted and wanted["key"] not in tenant.keys:  # with a typo, `never` holds
            reject(400, not_among(f"{place}.key".lstrip("."), wanted["key"], tenant.keys))
    found = verify(expected, kept, truncated)
    if not isinstance(found, Miss):
        return listed(found, partial(explain, also=mock.secrets), lambda shown: {"data": shown, "total": len(found)})
    nearest = [_near(mock, near) for near in found.nearest]
    which = f"pattern {found.number}: " if isinstance(body, list) else ""
    among = len(list(filter(expected[found.number].counts, kept)))
    problem = f"{which}{found.problem}"
    told = msgspec.json.decode(error_body(mock.contract, 409, f"{problem}; {_nearest(nearest, among)}"))
    wanted = redact_deep(expected[found.number].pattern.as_json(), mock.secrets)
    missed = {"problem": problem, "pattern": found.number, "wanted": wanted}
    return {**told, **missed, "compared": among, "nearest": nearest}, 409


def _near(mock: Mock, near: Near) -> Json:
    exchange = near.exchange
    hidden = [*secrets(exchange), *mock.secrets]

    def shown(text: str) -> str:
        """Return it without secrets, then cut it: of a secret that was cut first, a part would be seen."""
        redacted = redact(text, hidden)
        return redacted if len(redacted) <= _LONGEST else f"{redacted[:_LONGEST]}…"

    return {
        "id": exchange.id,
        "method": shown(exchange.request.method),
        "path": shown(exchange.request.path),
        "status": exchange.status,
        "differences": [
            {"place": shown(each.place), "wanted": shown(each.wanted), "found": shown(each.found)}
            for each in near.differences[:_DIFFERENCES]
        ],
    }


def _nearest(nearest: list[Json], among: int) -> str:
    """Return in a sentence which requests came instead."""
    if not nearest:
        return "there is no other one" if among else "none came"
    first = nearest[0]
    if not first["differences"]:
        return f"the latest is {first['id']}"
    differs = [f"{each['place']}: wanted {each['wanted']}, found {each['found']}" for each in first["differences"]]
    told = "; ".join(differs[:_IN_MESSAGE]) + ("; …" if len(differs) > _IN_MESSAGE else "")
    return f"the nearest of {among} is {first['id']}: {told}"


OPERATIONS: Operations = {
    "verifyRequests": verify_requests,
    "verifyTenantRequests": verify_tenant_requests,
}
