"""One running mock: its state, its lock, and what it records."""
