"""A small conformant server of the contract, its conformant readings, and faults that each break one thing.

It proves the kit: what is wrong here must be found, what is right here must pass.
It shares no code with the mock or the kit.
"""

from .faults import FAULTS, Fault
from .lenient_servers import READINGS, Reading
from .server import Running, serve

__all__ = ["FAULTS", "READINGS", "Fault", "Reading", "Running", "serve"]
