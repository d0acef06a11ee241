"""What the mock uses of its process, in a form that no test tool patches: time, event loops, sockets, an HTTP client.

The mock is a guest in processes whose tests freeze the time, record or forbid HTTP, and disable sockets. Those tools
replace functions of the standard library and of HTTP clients for everybody, so the mock has its own.
"""
