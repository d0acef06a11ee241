"""A contract-true mock server for the Vorel API."""

__version__ = "0.1.0"
