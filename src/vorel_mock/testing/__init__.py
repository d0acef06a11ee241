"""The mock in a test: in process without a socket, or on a port of its own."""
