"""What is exported gives the same tenants back, in each format; each member is found in its line."""

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.mock.test_fixtures import SHOP

from vorel_mock.api.faults.catalogue import CATALOGUE
from vorel_mock.cli import main as cli
from vorel_mock.contract import contract
from vorel_mock.mock import snapshot
from vorel_mock.mock.fixtures import Fixtures, lines, reading, writing
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.provisioning import every_scope
from vorel_mock.mock.settings import Settings
from vorel_mock.mock.snapshot import Reader
from vorel_mock.model.clock import Clock, iso
from vorel_mock.model.stubs import EMPTY
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.testing import MockServer, Tenant
from vorel_mock.webhooks.target_policy import TargetPolicy

Json = dict[str, Any]
CONTRACT = contract.load()
READER = Reader(CONTRACT, TargetPolicy(()).check)
SCOPES = every_scope(CONTRACT)
EXAMPLES = 3 * int(os.environ.get("VOREL_TEST_EXAMPLES", "8"))
NOW = 2_000_000_000.0
NOBODY = "5a0b0000-1ead-4000-8000-00000000000f"

# -- files

text = st.text(st.characters(codec="utf-8"), max_size=20)
words = st.sampled_from(
    ["010", "0o7", "1e3", "no", "null", "~", "true", "1:20", "2030-01-01", "<<", "a: b", "- x", "#"]
)
names = text | words
values = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=4,
)
times = st.integers(0, 4 * 10**9).map(lambda seconds: iso(float(seconds)))
uuids = st.uuids(version=4).map(str)


@st.composite
def tenants(draw: st.DrawFn) -> Json:
    def some(**members: st.SearchStrategy[Any]) -> Json:
        return {name: draw(value) for name, value in members.items() if draw(st.booleans())}

    leads = draw(st.lists(uuids, max_size=3, unique=True))
    scopes = st.lists(st.sampled_from(sorted(SCOPES)), unique=True, max_size=4) | st.sampled_from(
        ["all", "handoffLead"]
    )
    ids = draw(st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), unique=True, max_size=3))
    keys = [{"id": key_id, **some(scopes=scopes, revoked=st.booleans())} for key_id in ids]
    fields = st.dictionaries(names, values, max_size=3)
    records = [
        {
            "object": "contact",
            "fields": {**draw(fields), "email": "a@example.com", "last_name": "Lee"},
            "idempotency_key": f"key {number}",
            **some(vendor=st.just("zoho"), id=uuids, at=times),
        }
        for number in range(draw(st.integers(0, 2)))
    ]
    plain = [fault.id for fault in CATALOGUE.values() if fault.operation is None]
    faults = [
        {
            "fault": draw(st.sampled_from(plain)),
            **some(next=st.integers(1, 9), every=st.integers(1, 9), after=st.integers(0, 9), chance=st.floats(0, 1)),
        }
        for _ in range(draw(st.integers(0, 3)))
    ]
    stubs = [
        {
            "request": some(
                operation=st.sampled_from([operation.id for operation in CONTRACT.operations]),
                lead=uuids,
                headers=st.dictionaries(st.sampled_from(["X-A", "x-b"]), names, max_size=2),
                body=st.dictionaries(names.filter(lambda name: name[:1] != "/"), values, max_size=2),
                nth=st.integers(1, 9),
            ),
            "response": draw(
                st.builds(lambda fault: {"fault": fault}, st.sampled_from(plain))
                | st.fixed_dictionaries(
                    {"status": st.integers(200, 599).filter(lambda status: status not in EMPTY)},
                    optional={"body": values, "delay": st.just("2s"), "headers": st.just({"X-C": "7"})},
                )
            ),
            "unlawful": True,
            **some(id=uuids, times=st.integers(1, 9)),
        }
        for _ in range(draw(st.integers(0, 2)))
    ]
    webhooks = [
        {
            "target_url": "http://127.0.0.1:9/",
            **some(
                events=st.lists(st.sampled_from(EVENTS), min_size=1, unique=True) | st.just("all"),
                secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=20),
                held=st.booleans(),
                id=uuids,
            ),
        }
        for _ in range(draw(st.integers(0, 2)))
    ]
    crm = st.sampled_from(["none", "hubspot", "salesforce"]) | st.fixed_dictionaries(
        {"vendor": st.just("salesforce"), "account": text},
        optional={"failure": st.just("auth_failed"), "mappings": st.just({"contact": {"shoe size": "Shoe__c"}})},
    )
    made: Json = {
        "keys": keys,
        "leads": [{"id": lead, **some(name=names, conversation_status=names)} for lead in leads],
        "handoffs": [
            {"lead_id": draw(st.sampled_from(leads)), **some(reason=names, summary=names, requested_at=times)}
            for _ in range(draw(st.integers(0, 2)) if leads else 0)
        ],
        "webhooks": webhooks,
        "faults": faults,
        "stubs": stubs,
        **some(
            name=names.filter(bool),
            id=uuids,
            crm=crm,
            story=names.filter(bool),
            notified_channel=st.sampled_from(CONTRACT.notified_channels),
            rate_limit=st.integers(0, 99),
            webhook_timeout=st.sampled_from(["1ms", "2s", "1h"]),
            seed=st.integers(0, 99),
            clock=st.just("frozen"),
        ),
    }
    if made.get("crm", "hubspot") != "none" or all("vendor" in record for record in records):
        made["crm_records"] = records
    return made


