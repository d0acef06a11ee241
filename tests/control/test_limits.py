"""Bounds of the control plane that no other test shows; docs/limits.md lists all."""

from typing import Any

import httpx
import pytest
from tests import checked_client as checked

from vorel_mock.control import guard
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.provisioning import MAX_MAPPED
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Lead
from vorel_mock.model.tenant import MAX_KEYS, MAX_LEADS

Json = dict[str, Any]


def message(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status
    return str(answer.json()["error"]["message"])


def test_keys_and_leads_are_bounded(mock: Mock) -> None:
    with checked.client(mock) as control:
        path = f"/_mock/tenants/{control.post('/_mock/tenants').json()['id']}"
        tenant = mock.store.tenant(path.rpartition("/")[2])
        assert tenant is not None
        key, lead = ApiKey("k", "none", frozenset()), next(iter(tenant.leads.values()))
        tenant.keys.update({f"k{number}": key for number in range(MAX_KEYS - 1 - len(tenant.keys))})
        tenant.leads.update({str(number): lead for number in range(MAX_LEADS - 1 - len(tenant.leads))})
        assert isinstance(lead, Lead)
        bodies: Json = {"keys": {"scopes": []}, "leads": {}}
        for what, body in bodies.items():
            assert control.post(f"{path}/{what}", json=body).status_code == 201
            assert message(control.post(f"{path}/{what}", json=body), 409).startswith(
                f"the tenant already has 10000 {what}, the maximum"
            )


def test_mappings_are_bounded(control: httpx.Client) -> None:
    def make(count: int) -> httpx.Response:
        fields = {f"field_{number}": f"vendor_{number}" for number in range(count)}
        return control.post("/_mock/tenants", json={"crm": {"vendor": "hubspot", "mappings": {"contact": fields}}})

    assert make(MAX_MAPPED).status_code == 201
    assert message(make(MAX_MAPPED + 1), 400) == "crm.mappings.contact: must have at most 1000 fields"


@pytest.mark.parametrize(("path", "bound"), [("/_mock/reset", "MAX_BODY"), ("/_mock/tenants", "MAX_SNAPSHOT")])
def test_a_body_of_the_control_plane_is_bounded(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, path: str, bound: str
) -> None:
    most = 1024 * 1024 * 2  # more than a request to the API may have
    monkeypatch.setattr(guard, bound, most)
    headers = {"Content-Type": "application/json"}
    assert http.post(path, content=b"{}".ljust(most), headers=headers).is_success
    assert message(http.post(path, content=b"{}".ljust(most + 1), headers=headers), 400) == "body: is longer than 2 MiB"
