"""Requests to the target: profile, placeholders for keys, pacing, client, strict JSON. Knows no clauses."""
