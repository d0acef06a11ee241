"""Fixtures of the tests of one mock."""

import pytest


@pytest.fixture
def quiet_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No attempt is made: when it is, is not decided by the requests alone."""
    monkeypatch.setattr("vorel_mock.webhooks.worker.Worker.wake_up", lambda *_: None)
    monkeypatch.setattr("vorel_mock.webhooks.dispatcher.Dispatcher.settle", lambda *_, **__: True)
    monkeypatch.setattr("vorel_mock.control.logged_commands._is_due", lambda _: False)
