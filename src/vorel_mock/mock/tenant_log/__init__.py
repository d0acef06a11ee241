"""Logs of tenants, which outlive the process: what is in them, where they are kept, and how they are applied."""
