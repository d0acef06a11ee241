"""The journal as HAR 1.2, which browsers and many tools open."""

from typing import Any
from urllib.parse import parse_qsl, quote

import vorel_mock

Json = dict[str, Any]

#: RFC 3986, 3.3; and the sign of what has stayed encoded.
_IN_A_PATH = "/:@!$&'()*+,;=%"


def har(entries: list[Json]) -> Json:
    """Return a HAR document of these entries."""
    creator = {"name": "vorel-mock", "version": vorel_mock.__version__}
    return {"log": {"version": "1.2", "creator": creator, "entries": entries}}


def entry(exchange: Json) -> Json:
    """Return the entry of an exchange that was explained, and so is redacted."""
    request, response = exchange["request"], exchange["response"]
    host = _header(request, "host") or "localhost"
    query = f"?{request['query']}" if request["query"] else ""
    media_type = _header(request, "content-type") or "application/json"
    posted = {"postData": {"mimeType": media_type, "text": request["body"]}} if request["body"] else {}
    return {
        "startedDateTime": exchange["at"],
        "time": exchange["duration_ms"],
        "request": {
            "method": request["method"],
            "url": f"http://{host}{quote(request['path'], safe=_IN_A_PATH)}{query}",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _pairs(request["headers"]),
            "queryString": _pairs(parse_qsl(request["query"], keep_blank_values=True)),
            **posted,
            "headersSize": -1,
            "bodySize": len(request["body"].encode()),
        },
        "response": {
            "status": response["status"] or 0,  # HAR has no other word for an answer that never came
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _pairs(response["headers"]),
            "content": {
                "size": len(response["body"].encode()),
                "mimeType": _header(response, "content-type"),
                "text": response["body"],
            },
            "redirectURL": _header(response, "location"),
            "headersSize": -1,
            "bodySize": len(response["body"].encode()),
        },
        "cache": {},
        "timings": {"send": 0, "wait": exchange["duration_ms"], "receive": 0},
        "_explanation": exchange["explanation"],
    }


def _header(message: Json, name: str) -> str:
    """Return the first value of a header, in whatever letters its name is; empty if there is none."""
    return next((str(value) for own, value in message["headers"] if own.lower() == name), "")


def _pairs(pairs: Any) -> list[Json]:
    return [{"name": name, "value": value} for name, value in pairs]
