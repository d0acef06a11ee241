"""The domain: tenants and everything that belongs to them. Plain data and plain functions, no HTTP, no I/O."""
