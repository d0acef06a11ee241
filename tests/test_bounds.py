"""Whatever grows with requests is bounded."""

import httpx

from vorel_mock.api import journal
from vorel_mock.mock import Mock


def test_the_journal_s_bytes_count_the_whole_request(http: httpx.Client, mock: Mock) -> None:
    padding = "x" * 50_000
    for _ in range(journal.MAX_BYTES // 100_000 + 10):
        http.get(f"/nothing?{padding}", headers={"X-Padding": padding})
    kept = sum(len(e.query) + sum(len(value) for _, value in e.headers) for e in mock.journal._by_id.values())
    assert journal.MAX_BYTES * 0.9 < kept <= journal.MAX_BYTES
