"""The console in a real Chromium, by what a person does. Chromium comes from the system: `apt-get install chromium`."""

import shutil
import threading
from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from vorel_mock.testing import MockServer, Tenant
from vorel_mock.webhooks.receiver import Listener, serve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.xdist_group("console in a browser"),
]
PAGES = ["/_mock/", "/_mock/console/requests", "/_mock/console/webhooks", "/_mock/console/faults"]


@pytest.fixture(scope="module")
def mock() -> Iterator[MockServer]:
    with MockServer() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # No name is looked up: what is not on loopback cannot be reached.
        rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", rules])
        yield started
        started.close()


@pytest.fixture
def tenant(mock: MockServer) -> Iterator[Tenant]:
    with mock.control.new_tenant() as made:
        yield made


@pytest.fixture
def page(browser: Browser, mock: MockServer) -> Iterator[Page]:
    """A page that fails the test if a script fails, or if the policy stops something."""
    context = browser.new_context(base_url=mock.base_url, viewport={"width": 1280, "height": 900})
    opened, problems = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    yield opened
    context.close()
    # A request that the mock rejects is no failure of the page.
    assert [problem for problem in problems if "status of 4" not in problem] == []


def hand_off(tenant: Tenant, **body: object) -> httpx.Response:
    return httpx.post(f"{tenant.base_url}/api/v1/leads/{tenant.lead}/handoff", headers=tenant.headers, json=body)


def test_find_out_why_a_request_was_400(page: Page, tenant: Tenant) -> None:
    page.goto(f"/_mock/console/requests?tenant={tenant.id}")
    expect(page.get_by_text("No request passes this filter")).to_be_visible()
    hand_off(tenant, reason=5)  # the page shows it by itself
    page.get_by_role("link", name="POST").click()
    expect(page.get_by_role("heading", name="Why not 200?")).to_be_visible()
    expect(page.get_by_text("Change the field that the message names.")).to_be_visible()
    expect(page.get_by_role("heading", name="400")).to_be_visible()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("status")).to_have_text("Done.")
    assert len(tenant.requests.list()) == 2


