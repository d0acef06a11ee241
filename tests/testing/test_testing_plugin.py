"""The pytest plugin, in test runs of its own."""

import gc
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
from tests.paths import ROOT

from vorel_mock.testing import MockServer, Tenant

pytest_plugins = ("pytester",)
pytestmark = pytest.mark.usefixtures("lean")


# For every test, because a run in this process forgets whatever it is the first to import: half of httpx, say.
@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[MockServer]:
    with MockServer() as mock:
        mock.control.health()
        yield mock


LEAN = ("-p", "xdist.plugin")

SIXTY = """
import httpx
import pytest

SEEN = set()

@pytest.mark.parametrize("number", range(60))
def test_number(vorel, number):
    limit = 2 + number % 4
    vorel.patch(rate_limit=limit)
    vorel.clock.freeze()
    vorel.faults.arm("unavailable", after=1)
    path = f"/api/v1/leads/{vorel.lead}/handoff"
    with httpx.Client(base_url=vorel.base_url, headers=vorel.headers, verify=False) as api:
        served = [api.post(path, json={"reason": str(number)}).status_code for _ in range(limit + 2)]
        vorel.clock.advance("61s")
        served.append(api.post(path).status_code)
    assert served == EXPECTED[limit]
    assert {handoff["reason"] for handoff in vorel.handoffs()} == {str(number), "operator_request"}
    assert vorel.requests.count() == limit + 3
    assert vorel.id not in SEEN
    SEEN.add(vorel.id)

EXPECTED = {limit: [200, 503, *[200] * (limit - 1), 429, 200] for limit in range(2, 6)}
"""

SHUFFLED = """
import random

def pytest_collection_modifyitems(items):
    random.Random(7).shuffle(items)
"""


def test_sixty_tests_on_two_workers_each_with_a_world_of_its_own(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(SHUFFLED)
    pytester.makepyfile(SIXTY)
    run = pytester.runpytest_subprocess(*LEAN, "-n2", "-q", "-W", "error", "--strict-markers")
    run.assert_outcomes(passed=60)


def test_the_settings_of_marks_add_up_and_the_nearest_wins(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.vorel(rate_limit=7, leads=1)

        @pytest.mark.vorel(crm=None)
        class TestClass:
            @pytest.mark.vorel(rate_limit=2)
            def test_all(self, vorel):
                settings = vorel.settings()
                assert settings["rate_limit"] == 2
                assert settings["crm"] is None
                assert len(vorel.leads.own) == 1
                assert settings["name"] == "test_all"

        @pytest.mark.vorel(name="mine")
        def test_module(vorel):
            assert vorel.settings()["rate_limit"] == 7
            assert vorel.settings()["name"] == "mine"
        """
    )
    pytester.runpytest("--strict-markers").assert_outcomes(passed=2)


def test_each_test_may_have_a_fork(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.vorel(fork="00000002-7e4a-4000-8000-000000000000", ttl="10m")
        def test_fork(vorel):
            settings = vorel.settings()
            assert (settings["name"], settings["crm"]["vendor"]) == ("demo-salesforce", "salesforce")
            assert settings["ttl"] == "600s"
            assert vorel.lead == "00000002-1ead-4000-8000-000000000001"
            assert vorel.key.startswith("vapk_live_") and "c0ffee" not in vorel.key
        """
    )
    pytester.runpytest("--strict-markers").assert_outcomes(passed=1)


def test_a_mark_that_makes_no_sense_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.vorel(rate_limit="two")
        def test_value(vorel):
            pass

        @pytest.mark.vorel(colour="red")
        def test_name(vorel):
            pass

        @pytest.mark.vorel(crm=object())
        def test_no_json(vorel):
            pass

        @pytest.mark.vorel(2)
        def test_position(vorel):
            pass
        """
    )
    run = pytester.runpytest()
    run.assert_outcomes(errors=4)
    run.stdout.fnmatch_lines(
        [
            "*@pytest.mark.vorel: rate_limit: *",
            "*@pytest.mark.vorel: *colour*",
            "*@pytest.mark.vorel: crm: object cannot be sent as JSON: *",
            "*takes settings by name only*",
        ]
    )
    run.stdout.no_fnmatch_line("*Traceback*")


FAILING = """
import httpx
import pytest

def test_that_passes(vorel):
    httpx.post(f"{vorel.base_url}/api/v1/leads/{vorel.lead}/handoff", headers=vorel.headers)

@pytest.mark.vorel(rate_limit=1)
def test_that_fails(vorel):
    vorel.clock.freeze()
    vorel.faults.arm("unavailable")
    with httpx.Client(base_url=vorel.base_url, headers=vorel.headers) as api:
        api.post(f"/api/v1/leads/{vorel.lead}/handoff")
        api.post(f"/api/v1/leads/{vorel.lead}/handoff", json={"reason": 1})
        api.post(f"/api/v1/leads/{vorel.lead}/handoff")
        api.post(f"/api/v1/leads/{vorel.lead}/handoff", headers={"Authorization": f"Bearer {vorel.keys.revoked}"})
        key, keys, headers = vorel.key, vorel.keys, vorel.headers
        assert headers == keys
"""


def test_a_failing_test_shows_the_requests_of_its_tenant_and_no_key(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILING)
    run = pytester.runpytest("--showlocals", "-vv")
    run.assert_outcomes(passed=1, failed=1)
    run.stdout.fnmatch_lines(
        [
            "*vorel-mock: requests of tenant *",
            "POST /api/v1/leads/*/handoff -> 503  fault unavailable; faults: *",
            "POST /api/v1/leads/*/handoff -> 400  validation: *reason*",
            "POST /api/v1/leads/*/handoff -> 429  rate_limit: *",
            "meanwhile, without a valid key:",
            "POST /api/v1/leads/*/handoff -> 401  authentication: *",
        ]
    )
    assert run.stdout.str().count("requests of tenant") == 1
    run.stdout.no_re_match_line("vapk_live_[0-9a-f]{12}")


def test_a_failing_test_shows_no_request_of_an_earlier_one(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import httpx
        import pytest

        @pytest.mark.parametrize("number", [1, 2, 3])
        def test_number(vorel, number):
            httpx.post(f"{vorel.base_url}/api/v1/nowhere/{number}")
            assert number == 1
        """
    )
    with MockServer(clock="frozen") as mock:
        run = pytester.runpytest("--vorel-mock-url", mock.base_url)
    run.assert_outcomes(passed=1, failed=2)
    text = run.stdout.str()
    assert [text.count(f"POST /api/v1/nowhere/{number} ->") for number in (1, 2, 3)] == [0, 1, 1]


