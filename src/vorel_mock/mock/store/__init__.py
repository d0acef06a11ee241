"""Where tenants live."""
