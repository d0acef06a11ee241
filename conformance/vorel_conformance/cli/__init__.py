"""The command line."""

from vorel_conformance.cli.main import main

__all__ = ["main"]