def test_advance_the_clock_and_see_a_retry_delivered(page: Page, tenant: Tenant) -> None:
    listener = Listener(lambda _: None, status=503)
    server = serve(listener, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        tenant.clock.freeze()
        page.goto(f"/_mock/console/webhooks?tenant={tenant.id}")
        page.get_by_label("Target URL").fill(f"http://127.0.0.1:{server.server_address[1]}/")
        page.get_by_role("button", name="Subscribe").click()
        expect(page.get_by_role("status")).to_contain_text("Shown this once: whsec_")
        page.get_by_label("Event").nth(1).select_option("booking.created")
        page.get_by_role("button", name="Publish").click()
        booking = page.locator(".card", has_text="booking.created").last
        expect(booking.get_by_role("listitem").first).to_contain_text("503")
        listener.status = 200
        page.goto(f"/_mock/console/tenants/{tenant.id}")
        page.get_by_label("Advance by").fill("10s")
        page.get_by_role("button", name="Advance").click()
        expect(page.get_by_role("status")).to_have_text("Done.")
        page.goto(f"/_mock/console/webhooks?tenant={tenant.id}")
        delivered = page.locator(".card", has_text="booking.created").last
        expect(delivered).to_contain_text("delivered")
        expect(delivered).to_contain_text("signature right")
        delivered.get_by_role("button", name="With a wrong signature").click()
        expect(page.get_by_text("signature wrong")).to_be_visible()
    finally:
        server.shutdown()
        server.server_close()


def test_what_a_message_tells(page: Page, mock: MockServer, tenant: Tenant) -> None:
    """Nobody is subscribed; a secret of the receiver; a secret that was made, with a button; the fork is opened."""
    page.goto(f"/_mock/console/webhooks?tenant={tenant.id}")
    told = page.get_by_role("status")
    page.get_by_role("button", name="Publish").click()
    expect(told).to_contain_text("nobody is subscribed to it: no webhook was sent")
    page.get_by_label("Target URL").fill("http://127.0.0.1:9/")
    page.get_by_label("Secret").fill("whsec_of_my_receiver")
    page.get_by_role("button", name="Subscribe").click()
    expect(told).to_contain_text("whsec_of_my_receiver")
    expect(told.get_by_role("button", name="Copy")).to_be_visible()
    page.get_by_role("button", name="Hold").click()
    expect(told).to_have_text("Done.")
    expect(told).to_be_hidden(timeout=10_000)
    page.goto(f"/_mock/console/tenants/{tenant.id}")
    keys = page.get_by_role("region", name="Keys").get_by_role("row")
    before = keys.count()
    page.get_by_role("button", name="New key").click()
    expect(keys).to_have_count(before + 1)
    expect(keys.last).to_contain_text("all")
    page.get_by_role("button", name="Fork").click()
    page.wait_for_url(lambda url: "/console/tenants/" in url and tenant.id not in url)
    httpx.delete(f"{mock.base_url}/_mock/tenants/{page.url.rsplit('/', 1)[1]}", trust_env=False)


def test_the_clock_is_seen_to_run(page: Page) -> None:
    page.goto("/_mock/")
    clock = page.locator(".clock time")
    expect(clock).not_to_have_text(clock.inner_text(), timeout=3_000)


def test_a_phone_has_room_for_a_path(browser: Browser, mock: MockServer, tenant: Tenant) -> None:
    hand_off(tenant)
    context = browser.new_context(base_url=mock.base_url, viewport={"width": 360, "height": 800})
    page = context.new_page()
    page.goto(f"/_mock/console/requests?tenant={tenant.id}")
    path, frame = page.locator("td .path").bounding_box(), page.locator(".scroll").bounding_box()
    assert path is not None
    assert frame is not None
    assert path["width"] > frame["width"] * 0.8
    assert page.evaluate("document.querySelector('.scroll').scrollWidth") <= frame["width"]
    context.close()


def test_arm_a_fault_and_see_what_it_hit(page: Page, tenant: Tenant) -> None:
    page.goto(f"/_mock/console/faults?tenant={tenant.id}")
    page.get_by_label("Search").fill("500 with the envelope")
    page.locator("#faults tr:visible").get_by_role("button", name="Arm once").click()
    expect(page.get_by_role("region", name="Armed faults")).to_contain_text("internal_error")
    hit = hand_off(tenant)
    assert hit.status_code == 500
    page.get_by_role("link", name=hit.headers["X-Mock-Request-Id"]).click()
    expect(page.get_by_text("A fault decided this response.")).to_be_visible()


def test_add_a_stub_and_see_what_it_answered(page: Page, tenant: Tenant) -> None:
    page.goto(f"/_mock/console/faults?tenant={tenant.id}")
    stubs = page.locator("#stubs")
    stubs.get_by_label("Operation").select_option("handoffLead")
    stubs.get_by_role("textbox", name="Lead").fill(tenant.lead)
    stubs.get_by_label("Status").fill("409")
    stubs.get_by_role("button", name="Add stub").click()
    expect(page.get_by_role("status")).to_contain_text("the contract declares no 409 for handoffLead")
    stubs.get_by_label("unlawful").check()
    stubs.get_by_label("Body").first.fill('{"reason": "why"}')
    stubs.get_by_label("Body").last.fill("taken")
    stubs.get_by_role("button", name="Add stub").click()
    expect(page.get_by_role("region", name="Stubs")).to_contain_text("unlawful")
    assert hand_off(tenant).status_code == 200
    met = hand_off(tenant, reason="why")
    assert (met.status_code, met.text) == (409, "taken")
    page.get_by_role("link", name=met.headers["X-Mock-Request-Id"]).click()
    expect(page.get_by_text("A stub decided this response.")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("A stub is the response that you wish")).to_be_visible()
    assert tenant.stubs.list() == []


def test_set_the_status_of_a_lead_and_revoke_a_key(page: Page, tenant: Tenant) -> None:
    page.goto(f"/_mock/console/tenants/{tenant.id}")
    page.get_by_label("Status of Lead 1").fill("closed")
    page.get_by_role("region", name="Leads").get_by_role("button", name="Set").first.click()
    expect(page.get_by_role("region", name="Leads").get_by_role("cell", name="closed", exact=True)).to_be_visible()
    page.get_by_role("button", name="Revoke full_1", exact=True).click()
    expect(page.get_by_role("button", name="Restore full_1", exact=True)).to_be_visible()
    assert hand_off(tenant).status_code == 401


def test_have_the_crm_fail_and_take_it_away(page: Page, tenant: Tenant) -> None:
    def written(key: str = "k") -> dict[str, object]:
        record = {"object": "contact", "fields": {"email": "a@b.test", "last_name": "B"}, "idempotency_key": key}
        url = f"{tenant.base_url}/api/v1/crm/create-record"
        return dict(httpx.post(url, headers=tenant.headers, json=record, trust_env=False).json())

    page.goto(f"/_mock/console/tenants/{tenant.id}")
    page.get_by_label("Vendor").select_option("zoho")
    page.get_by_label("Each write").select_option("fails: auth_failed")
    page.get_by_label("Mappings to merge").fill('{"contact": {"email": "Private_Email"}}')
    page.get_by_role("button", name="Set the CRM").click()
    expect(page.get_by_text("Private_Email")).to_be_visible()
    assert (written()["ok"], written()["error"]) == (False, "auth_failed")
    page.get_by_label("Each write").select_option("succeeds")
    page.get_by_role("button", name="Set the CRM").click()
    expect(page.get_by_role("status")).to_have_text("Done.")
    assert written()["ok"] is True
    assert tenant.crm_records()[0].vendor_fields["Private_Email"] == "a@b.test"
    page.get_by_role("button", name="Remove the CRM").click()
    expect(page.locator("h1")).to_contain_text("no CRM")
    assert written("another")["error"] == "no_crm_configured"


def test_a_mistake_is_told_in_words(page: Page, tenant: Tenant) -> None:
    page.goto(f"/_mock/console/tenants/{tenant.id}")
    page.get_by_label("Advance by").fill("soon")
    page.get_by_role("button", name="Advance").click()
    expect(page.get_by_role("status")).to_contain_text("advance: must be a duration")


def test_it_works_with_the_keyboard_alone(page: Page) -> None:
    page.goto("/_mock/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Freeze")).to_be_focused()


