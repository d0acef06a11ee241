"""Shared by the handlers: rejecting a request, finding a tenant, long polling."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from threading import Lock
from typing import Any, NoReturn, TypeVar

from flask import request

from vorel_mock.contract.connexion_import import ProblemException
from vorel_mock.mock.mock import Mock
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.clock import parse_duration, parse_iso
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.wait import Client
from vorel_mock.unpatched.clocks import sleep

#: Seconds that a request may wait for something to happen; how long it does when it does not say.
LONGEST_WAIT = 60.0
#: Waits that may begin or end at the same moment. Of more, one does after the other, so many seconds apart: as many
#: threads that all had something to do would keep the event loop, which answers the API, from its turn.
_FEW, _APART = 4, 0.004
_TURN = Lock()
DEFAULT_WAIT = 10.0

#: Where the scope of a request has its client.
CLIENT = "vorel_mock.client"
#: For a client that has closed its side only.
GONE = "the wait ended early: the client closed its side of the connection"

Row = TypeVar("Row")
Armed = TypeVar("Armed", bound=ArmedFault)

#: Handlers by operationId; each takes the mock first.
Operations = Mapping[str, Callable[..., Any]]


def reject(status: int, message: str, headers: Mapping[str, str] | None = None) -> NoReturn:
    """End the request with `status` and the envelope."""
    raise ProblemException(status=status, detail=message, headers=headers)


def find_tenant(mock: Mock, tenant_id: str) -> Tenant:
    """The tenant, or 404. Its lease begins anew."""
    return mock.tenant(tenant_id.lower()) or reject(404, "No tenant with this id.")


def make_room(kept: list[Armed], most: int, what: str) -> None:
    """Have `kept` take one more of `what`, of which it has `most` at most: a spent one goes. 409 if none is spent."""
    if len(kept) >= most:
        spent = next((armed for armed in kept if armed.spent), None)
        if spent is None:
            reject(409, f"the tenant already has {most} {what}, the maximum; DELETE some, or all of them")
        kept.remove(spent)


def api_url(mock: Mock) -> str:
    """The base URL of the API, by the host that the request was sent to."""
    return request.host_url.rstrip("/") + request.script_root + mock.contract.base_path


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` as `patch` changes it (RFC 7396): objects merge, null removes a member, the rest replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def duration(name: str, text: str, *, least: float = 0.0, most: float) -> float:
    """Return the seconds of a duration that a request gave as `name`; reject it with 400 if it is invalid."""
    try:
        return parse_duration(text, least=least, most=most)
    except ValueError as error:
        reject(400, f"{name}: {error}")


@contextmanager
def waiting_slot(mock: Mock, tenant_id: str | None) -> Iterator[Client]:
    """Count a request that waits for something of a tenant, or of all. Yields its client, with which the wait ends.

    Rejects it with 429 if too many do: the others need threads as well.
    """
    if mock.state is not None and mock.state.is_here:  # it applies an entry, and waits for nothing
        yield Client()
        return
    owner = None if tenant_id is None else tenant_id.lower()
    if not mock.waits.take(owner):
        whose = "the mock" if owner is None else "this tenant"
        message = f"too many requests wait for {whose} already; try again when one of them has ended"
        reject(429, message, {"Retry-After": "1"})
    try:
        _take_turns(mock)
        yield request.environ["asgi.scope"][CLIENT]
    finally:
        mock.waits.give_back(owner)
        _take_turns(mock)


def _take_turns(mock: Mock) -> None:
    """Have waits begin and end one after the other, if there are many."""
    if mock.waits.taken > _FEW:
        with _TURN:
            sleep(_APART)


def span(filters: Mapping[str, Any]) -> tuple[float, float]:
    """Return `since` and `until` of a request, in seconds since the epoch; all time without. 400 if one is invalid."""
    # A shown time is rounded to microseconds, perhaps up: the row that it was taken from is meant as well.
    return moment("since", filters, -inf) - 1e-6, moment("until", filters, inf)


def chosen(
    rows: Iterable[Row], filters: Mapping[str, Any], time: Callable[[Row], float] | None = None
) -> tuple[list[Row], int]:
    """Return the newest `limit` of the rows whose attributes are as `filters` says, and how many such rows there are.

    `time` is for since and until. Call it without the mock's lock.
    """
    wanted = {name: value for name, value in filters.items() if name not in ("limit", "since", "until")}
    first, last = span(filters)
    found = [
        row
        for row in rows
        if all(getattr(row, name) == value for name, value in wanted.items())
        and (time is None or first <= time(row) <= last)
    ]
    return (found[-filters["limit"] :] if "limit" in filters else found), len(found)


def moment(name: str, wanted: Mapping[str, Any], otherwise: float) -> float:
    """Return the time that a request gives as `name`, in seconds since the epoch; 400 if it is invalid."""
    try:
        return parse_iso(wanted[name]) if name in wanted else otherwise
    except ValueError as error:
        reject(400, f"{name}: {error}")


def timeout(body: Mapping[str, Any]) -> float:
    """Return the seconds that `body` asks to wait for something at most."""
    return duration("timeout", body["timeout"], most=LONGEST_WAIT) if "timeout" in body else DEFAULT_WAIT