def test_a_world_may_be_made_from_a_snapshot(
    pytester: pytest.Pytester, running: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:  # M12
    tenant = running.new_tenant(name="exported", leads=2)  # it lives on while its forks are used
    pytester.makefile(".json", world=json.dumps(tenant.snapshot()))
    pytester.makepyfile(
        """
        import httpx
        import json
        import pathlib
        import pytest

        WORLD = json.loads((pathlib.Path(__file__).parent / "world.json").read_text())

        @pytest.mark.vorel(snapshot=WORLD)
        @pytest.mark.parametrize("number", range(4))
        def test_world(vorel, number):
            assert vorel.settings()["name"] == "exported"
            assert len(vorel.leads.own) == 2
            assert vorel.keys.full != tuple(key["token"] for key in WORLD["keys"][:2])
            url = f"{vorel.base_url}/api/v1/leads/{vorel.lead}/handoff"
            assert httpx.post(url, headers=vorel.headers).status_code == 200
            assert len(vorel.handoffs()) == 1

        @pytest.mark.vorel(snapshot=WORLD, keys="kept")
        def test_with_the_tokens_of_the_snapshot(vorel):
            pass

        @pytest.mark.vorel(snapshot=WORLD, leads=3)
        def test_more_than_a_world(vorel):
            pass
        """
    )
    run = pytester.runpytest_subprocess(*LEAN, "-n2", "--vorel-mock-url", running.base_url)
    run.assert_outcomes(passed=4, errors=2)
    run.stdout.fnmatch_lines_random(
        [
            "*@pytest.mark.vorel: snapshot: contains the whole tenant; leave out leads*",
            '*@pytest.mark.vorel: snapshot: the token of key full_1 belongs to tenant *; *"keys": "fresh"*',
        ]
    )
    assert tenant.handoffs() == []
    tenant.delete()


def test_a_failing_test_in_a_worker_shows_them_as_well(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(FAILING)
    run = pytester.runpytest_subprocess(*LEAN, "-n1")
    run.assert_outcomes(passed=1, failed=1)
    run.stdout.fnmatch_lines(["*vorel-mock: requests of tenant *", "POST /api/v1/leads/*/handoff -> 503 *"])


def test_a_test_that_deletes_its_tenant_may(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_gone(vorel, vorel_server):
            vorel.delete()

        def test_gone_and_failed(vorel, vorel_server):
            vorel_server.reset(everything=True)
            assert False
        """
    )
    run = pytester.runpytest()
    run.assert_outcomes(passed=1, failed=1)
    run.stdout.fnmatch_lines(["*vorel-mock: requests of tenant *", "not available: 404 not_found: *"])


def test_a_test_that_patches_the_http_client_fails_alone_and_tells_what_it_did(pytester: pytest.Pytester) -> None:  # M1
    pytester.makepyfile(
        """
        import http.client
        import httpcore
        import httpx
        import pytest

        def raises(*_, **__): raise AssertionError('not mocked')
        def fails(*_, **__): pytest.fail('not mocked')
        def answers(*_, **__): return httpx.Response(200, json={'unlike': 'the control plane'})

        @pytest.mark.parametrize("request_", [raises, fails, answers])
        def test_patched(vorel, monkeypatch, request_):
            httpx.post(f"{vorel.base_url}/api/v1/nowhere", headers=vorel.headers)
            monkeypatch.setattr(httpx.Client, "request", request_)
            monkeypatch.setattr(httpx.HTTPTransport, "handle_request", request_)
            monkeypatch.setattr(httpcore.ConnectionPool, "handle_request", request_)
            monkeypatch.setattr(http.client.HTTPConnection, "request", request_)
            assert vorel.requests.count() == 1
            assert False

        def test_after(vorel):
            pass
        """
    )
    run = pytester.runpytest()
    run.assert_outcomes(passed=1, failed=3)
    assert run.stdout.str().count("POST /api/v1/nowhere -> 404 ") == 3


def test_nothing_that_a_hook_does_may_end_the_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:  # M1
    pytester.makepyfile(
        """
        import pytest
        import vorel_mock.testing.requests

        @pytest.mark.parametrize("end", [ZeroDivisionError, pytest.skip.Exception, SystemExit])
        def test_broken(vorel, monkeypatch, end):
            def broken(*_, **__): raise end("broken")
            monkeypatch.setattr(vorel.requests, "list", broken)
            assert False

        def test_after(vorel):
            pass
        """
    )
    run = pytester.runpytest()
    run.assert_outcomes(passed=1, failed=3)
    assert run.stdout.str().count("not available: broken") == 3


def test_a_mock_that_runs_already(pytester: pytest.Pytester, running: MockServer) -> None:
    pytester.makepyfile(
        f"""
        def test_where(vorel, vorel_server):
            assert vorel.base_url == vorel_server.base_url == "{running.base_url}"
        """
    )
    before = len(running.control.tenants())
    pytester.runpytest("--vorel-mock-url", running.base_url + "/").assert_outcomes(passed=1)
    assert len(running.control.tenants()) == before, "what a test made is gone with it"


def test_the_tenant_of_a_failed_test_is_left_on_a_mock_that_runs_on(
    pytester: pytest.Pytester, running: MockServer
) -> None:
    pytester.makepyfile(
        """
        def test_fails(vorel):
            vorel.webhooks.receive()
            vorel.requests.verify(operation="handoffLead")

        def test_deletes(vorel):
            vorel.delete()
            assert False
        """
    )
    before = {tenant["id"] for tenant in running.control.tenants()}
    run = pytester.runpytest("--vorel-mock-url", running.base_url)
    run.assert_outcomes(failed=2)
    run.stdout.fnmatch_lines(["E*no request matches; at least 1 must", "E*expected: {*", "E*no request came"])
    (left,) = (tenant for tenant in running.control.tenants() if tenant["id"] not in before)
    assert (left["name"], left["ttl"]) == ("test_fails", "3600s")
    link = f"{running.base_url}/_mock/console/requests?tenant={left['id']}"
    run.stdout.fnmatch_lines([f"kept for an hour: {link}"])
    pytester.runpytest().assert_outcomes(failed=2)
    pytester.runpytest().stdout.no_fnmatch_line("kept for an hour*")  # its own mock ends with the run


def test_a_mock_with_a_token(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile("def test_it(vorel): pass")
    with MockServer(control_token="open-sesame") as mock:
        refused = pytester.runpytest("--vorel-mock-url", mock.base_url)
        refused.assert_outcomes(errors=1)
        refused.stdout.fnmatch_lines(["*--vorel-mock-url: 401 *"])
        monkeypatch.setenv("VOREL_MOCK_CONTROL_TOKEN", "open-sesame")
        pytester.runpytest("--vorel-mock-url", mock.base_url).assert_outcomes(passed=1)


@pytest.mark.parametrize(("url", "told"), [("nonsense", "must be a URL"), ("http://127.0.0.1:1", "no server")])
def test_a_mock_that_is_not_there(pytester: pytest.Pytester, url: str, told: str) -> None:
    pytester.makepyfile("def test_it(vorel): pass")
    run = pytester.runpytest("--vorel-mock-url", url)
    run.assert_outcomes(errors=1)
    run.stdout.fnmatch_lines([f"*--vorel-mock-url: *{told}*"])
    run.stdout.no_fnmatch_line("*httpcore*")


def test_whoever_does_not_use_it_does_not_pay_for_it() -> None:
    script = (
        "import sys, pytest, vorel_mock.testing.pytest_plugin; "
        "print([name for name in sys.modules if name.split('.')[0] in ('connexion', 'flask', 'httpx', 'uvicorn')])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "[]"


def test_the_fixtures_of_this_very_run(vorel: Tenant, request: pytest.FixtureRequest) -> None:
    assert vorel.settings()["name"] == request.node.name


def test_a_run_that_is_refused_leaves_no_connection_open(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(vorel): pass")
    with MockServer(control_token="open-sesame") as mock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        pytester.runpytest("--vorel-mock-url", mock.base_url).assert_outcomes(errors=1)
        gc.collect()
    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []


SETTINGS = """
import httpx
import pytest

CLOCK = "2027-03-01T00:00:00+00:00"

def test_of_the_ini_file(vorel, vorel_server):
    assert vorel_server.health()["seed"] == 7
    assert vorel_server.clock.now.isoformat() == CLOCK and vorel.clock.frozen
    assert [tenant["name"] for tenant in vorel_server.tenants()][0] == "shop"

@pytest.fixture(scope="session")
def seed(vorel_server):
    return vorel_server.health()["seed"]

@pytest.mark.vorel_server(seed=8)
class TestAnother:
    IDS = set()

    @pytest.mark.parametrize("number", [1, 2])
    def test_its_own(self, vorel, vorel_server, seed, number):
        assert vorel_server.health()["seed"] == seed == 8
        assert vorel.clock.now.isoformat() == CLOCK
        self.IDS.add(vorel_server.base_url)
        assert len(self.IDS) == 1

    @pytest.mark.vorel_server(clock="real", fixtures="shop.toml", contract="copy.json")
    @pytest.mark.vorel(seed=3)
    def test_a_third(self, vorel, seed):
        assert seed == 8
        assert not vorel.clock.frozen

@pytest.mark.vorel_server(seed=8)
def test_the_same_once_more(vorel_server):
    assert vorel_server.base_url in TestAnother.IDS

def test_of_the_ini_file_again(seed):
    assert seed == 7

@pytest.mark.vorel_server(sead=1)
def test_no_name(vorel): pass

@pytest.mark.vorel_server(clock="noon")
def test_no_time(vorel): pass

@pytest.mark.vorel_server(fixtures="none.toml")
def test_no_file(vorel): pass

@pytest.mark.vorel_server(contract="none.json")
def test_no_document(vorel): pass
"""
WITHOUT_THE_INI_FILE = """
import pytest

@pytest.mark.vorel_server(clock="frozen")
def test_of_its_own(vorel):
    assert vorel.clock.frozen

def test_of_all(vorel):
    assert not vorel.clock.frozen
"""


def test_the_mock_has_the_settings_of_ini_file_and_marker(pytester: pytest.Pytester, running: MockServer) -> None:
    pytester.makefile(".toml", shop='[[tenants]]\nid = "00000001-5409-4000-8000-000000000000"\nname = "shop"\n')
    pytester.path.joinpath("copy.json").write_bytes((ROOT / "openapi.json").read_bytes())
    pytester.makepyfile(WITHOUT_THE_INI_FILE)
    pytester.runpytest("--vorel-mock-url", running.base_url, "--strict-markers").assert_outcomes(passed=2)
    pytester.makeini(
        "[pytest]\nvorel_mock_seed = 7\nvorel_mock_clock = 2027-03-01T00:00:00Z\nvorel_mock_fixtures = shop.toml\n"
    )
    pytester.makepyfile(SETTINGS)
    run = pytester.runpytest("--strict-markers", "-v")
    run.assert_outcomes(passed=6, errors=4)
    run.stdout.fnmatch_lines_random(
        [
            "*::test_its_own?1? PASSED*",
            '*@pytest.mark.vorel_server, *: unknown setting "sead"; did you mean "seed"?',
            "*@pytest.mark.vorel_server, *: clock: 'noon' is not an RFC 3339 timestamp*",
            "*@pytest.mark.vorel_server, *: *none.toml: cannot be read: *",
            "*@pytest.mark.vorel_server, *: contract: *none.json: no such file",
        ]
    )
    pytester.makeini("[pytest]\nvorel_mock_seed = seven\n")
    pytester.runpytest("-k", "ini_file_again").stdout.fnmatch_lines(
        ["*vorel_mock_seed: seed: must be a whole number, not 'seven'"]
    )


VERIFYING = """
import pytest

def test_none_is_like_it(vorel):
    with vorel.client() as api:
        api.post(f"/api/v1/leads/{vorel.lead}/handoff", json={"reason": "é", "summary": "short"})
        api.post("/api/v1/crm/create-record")
    vorel.requests.verify(operation="handoffLead", body={"reason": "è", "summary": None})

def test_too_many(vorel_server, vorel):
    mark = vorel.requests.mark()
    with vorel.client() as api:
        api.post(f"/api/v1/leads/{vorel.lead}/handoff")
    assert vorel_server.mark() == vorel.requests.wait(lead=vorel.lead, body={"reason": None})[0].id
    assert len(vorel.requests.verify(since=mark, exactly=1)) == vorel.requests.count(since=mark) == 1
    assert vorel.requests.wait(since=mark)[0].operation == "handoffLead"
    vorel_server.verify(since=mark, lead=vorel.lead, never=True)

@pytest.mark.anyio
async def test_another_order(avorel):
    async with avorel.async_client() as api:
        await api.post("/api/v1/crm/create-record")
        await api.post(f"/api/v1/leads/{avorel.lead}/handoff")
    await avorel.requests.verify({"operation": "createCrmRecord"}, {"operation": "handoffLead"})
    await avorel.requests.verify({"operation": "handoffLead"}, {"operation": "createCrmRecord"})

def test_what_makes_no_sense(vorel):
    with pytest.raises(TypeError, match="not both"):
        vorel.requests.verify({}, exactly=1)
    with pytest.raises(TypeError, match="a pattern is an object"):
        vorel.requests.verify("handoffLead")
    vorel.requests.verify(operation="handoff")
"""


def test_a_verification_in_vain_shows_the_nearest_request(pytester: pytest.Pytester, running: MockServer) -> None:
    pytester.makepyfile(VERIFYING)
    run = pytester.runpytest("--vorel-mock-url", running.base_url, "-k", "not trio")
    run.assert_outcomes(failed=4)
    run.stdout.fnmatch_lines(
        [
            ">       vorel.requests.verify(operation=*",
            "E       AssertionError: no request matches; at least 1 must",
            'E       expected: {"operation": "handoffLead", "body": {"reason": "è", "summary": null}}',
            "E       nearest of 2:",
            "E         req_* POST /api/v1/leads/*/handoff -> 200",
            'E           body.reason: wanted "è", found "é"',
            'E           body.summary: wanted absent, found "short"',
            "E         req_* POST /api/v1/crm/create-record -> 400",
            'E           operation: wanted "handoffLead", found "createCrmRecord"',
            'E           body.reason: wanted "è", found absent',
            "",
            "test_*.py:7: AssertionError",
            ">       vorel_server.verify(*",
            "E       AssertionError: 1 request matches; none must",
            "E       these match:",
            "E         req_*",
            ">       await avorel.requests.verify(*",
            "E       AssertionError: pattern 1: 1 request matches, but none of them after *",
            "E       nearest of 2:",
            "E           order: wanted after req_*, found before it",
            '>       vorel.requests.verify(operation="handoff")',
            "E       *.ControlError: 400 bad_request: operation: must be one of *",
        ],
        consecutive=False,
    )
    run.stdout.no_fnmatch_line("*sides.py*")
