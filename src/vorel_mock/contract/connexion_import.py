"""Connexion's names, imported without the warnings that it causes.

It imports names that jsonschema has deprecated, and Starlette's test client, which warns about a newer httpx. Nothing
of that is a user's to mend. Every module of the mock takes Connexion's names from here.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from connexion import FlaskApp
    from connexion.exceptions import BadRequestProblem, ProblemException
    from connexion.json_schema import Draft4RequestValidator
    from connexion.jsonifier import Jsonifier
    from connexion.lifecycle import ConnexionResponse
    from connexion.middleware.abstract import AbstractRoutingAPI
    from connexion.operations import AbstractOperation
    from connexion.options import SwaggerUIOptions
    from connexion.resolver import Resolver
    from connexion.spec import OpenAPISpecification, Specification
    from connexion.validators import ParameterValidator
    from connexion.validators.json import JSONRequestBodyValidator

__all__ = [
    "AbstractOperation",
    "AbstractRoutingAPI",
    "BadRequestProblem",
    "ConnexionResponse",
    "Draft4RequestValidator",
    "FlaskApp",
    "JSONRequestBodyValidator",
    "Jsonifier",
    "ParameterValidator",
    "ProblemException",
    "Resolver",
    "Specification",
    "SwaggerUIOptions",
    "unchecked",
]

_lock = threading.Lock()


@contextmanager
def unchecked() -> Iterator[None]:
    """Skip Connexion's validation of a document inside this block.

    A test validates the control plane's document; to do it again takes 75 % of the time to create a mock, and Connexion
    has no option to turn it off.
    """
    with _lock:
        OpenAPISpecification._validate_spec = classmethod(lambda cls, spec: None)
        try:
            yield
        finally:
            del OpenAPISpecification._validate_spec  # what it inherits is there again
