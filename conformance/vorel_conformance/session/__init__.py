"""The state of one run, and the handle with which a test sends requests and records checks."""
