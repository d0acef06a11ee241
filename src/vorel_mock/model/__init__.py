"""What the mock knows: tenants and all that hangs on them. Plain data and plain functions; no HTTP in here."""
