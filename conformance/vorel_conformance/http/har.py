"""Requests and responses in a HAR file, as a browser or a proxy records them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vorel_conformance.http import strict_json
from vorel_conformance.http.attempt import Attempt, Headers

LONGEST = 64 * 1024 * 1024  # bytes of a file
_MOST_VALUES = 5_000_000
_API = "/api/"


class HarError(Exception):
    """The file is no HAR, or has nothing of this API. The message says what to do."""


def attempts(path: Path) -> list[Attempt]:
    """Return the requests to the API in a file, in the order of time. Raises HarError."""
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST + 1)
    except OSError as error:
        raise HarError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(raw) > LONGEST:
        raise HarError(f"{path}: longer than {LONGEST >> 20} MiB; export only the requests to the API")
    parsed = strict_json.parse(raw.removeprefix(b"\xef\xbb\xbf"), most_values=_MOST_VALUES)
    log = parsed.value.get("log") if isinstance(parsed.value, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if parsed.error or not isinstance(entries, list):
        raise HarError(f"{path}: not a HAR file: {parsed.error or 'it has no log.entries'}")
    found = []
    for number, entry in enumerate(entries):
        try:
            attempt = _attempt(entry)
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise HarError(f"{path}: log.entries[{number}]: not as HAR says: {error!r}") from error
        if attempt:
            found.append(attempt)
    if not found:
        raise HarError(f"{path}: has no request to a path below {_API}")
    found.sort(key=lambda each: each.started)
    began = found[0].started
    return [_moved(each, n, began) for n, each in enumerate(found, 1)]


def _attempt(entry: Any) -> Attempt | None:
    request, response = entry["request"], entry["response"]
    url = urlsplit(str(request["url"]))
    _, api, path = url.path.partition(_API)
    if not api:
        return None
    target = f"{_API}{path}" + (f"?{url.query}" if url.query else "")
    posted = request.get("postData")
    body = str(posted["text"]).encode("utf-8", "surrogatepass") if posted and "text" in posted else b""
    whole = bool(body) or not int(request.get("bodySize", 0) or 0) > 0
    started = datetime.fromisoformat(str(entry["startedDateTime"])).timestamp()
    seconds = float(entry.get("time", 0) or 0) / 1000
    status = int(response["status"])
    return Attempt(
        number=0,
        connection=0,
        on_connection=0,
        started=started,
        sent=started if whole else None,
        method=str(request["method"]),
        target=target,
        headers=_headers(request["headers"]),
        body=body,
        status=max(status, 0),
        response_headers=_headers(response["headers"]),
        response=_content(response.get("content") or {}),
        ended=started + seconds,
        end="answered" if status > 0 else "no answer",
        opened=started,
        closed=started + seconds,
    )


def _headers(headers: Any) -> Headers:
    # HTTP/2 has :authority and the like, which are no headers.
    pairs = ((str(each["name"]), str(each["value"])) for each in headers)
    return tuple((name, value) for name, value in pairs if not name.startswith(":"))


def _content(content: dict[str, Any]) -> bytes:
    text = str(content.get("text") or "")
    return base64.b64decode(text) if content.get("encoding") == "base64" else text.encode("utf-8", "surrogatepass")


def _moved(attempt: Attempt, number: int, began: float) -> Attempt:
    """Return the attempt with times since the first one."""
    sent = None if attempt.sent is None else attempt.sent - began
    ended = None if attempt.ended is None else attempt.ended - began
    started = attempt.started - began
    return replace(attempt, number=number, started=started, sent=sent, ended=ended, opened=started, closed=ended)
