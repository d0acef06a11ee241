"""The shells around the core: a port, ASGI, and how a response is sent."""
