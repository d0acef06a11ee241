"""Faults: the catalogue of named deviations, and the step that applies them to a request."""