def load(path: Path) -> list[Any]:
    fixtures = Fixtures(path, CONTRACT)
    seed = fixtures.seed(Settings()) or 0
    loaded = fixtures.load(READER, seed=seed, limits=fixtures.limits(Settings()), clock=Clock(at=NOW))
    return [(tenant, loaded.stories[tenant.id]) for tenant in loaded.tenants]


def exported(tenants: list[Any], form: str, seed: int = 3) -> str:
    snapshots = {tenant.id: msgspec.json.decode(snapshot.dump(tenant)) for tenant, _ in tenants}
    stories = {tenant.id: story for tenant, story in tenants}
    clock = {"now": iso(NOW), "frozen": True}
    return "".join(writing.FORMATS[form](writing.of_mock(snapshots, stories, seed=seed, clock=clock, scopes=SCOPES)))


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(content=st.lists(tenants(), min_size=1, max_size=2), form=st.sampled_from(sorted(writing.FORMATS)))
def test_what_is_exported_gives_the_same_tenants_back(
    tmp_path_factory: pytest.TempPathFactory, content: list[Json], form: str
) -> None:
    folder = tmp_path_factory.mktemp("fixtures")
    first = folder / "first.json"
    first.write_text(json.dumps({"seed": 3, "tenants": content}), "utf-8")
    try:
        before = load(first)
    except reading.FixturesError as error:
        problems = str(error)
    else:
        problems = ""
    if problems:  # two names of fields that are mapped to one, ids that are equal
        assert "the CRM would not take them" in problems or "is that of" in problems, problems
        return
    second = folder / f"second.{form}"
    second.write_text(exported(before, form), "utf-8", newline="")
    after = load(second)
    assert [story for _, story in after] == [story for _, story in before]
    for (one, _), (other, _) in zip(before, after, strict=True):
        assert one.id == other.id
        assert msgspec.json.decode(snapshot.dump(one)) == msgspec.json.decode(snapshot.dump(other))


