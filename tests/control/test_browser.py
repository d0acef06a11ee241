"""The pages in a real browser. Chromium comes from the system: `apt-get install chromium`."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from vorel_mock.testing import MockServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with MockServer() as mock:
        yield mock.base_url


def _rendered(url: str, profile: Path) -> str:
    """The page once its scripts have run. No name is looked up: what is not on loopback cannot be reached."""
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        *(f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--dump-dom", url),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout


def test_swagger_ui_shows_the_contract_offline(base_url: str, tmp_path: Path) -> None:
    page = _rendered(f"{base_url}/_mock/docs/", tmp_path)
    assert "Escalate a lead to human handoff" in page
    assert "Push a record into the tenant CRM" in page
    assert "OAS 3.1" in page
    assert "Failed to load" not in page


def test_swagger_ui_shows_the_control_plane_too(base_url: str, tmp_path: Path) -> None:
    page = _rendered(f"{base_url}/_mock/docs/?urls.primaryName=vorel-mock%20control%20plane", tmp_path)
    assert "Create a tenant; responds with its target profile" in page
    assert "Failed to load" not in page
