"""The pictures of the console in docs/console.md. `python tests/docs/test_screenshots.py` takes them.

A test takes them in a folder of its own, so that they can always be taken. Those of docs are not compared byte by byte:
another machine has other fonts.
"""

import shutil
import struct
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from tests.paths import DOCS

from vorel_mock.mock import demo
from vorel_mock.testing import MockServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: Each picture with its alternative text in docs/console.md.
PICTURES = {"console-overview.png": "The overview", "console-request.png": "A request explained"}
SIZE = {"width": 900, "height": 600}
#: Bytes of one: pages of documentation should load at once; and an empty page has fewer.
LEAST, MOST = 15_000, 80_000
#: Other fonts may take more.
ELSEWHERE = 120_000


def take(folder: Path) -> None:
    """Take the pictures, of a mock that looks as if it ran at localhost:3000."""
    with MockServer(seed=1, clock="frozen") as mock, sync_playwright() as playwright:
        address = mock.base_url.removeprefix("http://")
        rules = f"--host-resolver-rules=MAP localhost:3000 {address},MAP * ~NOTFOUND,EXCLUDE 127.0.0.1"
        # Grey edges of letters: colours would make a picture a fifth larger.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-lcd-text", rules]
        )
        page = browser.new_page(base_url="http://localhost:3000", viewport=SIZE, color_scheme="light")  # type: ignore[arg-type] # a TypedDict
        refused = _work(mock)
        page.goto("/")
        expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
        expect(page.get_by_role("link", name="demo-hubspot")).to_be_visible()
        _save(page, folder / "console-overview.png")
        page.goto(f"/_mock/console/requests/{refused}")
        expect(page.get_by_role("heading", name="Why not 200?")).to_be_visible()
        _save(page, folder / "console-request.png")
        browser.close()


def _work(mock: MockServer) -> str:
    """Send some requests; return the id of one that was rejected."""
    headers = {"Authorization": f"Bearer {demo.token(1, 1, 1)}"}
    with httpx.Client(base_url=mock.base_url, headers=headers, trust_env=False) as api:
        for lead in (1, 2):
            assert api.post(f"/api/v1/leads/{demo.lead_id(1, lead)}/handoff").is_success
        armed = {"fault": "internal_error", "next": 1, "after": 5}
        tenant = httpx.get(f"{mock.base_url}/_mock/target", trust_env=False).json()["tenants"][0]["id"]
        assert api.post(f"/_mock/tenants/{tenant}/faults", json=armed, headers={}).status_code == 201
        refused = api.post(f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff", json={"reason": "x" * 201})
        assert refused.status_code == 400
    return refused.headers["X-Mock-Request-Id"]


def _save(page: Page, file: Path) -> None:
    page.screenshot(path=file, animations="disabled", caret="hide")


def _dimensions(file: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    head = file.read_bytes()[:24]
    assert head[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    width, height = struct.unpack(">II", head[16:])
    return width, height


def _are_pictures(folder: Path, most: int) -> None:
    for name in PICTURES:
        assert _dimensions(folder / name) == (SIZE["width"], SIZE["height"])
        assert LEAST < (folder / name).stat().st_size < most, name


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
@pytest.mark.xdist_group("console in a browser")
def test_the_pictures_can_be_taken(tmp_path: Path) -> None:
    take(tmp_path)  # which looks for what they show
    _are_pictures(tmp_path, ELSEWHERE)
    first, second = (tmp_path / name for name in PICTURES)
    assert first.read_bytes() != second.read_bytes()


def test_the_page_shows_them() -> None:
    _are_pictures(DOCS, MOST)
    text = (DOCS / "console.md").read_text("utf-8")
    for name, words in PICTURES.items():
        assert f"![{words}]({name})" in text


if __name__ == "__main__":
    take(DOCS)
