"""For `pytest conformance --base-url URL` in a checkout.

Elsewhere: `pytest -p vorel_conformance.pytest_plugin --pyargs vorel_conformance.suite --base-url URL`.
"""

from vorel_conformance.pytest_plugin import *  # noqa: F403 - pytest uses the names in conftest
