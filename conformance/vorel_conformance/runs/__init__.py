"""Whole runs: certify a server, replay a report, apply accepted failures. Called by `cli` and `pytest_plugin`."""
