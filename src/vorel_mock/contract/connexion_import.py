"""Connexion, imported without Starlette's test client.

`connexion.apps.abstract` imports it at the top for a method that a server never calls. It costs a third of the
start-up, and warns on the console when httpx is newer than it likes. A placeholder stands in while Connexion is
imported, and is taken away again: whoever wants the real test client imports it as ever.
Connexion also imports names that jsonschema has deprecated; that is nothing a user of the mock can mend.
"""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_TEST_CLIENT = "starlette.testclient"

if _TEST_CLIENT in sys.modules:
    import connexion
else:
    _placeholder = ModuleType(_TEST_CLIENT)
    _placeholder.TestClient = object  # type: ignore[attr-defined]  # the one name that Connexion takes
    sys.modules[_TEST_CLIENT] = _placeholder
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import connexion
    finally:
        del sys.modules[_TEST_CLIENT]

from connexion import FlaskApp  # noqa: E402 - only after the placeholder has done its work
from connexion.exceptions import ProblemException  # noqa: E402
from connexion.middleware.abstract import AbstractRoutingAPI  # noqa: E402
from connexion.operations import AbstractOperation  # noqa: E402
from connexion.resolver import Resolver  # noqa: E402
from connexion.spec import OpenAPISpecification, Specification  # noqa: E402

__all__ = [
    "AbstractOperation",
    "AbstractRoutingAPI",
    "FlaskApp",
    "ProblemException",
    "Resolver",
    "Specification",
    "connexion",
    "unchecked",
]

_lock = threading.Lock()


@contextmanager
def unchecked() -> Iterator[None]:
    """While this lasts, Connexion takes a document as it is: ours, which a test has checked.

    To check the control plane's is three quarters of what it takes to make a mock. Connexion has no setting for it.
    """
    with _lock:
        OpenAPISpecification._validate_spec = classmethod(lambda cls, spec: None)
        try:
            yield
        finally:
            del OpenAPISpecification._validate_spec  # what it inherits is there again
