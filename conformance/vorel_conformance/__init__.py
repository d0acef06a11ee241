"""The conformance kit for the Vorel API. It imports nothing of the mock."""

from importlib.metadata import version

__version__ = version("vorel-mock")
