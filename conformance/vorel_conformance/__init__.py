"""A conformance kit for the Vorel API: imports nothing of the mock."""
