"""The control plane at /_mock: how a test, or a person, looks into the mock and holds it."""
