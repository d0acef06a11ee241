"""The checks in front of the control plane.

A page in a browser can reach loopback, by DNS rebinding (a foreign name in Host) or by a form or script of another
origin. The guard therefore checks Host and Origin and accepts JSON only. A mock that listens beyond loopback requires a
token, or trusts its network: then it answers to names that no name server of the internet has. The control token opens
everything, a tenant token the control plane of its tenant. Bodies are read strictly here.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterable
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from vorel_mock.api import strict_json
from vorel_mock.api.errors import JSON, error_body
from vorel_mock.api.messages import Headers, Request, Response
from vorel_mock.contract.contract import Contract
from vorel_mock.control.document import PREFIX, READS
from vorel_mock.mock import snapshot
from vorel_mock.mock.settings import is_loopback
from vorel_mock.mock.tenant_tokens import TenantTokens

#: Bytes of a body.
MAX_BODY = 4 * 1024 * 1024
#: Bytes of one with a snapshot: more than any tenant exports. Its histories have 32 MiB in memory each, and JSON may
#: take six bytes for one.
MAX_SNAPSHOT = 1024 * 1024 * 1024
#: Bytes of one from the owner of a tenant. All of it is kept in a temporary file.
MAX_OWN_SNAPSHOT = 64 * 1024 * 1024
#: Where it may have one. A longer one than this is read in batches.
_TAKES_SNAPSHOT = re.compile(rf"{PREFIX}/tenants(?:/[^/]+/snapshot)?")
_IN_BATCHES = 1024 * 1024
#: What the owner of any tenant may read besides: the state of the mock, and the documents.
_FOR_OWNERS = re.compile(rf"{PREFIX}/(?:health|openapi\.json|contract\.json|docs(?:/[^/]*)?)")
#: Methods with a body.
WRITES = ("POST", "PUT", "PATCH", "DELETE")
_JSON = b"application/json"
#: A PATCH merges (RFC 7396), by either name.
_PATCHES = (_JSON, b"application/merge-patch+json")
_LOOKED_AT = (b"host", b"origin", b"sec-fetch-site", b"authorization", b"content-type")
#: A name, an address, an address in brackets; optionally a port.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::[0-9]{1,5})?")


#: Domains that the internet's name servers do not have (RFC 6761, RFC 6762; ICANN for .internal).
_OWN_DOMAINS = (".internal", ".local", ".localhost", ".test")

#: On every response: no page of another origin may frame, embed or sniff it, and what may hold keys is not kept.
PROTECTION: Headers = [
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """Checks requests to the control plane.

    `token` is the control token, None if none is required, and `tenant_tokens` are those of the owners of tenants.
    `trusts_network`: no token, and not on loopback only.
    """

    def __init__(
        self,
        contract: Contract,
        token: str | None,
        tenant_tokens: TenantTokens | None = None,
        *,
        trusts_network: bool = False,
    ) -> None:
        self._contract = contract
        self._token = token
        self._tenant_tokens = tenant_tokens
        self._trusts_network = trusts_network

    def check(self, request: Request) -> Response | None:
        """Return the error response if the headers do not permit the request, else None."""
        headers = dict(request.headers)
        problem = _repeated(request.headers) or self._problem(request, headers)
        if problem is None and "\n" in request.path:  # Starlette's routes never match one, Flask's do
            problem = 404, "Nothing is at a path with a line break."
        if problem is None and request.method in WRITES and request.unreadable is not None:
            problem = 400, f"body: {request.unreadable}"
        return None if problem is None else self.rejected(*problem)

    def body_limit(self, request: Request) -> int | None:
        """Return how many bytes the body of a request may have, None if the headers do not permit the request."""
        if self.check(request) is not None:
            return None
        if not _TAKES_SNAPSHOT.fullmatch(request.path):
            return MAX_BODY
        return MAX_SNAPSHOT if self.owner(request) is None else MAX_OWN_SNAPSHOT

    def owner(self, request: Request) -> str | None:
        """Return the id of the tenant whose token a request has, None if it has another one or needs none."""
        if self._tenant_tokens is None:
            return None
        token = _token(request.fields.get(b"authorization", b"").decode("latin-1"))
        return None if token is None else self._tenant_tokens.tenant_id(token)

    def read_body(self, request: Request) -> Any:
        """Return the JSON value of the body, `{}` if there is none. Takes time if the body is large.

        Raises ValueError, which says what is wrong, for anything else. A form is rejected even if it is empty: only a
        page sends those.
        """
        content_type = request.fields.get(b"content-type")
        media_type = (content_type or b"").partition(b";")[0].strip().lower()
        taken = _PATCHES if request.method == "PATCH" else (_JSON,)
        has_body = request.body or request.large is not None
        if media_type not in taken and (has_body or content_type is not None):
            raise ValueError(f"Content-Type: must be {b' or '.join(taken).decode()}")
        if not has_body:
            return {}
        content = request.body if request.large is None else request.large
        try:
            if len(content) > _IN_BATCHES and _TAKES_SNAPSHOT.fullmatch(request.path):
                return snapshot.split(content)
            return strict_json.parse(content[:], snapshot.MAX_DEPTH)
        except ValueError as error:
            raise ValueError(f"body: {error}") from None

    def rejected(self, status: int, message: str) -> Response:
        """Return an error response."""
        content = error_body(self._contract, status, message)
        headers: Headers = [JSON, (b"content-length", b"%d" % len(content))]
        if status == 401:
            headers.append((b"www-authenticate", b'Basic realm="vorel-mock control token as password"'))
        return Response(status, content, headers)

    def _problem(self, request: Request, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if self._trusts_network:
            if not _is_of_network(_hostname(host)):
                return 403, f"Host: use an address, a name without a dot, or one in {', '.join(_OWN_DOMAINS)}"
        elif self._token is None:
            if not is_loopback(_hostname(host)):
                return 403, "Host: the control plane answers to localhost only; use 127.0.0.1 or localhost in the URL"
        elif not self._is_control_token(_token(given := headers.get(b"authorization", b"").decode("latin-1"))):
            owner = self.owner(request)
            if owner is None:
                wrong = (
                    "is not the control token of this mock" if given else "is required; this mock has a control token"
                )
                return 401, f"Authorization: {wrong}; send it as Bearer"
            if not _is_open_to(owner, request):
                return 403, f"Authorization: this token opens {PREFIX}/tenants/{owner} only; send the control token"
        origin = headers.get(b"origin")
        if origin is not None and _netloc(origin.decode("latin-1")) != host.lower():
            return 403, "Origin: a page of another origin may not use the control plane"
        elsewhere = headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin")
        # A link may lead here. A page that embeds, frames or fetches what is here may not.
        is_link = headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
        if elsewhere and (request.method in WRITES or not is_link):
            return 403, "Sec-Fetch-Site: a page of another site may not use the control plane"
        return None

    def _is_control_token(self, token: str | None) -> bool:
        return token is not None and compare_digest(token.encode(), (self._token or "").encode())


def _token(authorization: str) -> str | None:
    """Return the token in an Authorization header, None if it has none."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "basic":  # what a browser sends after it has asked: the token is the password
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return None
    elif scheme.lower() != "bearer":
        return None
    return given.strip()


