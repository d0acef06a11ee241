"""The certification of integrations: situations, what is observed in them, and the oracles that judge it."""
