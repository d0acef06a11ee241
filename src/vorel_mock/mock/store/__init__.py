"""Implementations of `vorel_mock.model.store.Store`."""
