"""Tenants of other people: a tenant token opens the control plane of its tenant and nothing else, within quotas."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import checked_client as checked

from vorel_mock.control import guard
from vorel_mock.mock.journal.access_log import AccessLog
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.mock.tenant_tokens import TenantTokens
from vorel_mock.server.app import App
from vorel_mock.testing import Control, ControlError, InProcessMock, MockServer
from vorel_mock.testing.transport import MockTransport

Json = dict[str, Any]

TOKEN = "the-token-of-the-operator"
OF_ANOTHER_MOCK = TenantTokens("the-token-of-another-one")
FOR_OWNERS = {"health", "contractDocument", "controlDocument"}
OPERATIONS = [
    (method.upper(), template, operation["operationId"])
    for template, item in checked.document()["paths"].items()
    for method, operation in item.items()
]


class Host:
    """A mock with two tenants, and clients of the operator and of the owner of each."""

    def __init__(self, **settings: Any) -> None:
        given = Settings(**{"control_token": TOKEN, "clock": "frozen", **settings})
        assert given.control_token is not None
        self._app = App(mock := Mock(given))
        self.mock = mock
        self.operator = self.client(given.control_token)
        self.a, self.b = self.make(name="of-a"), self.make(name="of-b")
        self.owner = self.client(self.a["control_token"])

    def client(self, token: str) -> httpx.Client:
        return httpx.Client(
            transport=MockTransport(self._app),
            base_url="http://127.0.0.1:3000",
            event_hooks={"response": [checked.check]},
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )

    def make(self, **wanted: Any) -> Json:
        made = self.operator.post("/_mock/tenants", json=wanted)
        assert made.status_code == 201, made.text
        return dict(made.json())

    def snapshot(self, tenant: Json) -> Json:
        return dict(self.operator.get(f"/_mock/tenants/{tenant['id']}/snapshot").json())


@pytest.fixture(scope="module")
def host() -> Host:
    return Host()


def told(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


def path(template: str, tenant_id: str) -> str:
    return "/_mock" + re.sub(r"\{\w+\}", "x", template.replace("{tenant_id}", tenant_id))


def body(method: str) -> Json:
    return {} if method == "GET" else {"json": {"all": True} if method == "POST" else {}}


def test_each_operation_on_another_tenant_or_on_the_whole_is_refused(host: Host) -> None:
    before = host.snapshot(host.b)
    refused = 0
    for method, template, name in OPERATIONS:
        answer = host.owner.request(method, path(template, host.b["id"]), **body(method))
        if name in FOR_OWNERS:
            assert answer.status_code == 200
            continue
        assert told(answer, 403) == (
            f"Authorization: this token opens /_mock/tenants/{host.a['id']} only; send the control token"
        )
        refused += 1
    assert refused == len(OPERATIONS) - len(FOR_OWNERS) > 60
    assert host.snapshot(host.b) == before
    for page in ("/_mock/", "/_mock/console/requests", f"/_mock/console/tenants/{host.a['id']}", "/_mock/nothing"):
        assert host.owner.get(page).status_code == 403
    assert host.owner.get("/_mock/docs/").status_code == host.owner.get("/_mock/docs/swagger-ui.css").status_code == 200
    assert host.owner.post("/_mock/health", json={}).status_code == 403


def test_each_operation_on_the_own_tenant_is_open(host: Host) -> None:
    own = [each for each in OPERATIONS if "{tenant_id}" in each[1]]
    assert len(own) > 40
    for method, template, name in sorted(own, key=lambda each: each[2] == "deleteTenant"):  # that one is the last
        mine = host.make()
        with host.client(mine["control_token"]) as owner:
            answer = owner.request(method, path(template, mine["id"].upper()), **body(method))
            assert answer.status_code not in (401, 403), f"{name}: {answer.text}"
            assert owner.delete(f"/_mock/tenants/{mine['id']}").status_code in (204, 404)


@given(
    method=st.sampled_from(["GET", "DELETE", "PATCH"]),
    parts=st.lists(st.sampled_from(["A", "B", "..", ".", "", "tenants", "_mock", "keys", "%2e%2e", "%2f", "A/../B"])),
    shout=st.booleans(),
)
def test_no_spelling_of_a_path_leads_to_another_tenant(host: Host, method: str, parts: list[str], shout: bool) -> None:
    a, b = host.a["id"], host.b["id"]
    spelt = "/".join(["/_mock/tenants/A", *parts]).replace("A", a).replace("B", b.upper() if shout else b)
    before = host.snapshot(host.b)
    answer = host.owner.request(method, httpx.URL(host.owner.base_url, raw_path=spelt.encode()), **body(method))
    secrets = ["of-b", *host.b["leads"]["own"], *(token[:22] for token in host.b["keys"]["full"])]
    assert not [secret for secret in secrets if secret in answer.text]
    assert host.snapshot(host.b) == before
    if host.mock.store.tenant(a) is None:  # its owner may delete it
        host.a = host.make()
        host.owner = host.client(host.a["control_token"])


@given(data=st.data())
def test_no_other_token_opens_anything(host: Host, data: st.DataObject) -> None:
    token = str(host.a["control_token"])
    place = data.draw(st.integers(0, len(token) - 1))
    forged = data.draw(
        st.sampled_from(
            [
                token[:place],
                token[:place] + ("0" if token[place] != "0" else "1") + token[place + 1 :],
                token.upper(),
                OF_ANOTHER_MOCK.of(host.a["id"]),
                host.a["keys"]["full"][0],
            ]
        )
    )
    with host.client(forged or "x") as stranger:
        for each in ("/_mock/health", f"/_mock/tenants/{host.a['id']}"):
            assert told(stranger.get(each), 401).startswith("Authorization: is not the control token of this mock")


def test_the_token_is_the_same_after_a_restart_and_goes_with_its_tenant(tmp_path: Path) -> None:
    settings: Json = {"state": tmp_path / "mock.db", "control_token": TOKEN}
    with InProcessMock(**settings) as mock:
        tenant = mock.new_tenant(name="kept")
        token = tenant.control_token
    with InProcessMock(**settings) as mock:
        assert token is not None
        app = mock._app
        owner = Control(app, token)
        assert owner.tenant(tenant.id).settings().name == "kept"
        assert owner.health()["status"] == "ok"
        mock.control.tenant(tenant.id).delete()
        for ask, status in ((owner.health, 401), (lambda: owner.tenant(tenant.id), 404)):
            with pytest.raises(ControlError) as raised:
                ask()
            assert raised.value.status == status
        owner.close()
    with InProcessMock(**{**settings, "control_token": "another-token"}) as mock:
        rotated = Control(mock._app, token)
        with pytest.raises(ControlError, match=r"^401 "):
            rotated.health()
        rotated.close()


def test_a_client_with_a_tenant_token_does_all_that_a_tenant_can() -> None:
    with MockServer(control_token=TOKEN) as mock:
        given_out, other = mock.new_tenant(), mock.new_tenant()
        assert given_out.control_token is not None
        assert given_out.control_token not in repr(given_out.control_token)
        with Control(mock.base_url, given_out.control_token) as owner:
            tenant = owner.tenant(given_out.id)
            assert (tenant.keys, tenant.leads, tenant.control_token) == (
                given_out.keys,
                given_out.leads,
                given_out.control_token,
            )
            httpx.post(f"{mock.base_url}/api/v1/leads/{tenant.lead}/handoff", headers=tenant.headers)
            assert tenant.requests.count(status=200) == len(tenant.handoffs()) == 1
            tenant.faults.arm("internal_error")
            tenant.clock.advance("61s")
            tenant.reset()
            for ask in (lambda: owner.tenant(other.id), owner.tenants, owner.new_tenant, owner.reset, tenant.fork):
                with pytest.raises(ControlError, match=r"^403 forbidden: Authorization: this token opens"):
                    ask()
    with InProcessMock() as open_mock:
        assert open_mock.new_tenant().control_token is None


def test_a_tenant_token_is_shown_nowhere(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    log: AccessLog = host.mock.log
    monkeypatch.setattr(log, "_put", said.append)
    monkeypatch.setattr(log, "_running", True)
    token = host.make()["control_token"]
    encoded = quote(token).replace("_", "%5F")
    for sent in (token, encoded):
        host.owner.post(
            f"/{sent}?token={sent}", headers={"X-Token": sent, "Authorization": f"Bearer {sent}"}, json={"x": sent}
        )
    shown = host.operator.get("/_mock/requests").text + host.operator.get("/_mock/requests.har").text
    proof = token[-48:]
    assert proof not in shown + json.dumps(said, default=str)
    assert "[redacted]" in shown


def secrets_of_a_fork(host: Host) -> set[str]:
    made = host.make(fork=host.mock.fixtures[0].id)
    with host.client(made["control_token"]) as owner:
        place = f"/_mock/tenants/{made['id']}"
        keys = [owner.post(f"{place}/keys", json={"scopes": []}).json()["token"] for _ in range(2)]
        wanted = {"target_url": "http://localhost:9/", "events": ["lead.created"]}
        webhooks = [owner.post(f"{place}/webhooks", json=wanted).json()["secret"] for _ in range(2)]
        assert len({*keys, *webhooks}) == 4
        return {*made["keys"]["full"], *keys, *webhooks}


def test_keys_of_tenants_cannot_be_reckoned_from_the_seed() -> None:
    """Whoever has a tenant can find the seed of the mock, which has 32 bits, by trying."""
    one, same, other = (Host(seed=1, control_token=each) for each in (TOKEN, TOKEN, "another-token"))
    with InProcessMock(seed=1) as plain:
        known = plain.new_tenant()
        assert (known.id, known.key) != (one.a["id"], one.a["keys"]["full"][0])
        assert known.id == one.a["id"] == other.a["id"]
    assert one.a == same.a, "the same seed and the same control token give the same"
    assert one.a["keys"] != other.a["keys"]
    assert one.a["leads"]["own"] != other.a["leads"]["own"]
    assert one.snapshot(one.a)["ids"]["seed"] not in (1, one.snapshot(one.b)["ids"]["seed"])
    first, again, elsewhere = (secrets_of_a_fork(host) for host in (one, same, other))
    assert first == again
    assert not first & elsewhere
    assert not first & secrets_of_a_fork(one), "two forks of one share their stream of ids"
    forks = [host.make(fork=host.a["id"])["keys"]["full"] for host in (one, other)]
    assert forks[0] != forks[1]


@pytest.fixture
def full() -> Host:
    return Host(max_tenants=2, tenant_ttl="1h", rate_limit=100, tenant_rate_limit=0)


def test_there_are_so_many_tenants_and_no_more(full: Host) -> None:
    message = (
        "this mock takes 2 tenants at most (--max-tenants), and there are as many; delete some, or give them a ttl"
    )
    for wanted in ({}, {"fork": full.a["id"]}, {"snapshot": full.snapshot(full.a), "keys": "fresh"}):
        assert told(full.operator.post("/_mock/tenants", json=wanted), 409) == message
    assert full.owner.delete(f"/_mock/tenants/{full.a['id']}").status_code == 204
    full.make()
    assert len(full.operator.get("/_mock/tenants").json()["data"]) == 2 + len(full.mock.fixtures)


def test_a_tenant_has_a_ttl_and_no_longer_one(full: Host) -> None:
    place = f"/_mock/tenants/{full.a['id']}"
    assert full.owner.get(place).json()["ttl"] == "3600s"
    full.operator.delete(f"/_mock/tenants/{full.b['id']}")
    assert told(full.operator.post("/_mock/tenants", json={"ttl": "2h"}), 400) == "ttl: must be 1s to 3600s"
    assert told(full.owner.patch(place, json={"ttl": "61m"}), 400) == "ttl: must be 1s to 3600s"
    assert full.owner.patch(place, json={"ttl": "1m"}).json()["ttl"] == "60s"
    assert full.owner.patch(place, json={"name": "x"}).json()["ttl"] == "60s"
    assert full.owner.patch(place, json={"ttl": None}).json()["ttl"] == "3600s"
    demo = f"/_mock/tenants/{full.mock.fixtures[0].id}"
    assert full.operator.patch(demo, json={"ttl": None}).json()["ttl"] is None


def test_an_owner_lowers_limits_and_does_not_raise_them(full: Host) -> None:
    place = f"/_mock/tenants/{full.a['id']}"
    snapshot = full.snapshot(full.a)
    message = "rate_limit: with a tenant token, it can be from 1 to 100; only the operator can set another"
    for wanted in (0, 101):
        assert told(full.owner.patch(place, json={"rate_limit": wanted}), 403) == message
        wrong = {**snapshot, "rate_limit": wanted}
        assert told(full.owner.put(f"{place}/snapshot", json=wrong), 403) == message
        large = json.dumps({**wrong, "name": "x"}).encode().ljust(1024 * 1024 + 1)  # is read in batches
        headers = {"Content-Type": "application/json"}
        assert told(full.owner.put(f"{place}/snapshot", content=large, headers=headers), 403) == message
    assert full.owner.put(f"{place}/snapshot", json={**snapshot, "rate_limit": "x"}).status_code == 400
    assert full.owner.patch(place, json={"rate_limit": 7, "tenant_rate_limit": 10**9}).json()["rate_limit"] == 7
    assert full.owner.patch(place, json={"rate_limit": None}).json()["rate_limit"] == 100
    assert full.owner.put(f"{place}/snapshot", json=snapshot).status_code == 204
    assert full.operator.patch(place, json={"rate_limit": 101}).status_code == 200


def test_the_snapshot_of_an_owner_is_bounded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_OWN_SNAPSHOT", 2 * 1024 * 1024)
    content = json.dumps(host.snapshot(host.a)).encode().ljust(2 * 1024 * 1024)
    headers = {"Content-Type": "application/json"}
    place = f"/_mock/tenants/{host.a['id']}/snapshot"
    assert host.owner.put(place, content=content, headers=headers).status_code == 204
    assert told(host.owner.put(place, content=content + b" ", headers=headers), 400) == "body: is longer than 2 MiB"
    assert host.operator.put(place, content=content + b" ", headers=headers).status_code == 204


def test_no_webhook_goes_to_the_machine_of_a_sandbox() -> None:
    host = Host(no_loopback_webhooks=True, webhook_hosts=("partner.test", "127.0.0.2:8080"))
    place = f"/_mock/tenants/{host.a['id']}"

    def subscribed(url: str) -> httpx.Response:
        return host.owner.post(f"{place}/webhooks", json={"target_url": url, "events": ["lead.created"]})

    for here in ("localhost:6379", "127.0.0.1", "[::1]:6379", "127.0.0.2:8081", "LOCALHOST"):
        assert told(subscribed(f"http://{here}/"), 400).endswith(
            f"unless the mock's operator allows it: --webhook-host {here.lower()}"
            + (":80" if here[-1] in "1T" and ":80" not in here else "")
        ), here
    webhook = subscribed("http://127.0.0.2:8080/")
    assert webhook.status_code == 201
    assert subscribed("https://partner.test/").status_code == 201
    changed = host.owner.patch(f"{place}/webhooks/{webhook.json()['id']}", json={"target_url": "http://localhost/"})
    assert changed.status_code == 400
    snapshot = host.snapshot(host.a)
    snapshot["webhooks"][0]["target_url"] = "http://localhost:6379/"
    assert "is the machine of the mock" in told(host.owner.put(f"{place}/snapshot", json=snapshot), 400)
