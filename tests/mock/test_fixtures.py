"""Fixtures from a file: what becomes of them, over HTTP, and what is said of files that are wrong."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from tests import checked_client as checked

from vorel_mock.contract import contract
from vorel_mock.mock import demo, snapshot
from vorel_mock.mock.fixtures import Fixtures, FixturesError, reading, rows
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.testing import InProcessMock, MockServer

Json = dict[str, Any]

TENANT = "5a0b0000-7e4a-4000-8000-000000000000"
OTHER = "5a0b0001-7e4a-4000-8000-000000000000"
LEAD = "5a0b0000-1ead-4000-8000-000000000001"
TOKEN = "vapk_test_" + "0123456789abcdef" * 3

#: Each member of a file at least once.
SHOP = f"""
# A shop with a receiver.
seed = 7
clock = 2030-01-01T00:00:00Z
rate_limit = 20

[[tenants]]
id = "{TENANT}"
name = "shop"
story = "a shop with a receiver"
crm = {{ vendor = "salesforce", account = "acme", mappings = {{ contact = {{ shoe_size = "Shoe__c" }} }} }}
notified_channel = "slack"
rate_limit = 3
tenant_rate_limit = 0
webhook_timeout = "2s"
seed = 11
clock = "2031-06-01T12:00:00Z"
keys = [
  {{ id = "mine", token = "{TOKEN}" }},
  {{ id = "leads", scopes = ["leads:write"] }},
  {{ id = "old", scopes = "createCrmRecord", revoked = true }},
]

[[tenants.leads]]
id = "{LEAD}"
name = "Ann Lee"

[[tenants.leads]]
conversation_status = "closed"

[[tenants.handoffs]]
lead_id = "{LEAD}"
reason = "no-response-7d"
requested_at = 2029-12-31T10:00:00Z

[[tenants.crm_records]]
object = "contact"
fields = {{ last_name = "Lee", shoe_size = 38 }}
idempotency_key = "first"

[[tenants.webhooks]]
target_url = "http://127.0.0.1:9/hooks"
secret = "whsec_of_my_own"
events = ["booking.created"]
held = true

[[tenants.faults]]
fault = "rate_limited"
operation = "createCrmRecord"
after = 2
retry_after = "5s"

[[tenants.faults]]
fault = "latency"
every = 3
delay = "10ms"

[[tenants.stubs]]
request = {{ operation = "createCrmRecord", key = "mine", body = {{ "/fields/shoe_size" = 46 }}, nth = 2 }}
response = {{ status = 403, body = {{ error = {{ code = "forbidden", message = "no" }} }} }}

