"""`python -m vorel_mock`."""

from vorel_mock.cli.main import run

run()
