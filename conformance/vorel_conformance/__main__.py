"""`python -m vorel_conformance`: the same as `vorel-conformance`."""

from vorel_conformance.cli import main

main()
