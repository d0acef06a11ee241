"""HTTP requests from a test to the control plane, and their errors."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from json import dumps
from math import inf
from typing import Any
from urllib.parse import quote, urlencode

from vorel_mock.mock.settings import check_token
from vorel_mock.model.redaction import redact
from vorel_mock.server.app import App
from vorel_mock.testing.channels import InProcessChannel, PortChannel
from vorel_mock.testing.loop_thread import LoopThread
from vorel_mock.unpatched.http_client import NotHttp, Response

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
    there is none, `code` is `unreachable` or `not_a_mock`, and `message` says what to do. `body` is the whole response.
    """

    def __init__(self, status: int | None, code: str, message: str, body: Any = None) -> None:
        super().__init__(message if status is None else f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.body = body


class Secret(str):
    """A key or a signing secret: a str whose repr is redacted."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text that test reports and debuggers print."""
        shown = redact(self)
        return repr(shown if shown != self else "[redacted]")


class Connection:
    """A connection to the control plane at a base URL, or to that of an application in this process.

    Its coroutines run on `loop`. Threads may share it. Raises ValueError if the URL or the token is invalid.
    """

    def __init__(self, where: str | App, token: str | None = None) -> None:
        if token is not None:
            try:
                check_token(token)
            except ValueError as error:
                raise ValueError(f"token: {error}") from None
        self.loop = LoopThread("vorel-mock-client")
        self._channel = PortChannel(where) if isinstance(where, str) else InProcessChannel(where)
        self.base_url = self._channel.base_url
        """The URL of the mock."""
        self.app = None if isinstance(where, str) else where
        """The application, if it is in this process."""
        self._headers = {} if token is None else {"authorization": f"Bearer {token}"}

    async def ask(
        self, method: str, *path: str, json: Any = None, params: Json | None = None, within: float = _TIMEOUT
    ) -> Any:
        """Send a request to the path of these segments. Returns the JSON of the response, None for 204.

        Raises ControlError for an error, TypeError for invalid `json`.
        """
        return _json(await self.exchange(method, *path, json=json, params=params, within=within), self.base_url)

    async def exchange(
        self, method: str, *path: str, json: Any = None, params: Json | None = None, within: float = _TIMEOUT
    ) -> Response:
        """Return the response; `within` in seconds. Raises ControlError for an error, TypeError for invalid `json`."""
        target = "/".join([_PREFIX, *(quote(segment, safe="") for segment in path)])
        if params:
            target += "?" + urlencode(params)
        _check_json(json)
        body = b"" if json is None else dumps(json).encode()
        headers = dict(self._headers)
        if json is not None:
            headers["content-type"] = "application/json"
        try:
            async with asyncio.timeout(within):
                response = await self._channel.send(method, target, headers, body)
        except TimeoutError:
            message = f"the mock at {self.base_url} did not respond within {within:g} s"
            raise ControlError(None, "unreachable", message) from None
        except (OSError, NotHttp):
            message = f"no server at {self.base_url}. Is vorel-mock running there?"
            raise ControlError(None, "unreachable", message) from None
        if response.status is None or not 200 <= response.status < 300:
            raise _error(response, self.base_url)
        return response

    def close(self) -> None:
        """End what waits for a response, and the thread."""
        self.loop.stop(self._channel.aclose)


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


def query(**filters: Any) -> Json:
    """Return the query parameters of filters: None is left out, times and truth values are written as texts."""
    written = {}
    for name, value in without_none(**filters).items():
        moment = moment_text(value) if isinstance(value, datetime) else value
        written[name] = str(value).lower() if isinstance(value, bool) else moment
    return written


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


def _json(response: Response, base_url: str) -> Any:
    if response.status == 204:
        return None
    try:
        return response.json()
    except ValueError:
        raise _not_a_mock(response, base_url) from None


def _error(response: Response, base_url: str) -> ControlError:
    try:
        body = response.json()
        error = body["error"]
        return ControlError(response.status, str(error["code"]), redact(str(error["message"])), body)
    except (ValueError, LookupError, TypeError):
        return _not_a_mock(response, base_url)


def _not_a_mock(response: Response, base_url: str) -> ControlError:
    message = f"the server at {base_url} is not vorel-mock: it has no control plane below {_PREFIX}"
    return ControlError(response.status, "not_a_mock", message)
