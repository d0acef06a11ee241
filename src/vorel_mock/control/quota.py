"""Limits a tenant where tenants are other people's: by the settings, and by who asks.

It is checked before an operation goes to the log: an entry means the same in each process, whatever its settings are.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import flask

from vorel_mock.control.document import PREFIX
from vorel_mock.control.handlers.support import duration, reject
from vorel_mock.mock.mock import Mock, NoRoom
from vorel_mock.mock.provisioning import key_token
from vorel_mock.mock.settings import make_ttl
from vorel_mock.mock.tenant_log.interface import LogError
from vorel_mock.model.clock import write_duration
from vorel_mock.model.lease import SHORTEST_TTL

#: The member of the ASGI scope that has the id of the tenant whose token a request has.
OWNER = "vorel_mock.owner"

#: Operations that make a secret of a tenant, and the member of the body that can have it.
_SECRETS = {"mintKey": "token", "subscribe": "secret"}

Json = dict[str, Any]


def within_quota(mock: Mock, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler of an operation as it is for requests that stay within the quotas: it rejects the others."""
    if name in _SECRETS and mock.tenant_tokens is not None:
        return _with_secret(mock, name, function)
    if name not in ("createTenant", "changeTenant", "importSnapshot"):
        return function

    @wraps(function)
    def checked(**arguments: Any) -> Any:
        body = dict(arguments.get("body") or {})
        if name != "importSnapshot":  # which has no ttl
            _take_ttl(mock, body, arguments.get("tenant_id"))
        if _owner() is not None:
            _check_limits(mock, body)
        try:
            if name == "createTenant":
                _check_room(mock)
            return function(**{**arguments, "body": body})
        except NoRoom as error:
            reject(409, str(error))

    return checked


def _with_secret(mock: Mock, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler of an operation that makes a secret: one that owners of other tenants cannot reckon.

    They may know the seed, and the ids of a tenant that this one is a fork of.
    """

    @wraps(function)
    def filled(**arguments: Any) -> Any:
        body, tenant_id = dict(arguments.get("body") or {}), arguments["tenant_id"].lower()
        if body.get(_SECRETS[name]) is None:
            if (state := mock.state) is not None:
                with state.staying():
                    _reach(lambda: state.load(tenant_id))
            with mock.lock:
                if (tenant := mock.store.tenant(tenant_id)) is not None:
                    stream = mock.secrets_of(tenant)
                    made = key_token(stream, mock.store) if name == "mintKey" else f"whsec_{stream.hex(48)}"
                    body[_SECRETS[name]] = made
        return function(**{**arguments, "body": body})

    return filled


def refuse_deleted(mock: Mock) -> None:
    """Reject a request to the documents or the state of the mock with the token of a tenant that is no longer there.

    Below its own path, such a tenant is not found in any case.
    """
    owner = _owner()
    if owner is None or flask.request.path.startswith(f"{PREFIX}/tenants/"):
        return
    state = mock.state
    if state is not None:
        with state.staying():
            _reach(lambda: state.load(owner))
    with mock.lock:
        mock.expiry.sweep()
        if mock.store.tenant(owner) is None:
            reject(401, "Authorization: the tenant of this token was deleted; ask the mock's operator for another one")


def _reach(look: Callable[[], None]) -> None:
    try:
        look()
    except LogError as error:
        reject(503, f"The state of the mock cannot be read at present: {error}", {"Retry-After": "1"})


def _owner() -> str | None:
    owner: str | None = flask.request.environ["asgi.scope"].get(OWNER)
    return owner


def _check_room(mock: Mock) -> None:
    """Raises NoRoom if there is none for another tenant, before its snapshot is read."""
    if mock.settings.max_tenants is None:
        return
    if mock.state is not None:
        _reach(mock.state.check)  # others may have made some
    with mock.lock:
        mock.expiry.sweep()
        mock.check_room()


def _take_ttl(mock: Mock, body: Json, tenant_id: str | None) -> None:
    """Give a tenant the ttl of the settings if it would have none."""
    if mock.settings.tenant_ttl is None:
        return
    most = make_ttl(mock.settings.tenant_ttl)
    if body.get("ttl") is not None:
        duration("ttl", body["ttl"], least=SHORTEST_TTL, most=most)
    elif tenant_id is None or ("ttl" in body and not _is_fixture(mock, tenant_id)):
        body["ttl"] = write_duration(most)


def _is_fixture(mock: Mock, tenant_id: str) -> bool:
    with mock.lock:
        return any(tenant.id == tenant_id.lower() for tenant in mock.fixtures)


def _check_limits(mock: Mock, body: Json) -> None:
    """Reject limits above those of the mock: an owner may lower them."""
    for name in ("rate_limit", "tenant_rate_limit"):
        most, wanted = getattr(mock.limits, name), body.get(name)
        # What is no number is rejected by whoever reads it.
        if isinstance(wanted, int | float) and most and not 0 < wanted <= most:  # 0 switches a limit off
            reject(403, f"{name}: with a tenant token, it can be from 1 to {most}; only the operator can set another")