def _leaves(node: Any, path: lines.Path = ()) -> Iterator[tuple[lines.Path, Any]]:
    if isinstance(node, (dict, list)):
        for name, item in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(item, (*path, name))
    else:
        yield path, node


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(content=st.lists(tenants(), min_size=1, max_size=2), form=st.sampled_from(["toml", "json"]))
def test_each_member_is_found_in_its_line(content: list[Json], form: str) -> None:
    """Each scalar is replaced by a number of its own, which must be in the line that is told."""
    numbers = iter(range(10**6, 10**7))

    def numbered(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: numbered(item) for name, item in node.items()}
        return [numbered(item) for item in node] if isinstance(node, list) else next(numbers)

    whole = numbered({"seed": 1, "tenants": content})
    written = "".join(writing.FORMATS[form](whole))
    found = {"toml": lines.toml, "json": lines.json}[form](written)
    split = written.split("\n")
    for path, number in _leaves(whole):
        assert str(number) in split[found[path] - 1], path


def test_the_lines_of_toml_as_people_write_it() -> None:
    document = SHOP
    found = lines.toml(document)
    split = document.split("\n")
    for path, value in _leaves(tomllib.loads(document)):
        line = split[found[path] - 1]
        shown = str(value) if not isinstance(value, bool) else str(value).lower()
        assert shown in line or shown.replace(" ", "T").replace("+00:00", "Z") in line, (path, line)


# -- the command


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(seed=1) as mock:
        yield mock


@pytest.fixture
def tenant(server: MockServer) -> Iterator[Tenant]:
    with server.new_tenant(name="made", seed=5) as tenant:
        yield tenant


def export(server: MockServer, *arguments: str) -> Result:
    command = ["fixtures", "export", "--base-url", server.base_url, *arguments]
    return CliRunner().invoke(cli.main, command, prog_name="vorel-mock")


def used(server: MockServer, tenant: Tenant, fields: Json) -> None:
    body = {"object": "contact", "fields": {"last_name": "Lee", **fields}, "idempotency_key": "first"}
    with httpx.Client(base_url=server.base_url, headers=tenant.headers, trust_env=False) as api:
        assert api.post(f"/api/v1/leads/{tenant.lead}/handoff", json={"reason": "no-response-7d"}).status_code == 200
        assert api.post("/api/v1/crm/create-record", json=body).json()["ok"]
    tenant.webhooks.subscribe("http://127.0.0.1:9/", ["booking.created"])
    tenant.faults.arm("latency", next=3)
    stub = {"request": {"lead": NOBODY, "nth": 3}, "response": {"status": 404}, "times": 2}
    assert httpx.post(f"{server.base_url}/_mock/tenants/{tenant.id}/stubs", json=stub).status_code == 201


def test_a_tenant_that_was_used_lives_on_in_another_mock(server: MockServer, tenant: Tenant, tmp_path: Path) -> None:
    used(server, tenant, {"email": "ann@example.com"})
    before = tenant.snapshot()
    result = export(server, "--tenant", tenant.id.upper())
    assert (result.exit_code, result.stderr) == (0, "")
    path = tmp_path / "made.toml"
    path.write_text(result.stdout, "utf-8")
    with MockServer(fixtures=path) as other:
        assert other.control.target()["keys"]["full"] == list(tenant.keys.full)
        after = msgspec.json.decode(httpx.get(f"{other.base_url}/_mock/tenants/{tenant.id}/snapshot").content)
        for name in ("ids", "leads", "handoffs", "crm_records", "webhooks", "crm", "webhook_timeout", "rate_limit"):
            assert after[name] == before[name], name
        assert [key["token"] for key in after["keys"]] == [key["token"] for key in before["keys"]]
        assert [stub["request"]["nth"] for stub in after["stubs"]] == [3]
        assert after["stubs"] == before["stubs"]
        assert [(fault["fault"], fault["next"]) for fault in after["faults"]] == [("latency", 3)]
        answers = [
            httpx.post(f"{each}/api/v1/leads/{tenant.lead}/handoff", headers=tenant.headers).json()["handoff_id"]
            for each in (server.base_url, other.base_url)
        ]
        assert answers[0] == answers[1], "the ids go on as they would have"