[[tenants]]
name = "small"
leads = 1
keys = {{ full = 1, burst = 0 }}
crm = "none"
"""


def write(folder: Path, text: str, name: str = "shop.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., httpx.Client]]:
    """Start a mock with a file of this text."""
    with ExitStack() as stack:

        def start(text: str, name: str = "shop.toml", **settings: Any) -> httpx.Client:
            path = write(tmp_path, text, name)
            return stack.enter_context(checked.client(Mock(Settings(fixtures=path, **settings))))

        yield start


def data(http: httpx.Client, what: str, tenant: str = TENANT) -> list[Json]:
    return list(http.get(f"/_mock/tenants/{tenant}/{what}").json()["data"])


def handoff(http: httpx.Client, token: str = TOKEN, lead: str = LEAD) -> httpx.Response:
    return http.post(f"/api/v1/leads/{lead}/handoff", headers={"Authorization": f"Bearer {token}"})


# -- what a file can say


def test_each_member_of_a_file_counts(started: Callable[..., httpx.Client]) -> None:
    http = started(SHOP)
    health = http.get("/_mock/health").json()
    assert (health["seed"], health["clock"]["now"], health["tenants"]) == (7, "2030-01-01T00:00:00.000Z", 2)
    shown = http.get(f"/_mock/tenants/{TENANT}").json()
    assert shown == {
        "id": TENANT,
        "name": "shop",
        "crm": {
            "vendor": "salesforce",
            "account": "acme",
            "mappings": {"contact": {"shoe_size": "Shoe__c"}},
            "failure": None,
        },
        "notified_channel": "slack",
        "rate_limit": 3,
        "tenant_rate_limit": 0,
        "webhook_timeout": "2s",
        "clock": {"now": "2031-06-01T12:00:00.000Z", "frozen": True},
        "ttl": None,
        "expires_in": None,
    }
    assert [(key["id"], key["revoked"]) for key in data(http, "keys")] == [
        ("mine", False),
        ("leads", False),
        ("old", True),
    ]
    assert [key["scopes"] for key in data(http, "keys")[1:]] == [["leads:write"], ["crm:write"]]
    leads = data(http, "leads")
    assert [(lead["name"], lead["conversation_status"]) for lead in leads] == [
        ("Ann Lee", "awaiting_human"),
        ("", "closed"),
    ]
    (row,) = data(http, "handoffs")
    assert (row["lead_id"], row["reason"], row["summary"]) == (LEAD, "no-response-7d", "No summary provided.")
    (audited,) = data(http, "audit-log")
    assert (audited["handoff_id"], audited["at"]) == (row["id"], "2029-12-31T10:00:00.000Z")
    (record,) = data(http, "crm-records")
    assert record["vendor_fields"]["Shoe__c"] == 38
    assert record["record_url"].startswith("https://acme.my.salesforce.com/")
    (webhook,) = data(http, "webhooks")
    assert (webhook["held"], webhook["events"], data(http, "deliveries")) == (True, ["booking.created"], [])
    exported = http.get(f"/_mock/tenants/{TENANT}/snapshot").json()
    assert exported["webhooks"][0]["secret"] == "whsec_of_my_own"
    limited, slow = data(http, "faults")
    assert (limited["next"], limited["after"], limited["retry_after"]) == (1, 2, "5s")
    assert (slow["next"], slow["every"], slow["delay"]) == (None, 3, "0.01s")
    (stub,) = data(http, "stubs")
    assert stub["request"]["body"] == {"/fields/shoe_size": 46}
    assert (stub["request"]["nth"], stub["times"], stub["response"]["status"]) == (2, 1, 403)


def test_it_is_answered_as_any_tenant(started: Callable[..., httpx.Client]) -> None:
    http = started(SHOP.replace('operation = "createCrmRecord"\n', ""))
    statuses = [handoff(http).status_code for _ in range(5)]
    assert statuses == [200, 200, 429, 200, 429], "the fault after two, then the limit of three"
    again = http.post(
        "/api/v1/crm/create-record",
        headers={"Authorization": f"Bearer {TOKEN}"},
        json={"object": "contact", "fields": {"last_name": "Lee", "shoe_size": 38}, "idempotency_key": "first"},
    )
    assert again.status_code == 429
    http.post(f"/_mock/tenants/{TENANT}/clock", json={"advance": "61s"})
    again = http.post(
        "/api/v1/crm/create-record",
        headers={"Authorization": f"Bearer {TOKEN}"},
        json={"object": "contact", "fields": {"last_name": "Lee", "shoe_size": 38}, "idempotency_key": "first"},
    )
    assert again.json()["external_id"] == data(http, "crm-records")[0]["external_id"], "the record was there already"


def test_two_lines_are_enough_and_give_the_same_each_time(started: Callable[..., httpx.Client]) -> None:
    text = '[[tenants]]\nname = "shop"\n'
    targets = [started(text).get("/_mock/target").json() for _ in range(2)]
    assert targets[0] == targets[1], "also without a seed"
    target = targets[0]
    assert (len(target["keys"]["full"]), len(target["leads"]["own"])) == (2, 3)
    assert set(target["keys"]) == {"full", "burst", "read_only", "leads_only", "crm_only", "revoked"}
    assert [tenant["story"] for tenant in target["tenants"]] == ["shop"]
    assert handoff(started(text), target["keys"]["full"][0], target["leads"]["own"][0]).status_code == 200


def test_what_is_in_front_of_a_tenant_does_not_change_it(started: Callable[..., httpx.Client]) -> None:
    alone = started('[[tenants]]\nname = "shop"\n').get("/_mock/target").json()["tenants"][0]
    others = '[[tenants]]\n[[tenants]]\nname = "other"\n[[tenants]]\nname = "shop"\n[[tenants]]\nname = "shop"\n'
    tenants = started(others).get("/_mock/target").json()["tenants"]
    assert tenants[2] == alone
    assert len({tenant["id"] for tenant in tenants}) == len({tenant["key"] for tenant in tenants}) == 4


@pytest.mark.parametrize("name", ["shop.yaml", "shop.YML", "shop.json"])
def test_the_formats_say_the_same(tmp_path: Path, name: str) -> None:
    import tomllib

    content = reading._without_times(tomllib.loads(SHOP))
    text = json.dumps(content, indent="\t") if name.endswith("json") else yaml.safe_dump(content, sort_keys=False)
    mocks = [Mock(Settings(fixtures=write(tmp_path, *each))) for each in ((SHOP, "shop.toml"), (text, name))]
    for one, other in zip(*(mock.fixtures for mock in mocks), strict=True):
        assert snapshot.dump(one) == snapshot.dump(other)


def test_keys_with_ids_of_their_own_are_found_by_what_they_may_do(started: Callable[..., httpx.Client]) -> None:
    target = started(SHOP).get("/_mock/target").json()
    assert target["keys"]["full"] == [TOKEN]
    assert target["leads"]["own"][0] == LEAD


def test_the_demo_tenants_can_stay(started: Callable[..., httpx.Client]) -> None:
    http = started("demo = true\n" + SHOP)
    tenants = http.get("/_mock/target").json()["tenants"]
    assert [tenant["name"] for tenant in tenants][:1] + [tenant["name"] for tenant in tenants][-2:] == [
        "demo-hubspot",
        "shop",
        "small",
    ]
    assert handoff(http, demo.token(2, 1, 1), demo.lead_id(2, 1)).status_code == 200
    assert handoff(http).status_code == 200


def test_demo_tenants_alone_are_what_there_is_without_a_file(started: Callable[..., httpx.Client]) -> None:
    with checked.client(Mock(Settings())) as http:
        assert started("demo = true\n").get("/_mock/target").json() == http.get("/_mock/target").json()


def test_the_demo_tenants_are_what_profiles_and_documents_name(control: httpx.Client) -> None:
    target = control.get("/_mock/target").content
    assert sha256(target).hexdigest() == "63cacaf7b6a48d310484e3ae104fd7ad212511475d3dd726fd9903b42e4e5cc3"
    first = json.loads(target)
    assert first["keys"]["full"] == [demo.token(1, 1, number) for number in range(1, demo.FULL_KEYS + 1)]
    assert first["leads"]["own"][0] == demo.lead_id(1, 1)


@pytest.mark.parametrize(
    ("settings", "seed", "now", "limit"),
    [
        ({}, 7, "2030-01-01T00:00:00.000Z", 20),
        ({"seed": 5, "clock": "frozen", "rate_limit": 0}, 5, "2026-01-01T00:00:00.000Z", 0),
        ({"rate_limit": 200}, 7, "2030-01-01T00:00:00.000Z", 200),
    ],
)
def test_settings_win_over_those_in_the_file(
    started: Callable[..., httpx.Client], settings: Json, seed: int, now: str, limit: int
) -> None:
    http = started(SHOP, **settings)
    health = http.get("/_mock/health").json()
    assert (health["seed"], health["clock"]["now"]) == (seed, now)
    made = http.post("/_mock/tenants").json()
    shown = http.get(f"/_mock/tenants/{made['id']}").json()
    assert (shown["rate_limit"], shown["tenant_rate_limit"]) == (limit, 5000)


def test_tests_can_begin_with_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, SHOP)
    with InProcessMock(fixtures=str(path)) as mock, MockServer(fixtures=path) as server:
        assert mock.control.target()["tenants"] == server.control.target()["tenants"]
    with pytest.raises(TypeError, match=r"fixtures: must be a path, not int 5"):
        Settings(fixtures=5)  # type: ignore[arg-type] # that is what is tested
    with pytest.raises(FixturesError, match="cannot be read: No such file"):
        Mock(Settings(fixtures=tmp_path / "none.toml"))


# -- reset and reload


def test_a_tenant_is_reset_to_its_fixtures(started: Callable[..., httpx.Client]) -> None:
    http = started(SHOP)
    before = http.get(f"/_mock/tenants/{TENANT}/snapshot").json()
    for _ in range(2):
        assert handoff(http).status_code == 200
    http.delete(f"/_mock/tenants/{TENANT}/faults")
    http.delete(f"/_mock/tenants/{TENANT}/keys/mine")
    assert http.post(f"/_mock/tenants/{TENANT}/reset").status_code == 204
    after = http.get(f"/_mock/tenants/{TENANT}/snapshot").json()
    after["ids"] = before["ids"]
    assert after == before


def test_it_cannot_be_deleted_and_has_no_ttl(started: Callable[..., httpx.Client]) -> None:
    http = started(SHOP)
    for answer in (
        http.delete(f"/_mock/tenants/{TENANT}"),
        http.patch(f"/_mock/tenants/{TENANT}", json={"ttl": "5m"}),
    ):
        assert answer.status_code == 409
        assert "is a tenant of the fixtures" in answer.json()["error"]["message"]
    assert http.post("/_mock/tenants", json={"fork": TENANT, "ttl": "5m"}).status_code == 201


def test_a_reset_reads_the_file_again(started: Callable[..., httpx.Client], tmp_path: Path) -> None:
    http = started(SHOP)
    made = http.post("/_mock/tenants").json()
    small = http.get("/_mock/target").json()["tenants"][1]
    changed = SHOP.replace('name = "small"', f'id = "{OTHER}"\nname = "new"').replace(
        "rate_limit = 20", "rate_limit = 9"
    )
    write(
        tmp_path,
        changed.replace("Ann Lee", "Ann Smith").replace(TOKEN, "vapk_live_" + "f" * 48),
    )
    http.post("/_mock/clock", json={"advance": "1d"})
    assert http.post("/_mock/reset").status_code == 204
    assert [tenant["id"] for tenant in http.get("/_mock/target").json()["tenants"]] == [TENANT, OTHER]
    assert http.get(f"/_mock/tenants/{small['id']}").status_code == 404
    assert handoff(http, small["key"], small["lead"]).status_code == 401
    assert handoff(http).status_code == 401
    assert handoff(http, "vapk_live_" + "f" * 48).status_code == 200
    assert data(http, "leads")[0]["name"] == "Ann Smith"
    assert http.get(f"/_mock/tenants/{TENANT}").json()["clock"]["now"] == "2031-06-02T12:00:00.000Z", "forward only"
    assert http.get(f"/_mock/tenants/{made['id']}").status_code == 200, "who was made stays"
    fresh = http.post("/_mock/tenants").json()["id"]
    assert http.get(f"/_mock/tenants/{fresh}").json()["rate_limit"] == 9


def test_a_broken_file_leaves_everything_as_it_is(started: Callable[..., httpx.Client], tmp_path: Path) -> None:
    http = started(SHOP)
    assert handoff(http).status_code == 200
    before = http.get(f"/_mock/tenants/{TENANT}/snapshot").json()
    for broken in (SHOP.replace('name = "shop"', 'nmae = "shop"'), SHOP.replace("leads = 1", "leads ="), ""):
        path = write(tmp_path, broken)
        answer = http.post("/_mock/reset", json={"all": True})
        assert answer.status_code == 409
        assert str(path) in answer.json()["error"]["message"]
        assert http.get(f"/_mock/tenants/{TENANT}/snapshot").json() == before
    path.unlink()
    assert http.post("/_mock/reset").status_code == 409
    write(tmp_path, SHOP)
    assert http.post("/_mock/reset").status_code == 204
    assert len(data(http, "handoffs")) == 1


def test_a_reset_takes_nothing_from_a_tenant_that_was_made(
    started: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    http = started(SHOP)
    made = http.post("/_mock/tenants").json()
    for taken in (
        SHOP.replace(TENANT, made["id"]),
        SHOP.replace(TOKEN, made["keys"]["full"][0]),
    ):
        write(tmp_path, taken)
        answer = http.post("/_mock/reset")
        assert answer.status_code == 409
        assert made["id"] in answer.json()["error"]["message"]
        assert handoff(http).status_code == 200
    assert http.post("/_mock/reset", json={"all": True}).status_code == 204
    assert handoff(http, made["keys"]["full"][0]).status_code == 200


def test_tokens_can_move_between_tenants(started: Callable[..., httpx.Client], tmp_path: Path) -> None:
    two = '[[tenants]]\nname = "{}"\nleads = [{{ id = "{}" }}]\nkeys = [{{ id = "k", token = "{}" }}]\n'
    tokens = [f"vapk_live_{digit * 48}" for digit in "abc"]
    leads = [LEAD, LEAD.replace("5a", "5b"), LEAD.replace("5a", "5c")]
    http = started("".join(two.format(*each) for each in zip("xyz", leads, tokens, strict=True)))
    moved = [tokens[1], tokens[2], tokens[0]]
    write(tmp_path, "".join(two.format(*each) for each in zip("xyw", leads, moved, strict=True)))
    assert http.post("/_mock/reset").status_code == 204
    assert [handoff(http, token, lead).status_code for token, lead in zip(moved, leads, strict=True)] == [200] * 3


# -- what is said of a file that is wrong

#: What is wrong in the text of SHOP, and what is said of it; the line is that of the replaced text.
MISTAKES: dict[str, tuple[str, str, str]] = {
    "unknown member": ('name = "shop"', 'nmae = "shop"', 'unknown field "tenants[0].nmae"; did you mean "name"?'),
    "unknown setting": ("seed = 7", "sed = 7", 'unknown field "sed"; did you mean "seed"?'),
    "seed": ("seed = 7", 'seed = "7"', "seed: must be a whole number or null"),
    "clock": ("clock = 2030-01-01T00:00:00Z", 'clock = "noon"', "clock: 'noon' is not an RFC 3339 timestamp"),
    "local time": ("clock = 2030-01-01T00:00:00Z", "clock = 2030-01-01T00:00:00", "it has no offset from UTC; or use"),
    "id": (f'id = "{TENANT}"', 'id = "shop-1"', "tenants[0].id: must be a UUID in lower case"),
    "limit": ("rate_limit = 3\n", "rate_limit = -3\n", "tenants[0].rate_limit: must be at least 0"),
    "channel": ('"slack"', '"slak"', "tenants[0].notified_channel: must be one of "),
    "vendor": ('vendor = "salesforce"', 'vendor = "salesfroce"', "tenants[0].crm.vendor: must be one of hubspot, "),
    "object of a mapping": (
        "mappings = { contact",
        "mappings = { person",
        "tenants[0].crm.mappings.person: salesforce ",
    ),
    "timeout": ('"2s"', '"2h"', "tenants[0].webhook_timeout: must be 0.001s to 3600s"),
    "tenant's clock": ('"2031-06-01T12:00:00Z"', '"now"', "tenants[0].clock: 'now' is not an RFC 3339 timestamp"),
    "shape of a token": (
        TOKEN,
        "sk_live_1",
        "tenants[0].keys[0].token: has not the shape of a key, vapk_<env>_<48-hex>",
    ),
    "scope": ('["leads:write"]', '["leads:wirte"]', "tenants[0].keys[1].scopes[0]: must be one of "),
    "scopes in short": ('"createCrmRecord", revoked', '"al", revoked', "tenants[0].keys[2].scopes: must be one of all"),
    "id of a key": ('id = "leads"', 'id = "le ads"', "tenants[0].keys[1].id: must be 1 to 64 letters, digits, _ and -"),
    "key without an id": ('id = "leads", scopes', "scopes", "tenants[0].keys[1].id: is required"),
    "key that is twice": ('id = "leads"', 'id = "mine"', "tenants[0].keys[1].id: is that of an earlier row as well"),
    "lead of a handoff": (
        f'lead_id = "{LEAD}"',
        f'lead_id = "{OTHER}"',
        "tenants[0].handoffs[0].lead_id: the tenant has no",
    ),
    "time": (
        "requested_at = 2029-12-31T10:00:00Z",
        "requested_at = 1",
        "tenants[0].handoffs[0].requested_at: must be an",
    ),
    "object of a record": (
        'object = "contact"',
        'object = "cat"',
        "tenants[0].crm_records[0].object: must be one of contact",
    ),
    "fields of a record": (
        "last_name =",
        "first_name =",
        "tenants[0].crm_records[0].fields: the CRM would not take them: `last_n",
    ),
    "secret": ('"whsec_of_my_own"', '"two words"', "tenants[0].webhooks[0].secret: must be visible ASCII characters"),
    "empty secret": ('"whsec_of_my_own"', '""', "tenants[0].webhooks[0].secret: is too short; it must have at least 8"),
    "event": ('["booking.created"]', '["booking.creatd"]', "tenants[0].webhooks[0].events[0]: is none of the allowed"),
    "target": (
        "http://127.0.0.1:9/hooks",
        "http://example.com/",
        "tenants[0].webhooks[0].target_url: example.com is not on",
    ),
    "fault": (
        'fault = "rate_limited"',
        'fault = "rate_limit"',
        "tenants[0].faults[0].fault: is none of the allowed names",
    ),
    "operation": (
        'operation = "createCrmRecord"',
        'operation = "x"',
        "tenants[0].faults[0].operation: must be one of hand",
    ),
    "option of a fault": (
        'delay = "10ms"',
        'retry_after = "1s"',
        "tenants[0].faults[1].retry_after: latency tells no time",
    ),
    "key of a stub": ('key = "mine", body', 'key = "mien", body', "tenants[0].stubs[0].request.key: must be"),
    "response of a stub": (
        "status = 403",
        "status = 404",
        "tenants[0].stubs[0].response.status: the contract declares no 404 for createCrmRecord",
    ),
    "member of a stub": (
        'request = { operation = "createCrmRecord"',
        'request = { operations = "createCrmRecord"',
        'unknown field "tenants[0].stubs[0].request.operations"; did you mean "operation"?',
    ),
    "count": ("leads = 1\n", "leads = -1\n", "tenants[1].leads: must be at least 0"),
    "kind of key": ("full = 1,", "ful = 1,", 'unknown field "tenants[1].keys.ful"; did you mean "full"?'),
    "crm in short": ('crm = "none"', 'crm = "hubspo"', "tenants[1].crm: must be one of hubspot, "),
    "seed and ids": (
        "seed = 11\n",
        'seed = 11\nids = { seed = 1, stream = "x", drawn = 0 }\n',
        "tenants[0].seed: goes without",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_file_line_and_member(tmp_path: Path, mistake: str) -> None:
    right, wrong, said = MISTAKES[mistake]
    assert right in SHOP
    text = SHOP.replace(right, wrong, 1)
    path = write(tmp_path, text)
    with pytest.raises(FixturesError) as raised:
        Mock(Settings(fixtures=path))
    (problem,) = raised.value.problems
    line = SHOP[: SHOP.index(right)].count("\n") + 1
    where, _, what = problem.partition(": ")
    assert what.startswith(said) or said in what
    assert where == f"{path}:{line}", problem


@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
def test_all_mistakes_are_told_at_once_with_the_lines_of_each_format(tmp_path: Path, suffix: str) -> None:
    content = {
        "sed": 1,
        "tenants": [
            {"name": "a", "keys": [{"id": "x"}, {"id": "y", "scopes": ["leads:wirte"]}]},
            {"name": "b", "leads": [{"id": LEAD, "nmae": "Ann"}]},
            {"name": "c", "leads": "three"},
        ],
    }
    toml = (
        'sed = 1\n[[tenants]]\nname = "a"\n[[tenants.keys]]\nid = "x"\n[[tenants.keys]]\nid = "y"\n'
        'scopes = [\n  "leads:wirte"\n]\n[[tenants]]\nname = "b"\nleads = [\n  { id = "'
        + LEAD
        + '",\n    nmae = "Ann" },\n'
        ']\n[[tenants]]\nname = "c"\nleads = "three"\n'
    ).replace('",\n    nmae', '", nmae')
    text = {
        "toml": toml,
        "yaml": "# a\n" + yaml.safe_dump(content, sort_keys=False),
        "json": json.dumps(content, indent="\t"),
    }[suffix]
    path = write(tmp_path, text, f"x.{suffix}")
    with pytest.raises(FixturesError) as raised:
        Mock(Settings(fixtures=path))
    marks = ("sed", "leads:wirte", "nmae", "three")
    lines = [text[: text.index(mark)].count("\n") + 1 for mark in marks]
    assert [problem.split(": ")[0] for problem in raised.value.problems] == [f"{path}:{line}" for line in lines]
    assert [problem.partition(": ")[2].partition(":")[0].partition(";")[0] for problem in raised.value.problems] == [
        'unknown field "sed"',
        "tenants[0].keys[1].scopes[0]",
        'unknown field "tenants[1].leads[0].nmae"',
        "tenants[2].leads",
    ]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (f'id = "{TENANT}"', f'id = "{TENANT}"', "tenants[1].id: is that of tenants[0].id as well"),
        (
            f'keys = [{{ id = "a", token = "{TOKEN}" }}]',
            f'keys = [{{ id = "b", token = "{TOKEN}" }}]',
            "tenants[1].keys[0].token: is that of tenants[0].keys[0].token as well",
        ),
        (
            f'leads = [{{ id = "{LEAD}" }}]',
            f'leads = [{{}}, {{ id = "{LEAD}" }}]',
            "tenants[1].leads[1].id: is that of tenants[0].leads[0].id as well",
        ),
    ],
)
def test_two_tenants_share_nothing(tmp_path: Path, one: str, other: str, said: str) -> None:
    path = write(tmp_path, f"[[tenants]]\n{one}\n[[tenants]]\n{other}\n")
    with pytest.raises(FixturesError) as raised:
        Mock(Settings(fixtures=path))
    assert raised.value.problems == (f"{path}:4: {said}",)


def test_a_tenant_of_the_file_is_none_of_the_demo_tenants(tmp_path: Path) -> None:
    path = write(tmp_path, f'demo = true\n[[tenants]]\nkeys = [{{ id = "a", token = "{demo.token(1, 1, 1)}" }}]\n')
    with pytest.raises(
        FixturesError, match=r"x\.toml:3: .* is that of demo\.tenants\[0\]\.keys\[0\]\.token as well"
    ) as raised:
        Mock(Settings(fixtures=path.rename(tmp_path / "x.toml")))
    assert demo.token(1, 1, 1) not in str(raised.value), "no message shows a key"


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("a.toml", b"", ":1: tenants: is required, with one tenant at least; or say demo = true"),
        ("a.toml", b"tenants = []", ":1: tenants: is required, with one tenant at least"),
        (
            "a.toml",
            b'\n[tenants]\nname = "x"',
            ":2: tenants: must be a list; in TOML, begin each tenant with [[tenants]]",
        ),
        ("a.toml", b"tenants = [1]", ":1: tenants[0]: must be an object"),
        ("a.toml", b"\n\nx = ", ":3: is not TOML: "),
        ("a.toml", b"a = 1\na = 2", "is not TOML: Cannot overwrite a value"),
        ("a.toml", b"a = inf", "holds a number beyond what a double can be"),
        ("a.toml", b"a = " + b"[" * 5000 + b"]" * 5000, "nests too deep"),
        ("a.toml", b"a = 1\n\xff", ":2: is not UTF-8 text: byte 6"),
        ("a.yaml", b"", ": is empty"),
        ("a.yaml", b"- 1", ": must be an object with a list `tenants`"),
        ("a.yaml", b"a: 1\nb: [", "is not YAML: "),
        ("a.yaml", b"a: &a [1]\nb: &b [*a,*a]\nc: *d", "is not YAML: "),
        ("a.yaml", b"a: 1\na: 2", ":2: is not YAML: the key 'a' is a duplicate"),
        ("a.json", b"", ": is not JSON: "),
        ("a.json", b'{\n"a": 1,}', ":2: is not JSON: "),
        ("a.json", b"null", ": is empty"),
        ("a.json", b"\x00", "is not JSON: "),
        ("a.json", b'{"tenants": [{"name": "\\ud800"}]}', "has a lone surrogate (\\ud800 to \\udfff) in a text"),
        ("a.yaml", b'tenants: [{"name": "\\ud800"}]', ":1: is not YAML: "),
        ("a.ini", b"", ": its name must end in .toml, .yaml, .yml or .json"),
        ("a", b"", ": its name must end in .toml, .yaml, .yml or .json"),
    ],
)
def test_what_is_no_file_of_fixtures_is_told_so(tmp_path: Path, name: str, raw: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(FixturesError) as raised:
        Mock(Settings(fixtures=path))
    (problem,) = raised.value.problems
    assert problem.startswith(str(path))
    assert said in problem


def test_a_folder_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "a.toml").mkdir()
    with pytest.raises(FixturesError, match=r"a\.toml: cannot be read: Is a directory"):
        Mock(Settings(fixtures=tmp_path / "a.toml"))


def test_a_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with path.open("wb") as file:
        file.truncate(reading.MAX_FILE + 1)
    with pytest.raises(FixturesError, match="is larger than 16 MiB, which is the most"):
        Mock(Settings(fixtures=path))


def test_what_yaml_aliases_make_of_a_file_is_bounded(tmp_path: Path) -> None:
    long = f"a: &a {'x' * 1024**2}\nb: [{', '.join(['*a'] * 17)}]\n"
    with pytest.raises(FixturesError, match="holds more than 16 MiB of text, YAML aliases written out"):
        Mock(Settings(fixtures=write(tmp_path, long, "a.yaml")))
    many = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{after}: &{after} [{','.join([f'*{before}'] * 10)}]\n" for before, after in itertools.pairwise("abcdefg")
    )
    with pytest.raises(FixturesError, match="holds more than 1000000 values, YAML aliases written out"):
        Mock(Settings(fixtures=write(tmp_path, many, "a.yaml")))


def test_the_tenants_of_a_file_are_bounded(tmp_path: Path) -> None:
    most = json.dumps({"tenants": [{"keys": [], "leads": 0}] * rows.MAX_TENANTS})
    assert len(Mock(Settings(fixtures=write(tmp_path, most, "a.json"))).fixtures) == rows.MAX_TENANTS
    more = json.dumps({"tenants": [{}] * (rows.MAX_TENANTS + 1)})
    with pytest.raises(FixturesError, match=r":1: tenants: is too long; at most 1000 are allowed"):
        Mock(Settings(fixtures=write(tmp_path, more, "a.json")))


# -- the schema


def test_the_schema_allows_what_the_mock_reads_and_rejects_what_is_misspelt(tmp_path: Path) -> None:
    import tomllib

    schema = rows.schema(contract.load())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    for text in (SHOP, reading.DEMO_FILE.read_text("utf-8")):
        assert list(validator.iter_errors(reading._without_times(tomllib.loads(text)))) == []
    told_by_schema = 0
    for mistake, (right, wrong, said) in MISTAKES.items():
        if mistake == "object of a record":  # what it may be depends on the vendor
            continue
        content = reading._without_times(tomllib.loads(SHOP.replace(right, wrong, 1)))
        if (
            said.startswith(("unknown field", "seed: must"))
            or "must be one of" in said
            or "none of the allowed" in said
        ):
            assert list(validator.iter_errors(content)), wrong
            told_by_schema += 1
    assert told_by_schema > 10


def test_a_mock_has_the_schema(control: httpx.Client) -> None:
    schema = control.get("/_mock/fixtures.schema.json").json()
    assert schema == json.loads(json.dumps(rows.schema(contract.load())))
    assert schema["$defs"]["FixtureWebhook"]["properties"]["events"]["anyOf"][1]["items"]["enum"] == list(EVENTS)


def test_the_demo_file_is_right_by_the_checks_that_it_is_spared(tmp_path: Path) -> None:
    copy = write(tmp_path, reading.DEMO_FILE.read_text("utf-8"))
    mocks = [Mock(Settings(seed=1, clock="frozen", fixtures=path)) for path in (None, copy)]
    for one, other in zip(*(mock.fixtures for mock in mocks), strict=True):
        assert snapshot.dump(one) == snapshot.dump(other)


def test_documents_of_other_apis_have_demo_tenants_too() -> None:
    assert Fixtures(None, contract.load()).seed(Settings()) is None
