"""The proof of the kit: a small conformant server, lenient servers, and servers with one fault each.

The kit must pass the conformant ones and find every fault. The code here shares nothing with the mock or the kit.
"""

from .faults import ENDURANCE_FAULTS, FAULTS, KINDS, Fault, merged
from .lenient_servers import READINGS, Reading
from .server import Running, serve

__all__ = ["ENDURANCE_FAULTS", "FAULTS", "KINDS", "READINGS", "Fault", "Reading", "Running", "merged", "serve"]
