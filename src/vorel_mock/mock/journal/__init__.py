"""The record of requests: kept, explained, exported, and written to the terminal."""
