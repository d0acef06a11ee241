"""HTTP requests from a test to the control plane, and their errors."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from json import dumps
from math import inf
from typing import Any
from urllib.parse import quote

import httpx

from vorel_mock.mock.settings import check_token
from vorel_mock.model.redaction import redact

Json = dict[str, Any]
Rows = list[Json]

#: Seconds, or a text such as 61s, 2h, 1h30m or 500ms.
Duration = str | float | timedelta

#: Seconds beyond a wait in the mock itself, so that its response, not a timeout here, names the problem.
SLACK = 10.0

_PREFIX = "/_mock"
#: Seconds that the mock has for a response that waits for nothing.
_TIMEOUT = 30.0
#: The same for a snapshot, which may be large.
SNAPSHOT_TIMEOUT = 300.0


class ControlError(Exception):
    """A request that the control plane rejected, or did not answer. Contains no key.

    `status` is that of the response, None if there was none. `code` and `message` are those of the error envelope. If
    there is none, `code` is `unreachable` or `not_a_mock`, and `message` says what to do.
    """

    def __init__(self, status: int | None, code: str, message: str) -> None:
        super().__init__(message if status is None else f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class Secret(str):
    """A key or a signing secret: a str whose repr is redacted."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text that test reports and debuggers print."""
        shown = redact(self)
        return repr(shown if shown != self else "[redacted]")


class Connection:
    """A connection to the control plane at a base URL, or through an httpx client, for example in process.

    Threads may share it. Raises ValueError if the URL or the token is invalid.
    """

    def __init__(self, where: str | httpx.Client, token: str | None = None) -> None:
        if token is not None:
            try:
                check_token(token)
            except ValueError as error:
                raise ValueError(f"token: {error}") from None
        self._http = where if isinstance(where, httpx.Client) else _client(where)
        self._owned = self._http is not where
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    @property
    def base_url(self) -> str:
        """The URL of the mock."""
        return str(self._http.base_url).rstrip("/")

    def ask(
        self, method: str, *path: str, json: Any = None, params: Json | None = None, timeout: float = _TIMEOUT
    ) -> Any:
        """Send a request to the path of these segments. Returns the JSON of the response, None for 204.

        Raises ControlError for an error, TypeError for invalid `json`.
        """
        return _json(self.exchange(method, *path, json=json, params=params, timeout=timeout), self.base_url)

    def exchange(
        self, method: str, *path: str, json: Any = None, params: Json | None = None, timeout: float = _TIMEOUT
    ) -> httpx.Response:
        """Return the response; `timeout` in seconds. Raises ControlError for an error, TypeError for invalid `json`."""
        url = "/".join([_PREFIX, *(quote(segment, safe="") for segment in path)])
        _check_json(json)
        try:
            response = self._http.request(
                method, url, json=json, params=params, headers=self._headers, timeout=httpx.Timeout(timeout, connect=5)
            )
        except httpx.TimeoutException:
            message = f"the mock at {self.base_url} did not respond within {timeout:g} s"
            raise ControlError(None, "unreachable", message) from None
        except httpx.TransportError:
            message = f"no server at {self.base_url}. Is vorel-mock running there?"
            raise ControlError(None, "unreachable", message) from None
        if not response.is_success:
            raise _error(response, self.base_url)
        return response

    def close(self) -> None:
        """Close the client, unless it was given."""
        if self._owned:
            self._http.close()


def duration(name: str, value: Duration) -> str:
    """Return a duration in the format of the control plane. `name` is that of the caller's argument.

    Raises TypeError or ValueError if it is not a duration, or is negative.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        raise TypeError(f"{name}: must be seconds, a timedelta, or a text such as 61s, not {value!r}")
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 <= seconds < inf:
        raise ValueError(f"{name}: must be zero seconds or more, not {value!r}: time runs forward only")
    return f"{seconds:.6f}s"


def names(name: str, values: Iterable[str]) -> list[str]:
    """Return `values` as a list. Raises TypeError, which names the argument `name`, for a single text."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name}: must be a list of texts, not one: write [{values!r}]")
    return list(values)


def moment_text(moment: str | datetime) -> str:
    """Return a time in the format of the control plane."""
    return moment if isinstance(moment, str) else moment.isoformat()


def id_of(thing: Json | str) -> str:
    """Return the id of what the control plane returned, or the id itself."""
    return thing if isinstance(thing, str) else str(thing["id"])


def rows(answer: Any) -> Rows:
    """Return the rows of a list of the control plane."""
    return list(answer["data"])


def without_none(**members: Any) -> Json:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def _check_json(value: Any) -> None:
    """Raises TypeError, which names the member that JSON cannot represent."""
    for name, member in value.items() if isinstance(value, dict) else ():
        try:
            dumps(member, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"{name}: {type(member).__name__} cannot be sent as JSON: {error}") from None


def _client(base_url: str) -> httpx.Client:
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"base_url: {base_url!r} must be a URL such as http://127.0.0.1:3000")
    # Reading the system's certificates takes longer than a test should; plain HTTP asks for none.
    return httpx.Client(base_url=url, trust_env=False, verify=url.scheme == "https")


def _json(response: httpx.Response, base_url: str) -> Any:
    if response.status_code == 204:
        return None
    try:
        return response.json()
    except ValueError:
        raise _not_a_mock(response, base_url) from None


def _error(response: httpx.Response, base_url: str) -> ControlError:
    try:
        error = response.json()["error"]
        return ControlError(response.status_code, str(error["code"]), redact(str(error["message"])))
    except (ValueError, LookupError, TypeError):
        return _not_a_mock(response, base_url)


def _not_a_mock(response: httpx.Response, base_url: str) -> ControlError:
    message = f"the server at {base_url} is not vorel-mock: it has no control plane below {_PREFIX}"
    return ControlError(response.status_code, "not_a_mock", message)