def test_all_tenants_are_exported_unless_one_is_named(server: MockServer, tenant: Tenant) -> None:
    exported = json.loads(export(server, "--format", "json").stdout)
    assert [each["name"] for each in exported["tenants"]][0::6] == ["demo-hubspot", "made"]
    assert exported["tenants"][0]["story"] == "HubSpot, Slack set up"
    assert exported["seed"] == 1


def test_what_toml_cannot_say_is_told(server: MockServer, tenant: Tenant, tmp_path: Path) -> None:
    used(server, tenant, {"phone": None})
    result = export(server, "--tenant", tenant.id)
    assert result.exit_code == 1
    assert "tenants[0].crm_records[0].fields.phone is null, which TOML cannot say; use --format yaml" in result.stderr
    path = tmp_path / "made.yaml"
    path.write_text(export(server, "--tenant", tenant.id, "--format", "yaml").stdout, "utf-8")
    mock = Mock(Settings(fixtures=path))
    assert [record.fields for record in mock.fixtures[0].crm_records] == [{"last_name": "Lee", "phone": None}]


def test_forks_do_not_fit_into_one_file(server: MockServer, tenant: Tenant) -> None:
    with tenant.fork() as fork:
        result = export(server)
        assert result.exit_code == 1
        assert f"tenants {tenant.id} and {fork.id} have the same lead" in result.stderr
        assert export(server, "--tenant", fork.id).exit_code == 0


def test_what_is_wrong_is_told_in_a_line(server: MockServer) -> None:
    assert export(server, "--tenant", "x/..").stderr == (
        "Error: the mock answered 404: No tenant with this id. `vorel-mock tenants` lists them.\n"
    )
    result = CliRunner().invoke(cli.main, ["fixtures", "export", "--base-url", "http://127.0.0.1:1"])
    assert result.stderr == "Error: no server at http://127.0.0.1:1. Is vorel-mock running there?\n"
    help_text = CliRunner().invoke(cli.main, ["fixtures", "export", "--help"]).stdout
    assert "holds the keys and the signing secrets" in " ".join(help_text.split())


# -- files that are wrong in any way

FRAGMENTS = st.sampled_from(
    ['"', "'", "[", "]", "{", "}", "=", ":", ",", "\n", "#", '"""', "-", "\\", "null", "1e999", "&a", "*a", "\t"]
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), FRAGMENTS | text), min_size=1, max_size=3)


def used_or_told(path: Path) -> None:
    problems: tuple[str, ...] = ()
    try:
        for tenant, _ in load(path):
            assert msgspec.json.decode(snapshot.dump(tenant))
    except reading.FixturesError as error:
        problems = error.problems
    for problem in problems:
        assert problem.startswith(f"{path}:"), problem
        assert len(problem) < 2000


def content_of_shop() -> Json:
    return dict(reading._without_times(tomllib.loads(SHOP)))


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(edits=EDITS, form=st.sampled_from(sorted(writing.FORMATS)))
def test_a_text_that_was_spoilt_is_used_or_told(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[float, int, str]], form: str
) -> None:
    whole = SHOP if form == "toml" else "".join(writing.FORMATS[form](content_of_shop()))
    for place, length, inserted in edits:
        start = int(place * len(whole))
        whole = whole[:start] + inserted + whole[start + length :]
    path = tmp_path_factory.mktemp("spoilt") / f"shop.{form}"
    path.write_text(whole, "utf-8", newline="")
    used_or_told(path)


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(data=st.data(), value=values | st.none())
def test_a_value_of_any_kind_anywhere_is_used_or_told(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, value: Any
) -> None:
    content = content_of_shop()
    node: Any = content
    while True:
        name = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not (isinstance(node[name], (dict, list)) and node[name] and data.draw(st.booleans())):
            break
        node = node[name]
    node[name] = value
    path = tmp_path_factory.mktemp("odd") / "shop.json"
    path.write_text(json.dumps(content), "utf-8")
    used_or_told(path)
