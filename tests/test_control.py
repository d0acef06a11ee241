"""The control plane as every user of the mock meets it: health, target, reset, reserved values, the documentation."""

import httpx

BASE = "http://127.0.0.1:3000"


def test_the_documentation_is_found_without_the_slash(http: httpx.Client) -> None:
    answer = http.get("/_mock/docs")
    assert answer.status_code == 308
    assert answer.headers["Location"] in ("/_mock/docs/", f"{BASE}/_mock/docs/")
