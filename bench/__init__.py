"""The mock side by side with its peers, in one run on one machine: `python -m bench`."""
