"""Snapshots: all that a tenant is as JSON, to be kept and taken over by any number of tenants."""

from vorel_mock.mock.snapshot.messages import SnapshotError
from vorel_mock.mock.snapshot.reading import Reader
from vorel_mock.mock.snapshot.rows import schema
from vorel_mock.mock.snapshot.splitting import MAX_DEPTH, Text, split
from vorel_mock.mock.snapshot.writing import dump, pieces

__all__ = ["MAX_DEPTH", "Reader", "SnapshotError", "Text", "dump", "pieces", "schema", "split"]
