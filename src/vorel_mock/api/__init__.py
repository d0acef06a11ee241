"""The API: a request goes in, a response comes out. `core` is the entry, `pipeline` has the steps."""
