"""The steps of a request, one module each, in the order that `pipeline.py` calls them."""
