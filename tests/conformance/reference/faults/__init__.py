"""The catalogue of faults: servers that break the contract in one place. The kit must find each of them.

A function in here gets the hook that it replaces (`was`) and the visit.
"""

from .access import ACCESS_FAULTS
from .crm import CRM_FAULTS
from .endurance import ENDURANCE_FAULTS, KINDS
from .envelope import ENVELOPE_FAULTS
from .generated import GENERATED_FAULTS
from .handoff import HANDOFF_FAULTS
from .helpers import Fault, merged
from .limit import LIMIT_FAULTS

FAULTS: tuple[Fault, ...] = (
    *ENVELOPE_FAULTS,
    *ACCESS_FAULTS,
    *HANDOFF_FAULTS,
    *CRM_FAULTS,
    *GENERATED_FAULTS,
    *LIMIT_FAULTS,
    *ENDURANCE_FAULTS,
)

__all__ = ["ENDURANCE_FAULTS", "FAULTS", "KINDS", "Fault", "merged"]