def test_it_can_be_read_without_scripts(browser: Browser, mock: MockServer, tenant: Tenant) -> None:
    hand_off(tenant, reason="read me")
    context = browser.new_context(base_url=mock.base_url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/_mock/console/requests")
    page.get_by_label("Tenant").select_option(tenant.id)
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="POST").click()
    expect(page.locator("pre").first).to_contain_text("read me")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_a_screen_reader(browser: Browser, mock: MockServer, tenant: Tenant, scheme: str) -> None:
    refused = hand_off(tenant, reason=5)
    context = browser.new_context(base_url=mock.base_url, color_scheme=scheme)  # type: ignore[arg-type] # a Literal
    page = context.new_page()
    request, own = refused.headers["X-Mock-Request-Id"], f"/_mock/console/tenants/{tenant.id}"
    tenant.stubs.add({"status": 404, "body": "x" * 300}, {"lead": tenant.lead}, unlawful=True)
    for path in [*PAGES, f"/_mock/console/requests/{request}", own, f"{PAGES[-1]}?tenant={tenant.id}"]:
        page.goto(path)
        found = Axe().run(page).response["violations"]
        serious = [
            (each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], path
    context.close()


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_no_page_scrolls_sideways(browser: Browser, mock: MockServer, tenant: Tenant, width: int) -> None:
    refused = hand_off(tenant, reason="x" * 900)
    context = browser.new_context(base_url=mock.base_url, viewport={"width": width, "height": 800})
    page = context.new_page()
    request, own = refused.headers["X-Mock-Request-Id"], f"/_mock/console/tenants/{tenant.id}"
    tenant.stubs.add({"status": 404, "body": "x" * 300}, {"lead": tenant.lead}, unlawful=True)
    for path in [*PAGES, f"/_mock/console/requests/{request}", own, f"{PAGES[-1]}?tenant={tenant.id}"]:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()


def test_the_docs_answer_at_the_first_execute(page: Page, mock: MockServer) -> None:
    """Each operation of the contract has an example that works, and a demo key is filled in."""
    page.goto("/_mock/docs/")
    expect(page.get_by_role("button", name="authorization button locked").first).to_be_visible()
    for operation in ("handoffLead", "createCrmRecord"):
        block = page.locator(f"[id$={operation}]")
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Execute").click()
        expect(block.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    latest = httpx.get(f"{mock.base_url}/_mock/requests?limit=2", trust_env=False).json()["data"]
    assert [row["response"]["status"] for row in latest] == [200, 200]
    page.goto("/_mock/docs/?urls.primaryName=vorel-mock%20control%20plane")
    health = page.locator("[id$=-health]")
    health.locator(".opblock-summary-control").click()
    health.get_by_role("button", name="Execute").click()
    expect(health.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
