"""`python -m vorel_mock`."""

from vorel_mock.cli import main

main()
