"""The tests of a server, one module for each topic."""