def _is_open_to(owner: str, request: Request) -> bool:
    """Return True if the owner of the tenant with the id `owner` may send a request."""
    place = f"{PREFIX}/tenants/{owner}"
    path = request.path.lower()  # as the handlers read an id
    if path == place or path.startswith(f"{place}/"):
        return True
    return request.method in READS and _FOR_OWNERS.fullmatch(request.path) is not None


def _repeated(headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
    """Return the problem if a header that is checked here is repeated: what is behind might read the other one."""
    for name, count in Counter(name for name, _ in headers if name in _LOOKED_AT).items():
        if count > 1:
            return 400, f"{name.decode().title()}: is there {count} times; send it once"
    return None


def _hostname(host: str) -> str:
    """Return the name or address in a Host header without port and brackets; empty if it is anything else."""
    parts = _HOST.fullmatch(host)
    return (parts[1] or parts[2]) if parts else ""


def _is_of_network(host: str) -> bool:
    """Return True for an address or a name that a page of the internet cannot have: nobody can rebind it.

    Containers and hosts of a local network have names without a dot, such as `mock`.
    """
    name = host.lower().removesuffix(".")
    if name.endswith(_OWN_DOMAINS) or (name and "." not in name and not name.isdigit()):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _netloc(origin: str) -> str | None:
    """Return host and port of an origin; None if it is no origin, such as `null`."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
