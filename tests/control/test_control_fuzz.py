"""The control plane under a fuzzer, and under many threads at once: no 5xx, no undeclared status, nothing lost."""

import os
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis.core.result import Ok
from tests import checked_client as checked
from tests.serving import serving

from vorel_mock.contract import contract
from vorel_mock.control.document import served
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App

EXAMPLES = int(os.environ.get("VOREL_TEST_EXAMPLES", "8"))
#: Seconds for which the threads hammer.
HAMMERING = 3.0
CREATE = "/api/v1/crm/create-record"

#: What no schema says: what depends on the state, on another field, on the mock's settings, or on a sum.
EXCUSED = re.compile(
    r"runs forward only|clocks end with the year 9998"
    r"|must be (at most|[0-9.]+s to) [0-9.]+s"
    r"|^(snapshot|fork): contains the whole tenant|^keys: .* goes with a snapshot|^crm\.vendor: is required"
    r"|^target_url: |^operation: \w+ is a fault of|^(delay|retry_after|location): \w+ (takes|tells|redirects)"
    r"|since: is the id of a request that the mock has not answered|since: is not the id of a delivery"
    r"|(exactly|at_least|never): does not go with|key: must be one of|headers\.\S+: carries the key|is no JSON pointer"
    r"|must not be later than the tenant's clock"
    r"|^(request|response)(\.[^:]*)?: "  # of a stub: the contract says it, or one member excludes another
    r"|^snapshot\.\w+\[\d+\]\.[\w. ]+: "  # rows refer to each other
)
schema = schemathesis.openapi.from_dict(served(contract.load(), "/_mock", token=False))
operations: list[Any] = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    mock = Mock(Settings(seed=1, rate_limit=0, tenant_rate_limit=0))
    with serving(App(mock)) as (url, _):
        yield url


@pytest.fixture(scope="module")
def http(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, event_hooks={"response": [checked.check]}, timeout=30) as client:
        yield client


@pytest.mark.parametrize("operation", operations, ids=lambda operation: operation.definition.raw["operationId"])
def test_no_input_makes_it_fail(http: httpx.Client, operation: Any) -> None:
    tenant = http.post("/_mock/tenants", json={}).json()["id"]

    @hypothesis.settings(
        max_examples=EXAMPLES // 2 if "Snapshot" in str(operation.definition.raw.get("requestBody")) else EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=operation.as_strategy() | operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    )
    def fuzz(case: Any) -> None:  # M52
        invalid = any(part.mode.is_negative for part in case.meta.components.values())
        if "tenant_id" in (case.path_parameters or {}) and len(str(case.path_parameters["tenant_id"])) % 2:
            case.path_parameters["tenant_id"] = tenant
        if isinstance(case.body, dict) and "timeout" in case.body:
            case.body["timeout"] = "10ms"  # waits are waited for elsewhere
        elif operation.path.endswith("/wait"):
            case.body = {"timeout": "10ms"}
        request = case.as_transport_kwargs(base_url="http://x/_mock")
        kwargs = {name: request[name] for name in ("json", "data", "headers") if request.get(name) is not None}
        if "data" in kwargs:
            kwargs["content"] = kwargs.pop("data")
        path = request["url"].removeprefix("http://x")
        # The client checks the answer by the document.
        answer = http.request(request["method"], path, params=request.get("params"), **kwargs)
        if invalid and not operation.path.endswith("/wait"):  # its body was replaced above
            assert answer.is_client_error, f"accepted: {case.body!r} {case.query!r}"
        elif not invalid and answer.status_code == 400:
            message = answer.json()["error"]["message"]
            assert EXCUSED.search(message), f"{message}: {case.body!r}"

    fuzz()


def test_many_threads_lose_nothing(base_url: str) -> None:
    ends = time.monotonic() + HAMMERING
    trouble: list[BaseException] = []
    done = {"handoffs": 0, "records": 0, "leads": 0, "keys": 0, "tenants": 0}
    lock = threading.Lock()
    with httpx.Client(base_url=base_url) as client:
        before = client.get("/_mock/health").json()["tenants"]
        made = client.post("/_mock/tenants", json={}).json()
    path = f"/_mock/tenants/{made['id']}"
    headers = {"Authorization": f"Bearer {made['keys']['full'][0]}"}

    def hammer(number: int) -> None:
        turn = 0
        try:
            with httpx.Client(base_url=base_url, event_hooks={"response": [checked.check]}, timeout=30) as http:
                while time.monotonic() < ends:
                    turn += 1
                    match (number + turn) % 8:
                        case 0 | 1:
                            ok = http.post(f"/api/v1/leads/{made['leads']['own'][0]}/handoff", headers=headers)
                            count = "handoffs"
                        case 2 | 3:
                            fields = {"email": f"{number}.{turn}@b.test"}
                            body = {"object": "contact", "fields": fields, "idempotency_key": f"{number}.{turn}"}
                            ok = http.post(CREATE, json=body, headers=headers)
                            count = "records"
                        case 4:
                            ok, count = http.post(f"{path}/leads"), "leads"
                        case 5:
                            ok, count = http.post(f"{path}/keys", json={"scopes": []}), "keys"
                        case 6:
                            ok, count = http.post("/_mock/tenants", json={"leads": 1}), "tenants"
                        case _:
                            ok, count = http.post(f"{path}/clock", json={"advance": "1s"}), ""
                            http.get(f"{path}/requests?limit=5")
                            http.get(f"{path}/snapshot")
                    assert ok.is_success, ok.text
                    if count:
                        with lock:
                            done[count] += 1
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert trouble == []
    assert min(done.values()) > 0
    with httpx.Client(base_url=base_url, timeout=30) as http:
        rows = {
            what: len(http.get(f"{path}/{what}").json()["data"])
            for what in ("handoffs", "crm-records", "leads", "keys")
        }
        assert http.get("/_mock/health").json()["tenants"] == before + 1 + done["tenants"]
    assert rows == {
        "handoffs": done["handoffs"],
        "crm-records": done["records"],
        "leads": done["leads"] + len(made["leads"]["own"]),
        "keys": done["keys"] + 7,
    }
