"""The OpenAPI document: reading it, checking it, and everything that is derived from it."""
